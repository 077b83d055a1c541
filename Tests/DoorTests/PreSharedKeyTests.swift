import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// Clients with a pre-shared key, beside others with certificates.
@Suite("pre-shared keys at the door") struct PreSharedKeyTests {
    let files = TestFiles()
    private static let key = "00112233445566778899aabbccddeeff"
    private static let other = "ffeeddccbbaa99887766554433221100"

    private func listeners() -> [Door.Listener] {
        let keys = files.write("psk", "device-1:\(Self.key)\ndevice-2:\(Self.other)\n")
        return [
            .init("psk", "identity: {username: psk}\ntls: {psk_file: \(keys), psk_hint: plant}"),
            .init("both", "allow_anonymous: true\n" + files.tls("psk_file: \(keys)")),
            .init("tls", "allow_anonymous: true\n" + files.tls()),
        ]
    }

    @Test("a key opens the door in TLS 1.2 and 1.3, and its identity is the user", arguments: ["-tls1_2", "-tls1_3"])
    func openssl(version: String) async throws {
        try await Door.with(listeners()) { door in
            let good = try await door.openssl("psk", [version, "-psk_identity", "device-1", "-psk", Self.key], clientID: "one")
            #expect(good.isConnected, "\(good.text)")
            #expect(try await door.user(of: "one") == "device-1")
            let wrong = try await door.openssl("psk", [version, "-psk_identity", "device-1", "-psk", Self.other])
            #expect(!wrong.isConnected)
            let unknown = try await door.openssl("psk", [version, "-psk_identity", "device-3", "-psk", Self.key])
            #expect(!unknown.isConnected)
            let none = try await door.openssl("psk", [version])
            #expect(!none.isConnected)
            #expect(try await door.failures("psk") == 2)
        }
    }

    @Test("certificates and TLS 1.3 work beside keys, on the same listener and on another")
    func beside() async throws {
        try await Door.with(listeners()) { door in
            for (listener, version) in [("tls", "-tls1_3"), ("tls", "-tls1_2"), ("both", "-tls1_3"), ("both", "-tls1_2")] {
                let talk = try await door.openssl(listener, [version, "-CAfile", files.root, "-verify_return_error"])
                #expect(talk.isConnected && talk.text.contains("Verify return code: 0 (ok)"), "\(listener) \(version): \(talk.text)")
            }
            let keyed = try await door.openssl("both", ["-psk_identity", "device-2", "-psk", Self.other])
            #expect(keyed.isConnected, "\(keyed.text)")
            let stranger = try await door.openssl("tls", ["-tls1_2", "-cipher", "PSK", "-psk_identity", "device-2", "-psk", Self.other])
            #expect(!stranger.isConnected)
        }
    }

    @Test("mosquitto_pub and mosquitto_sub with --psk")
    func mosquitto() async throws {
        try await Door.with(listeners()) { door in
            let subscriber = try await door.subscriber(
                "psk", ["-i", "sub", "--psk", Self.key, "--psk-identity", "device-1"], topic: "plant/#", count: 1)
            let sent = try await door.publish("psk", ["--psk", Self.other, "--psk-identity", "device-2"], topic: "plant/t", message: "20")
            #expect(sent.exitCode == 0, "\(sent.errors)")
            #expect(try await subscriber.end().lines == ["plant/t 20"])
            #expect(try await door.user(of: "sub") == "device-1")
            #expect(try await door.publish("psk", ["--psk", Self.key, "--psk-identity", "device-2"]).exitCode != 0)
            #expect(try await door.publish("psk", ["--psk", Self.key, "--psk-identity", "nobody"]).exitCode != 0)
            #expect(try await door.failures("psk") == 2)
            #expect(!door.log.contains(Self.key) && !door.log.contains(Self.other))
        }
    }
}
