import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// Which certificate and protocol a client gets that asks for them by name.
@Suite("SNI and ALPN at the door") struct NameTests {
    let files = TestFiles()

    private func listeners() -> [Door.Listener] {
        let exact = files.pair("exact", Site.authority.issue(Profile("exact", names: "DNS:device.example.org")))
        let wild = files.pair("wild", Site.authority.issue(Profile("wild", names: "DNS:*.example.org")))
        let more = "more_certificates: {\(exact.certificate): \(exact.key), \(wild.certificate): \(wild.key)}"
        return [
            .init("open", "allow_anonymous: true\n" + files.tls(more)),
            .init("strict", "allow_anonymous: true\n" + files.tls(more, "refuse_unknown_sni: true")),
        ]
    }

    @Test("SNI chooses the certificate: exact, wildcard, and the first for others")
    func choice() async throws {
        try await Door.with(listeners()) { door in
            let wishes = [
                ("device.example.org", "exact"), ("DEVICE.example.ORG", "exact"), ("other.example.org", "wild"),
                ("a.b.example.org", "localhost"),
                ("example.org", "localhost"), ("elsewhere.net", "localhost"), ("localhost", "localhost"), ("127.0.0.1", "localhost"),
                (String(repeating: "x", count: 250), "localhost"),
            ]
            for (name, subject) in wishes {
                let talk = try await door.openssl("open", ["-servername", name])
                #expect(talk.isConnected && talk.text.contains("subject=CN = \(subject)"), "\(name): \(talk.text)")
            }
            let none = try await door.openssl("open", ["-noservername"])
            #expect(none.isConnected && none.text.contains("subject=CN = localhost"))
        }
    }

    @Test("a listener may refuse names that no certificate has, and counts it")
    func strict() async throws {
        try await Door.with(listeners()) { door in
            let unknown = try await door.openssl("strict", ["-servername", "elsewhere.net"])
            #expect(!unknown.isConnected && unknown.text.contains("unrecognized name"), "\(unknown.text)")
            #expect(try await door.failures("sni") == 1)
            #expect(try await door.openssl("strict", ["-servername", "pump.example.org"]).isConnected)
            #expect(try await door.openssl("strict", ["-noservername"]).isConnected)
        }
    }

    @Test("ALPN: both names of MQTT, none at all, and a mismatch")
    func protocols() async throws {
        try await Door.with(listeners()) { door in
            for (offer, chosen) in [("mqtt", "mqtt"), ("x-amzn-mqtt-ca", "x-amzn-mqtt-ca"), ("h2,x-amzn-mqtt-ca,mqtt", "mqtt")] {
                let talk = try await door.openssl("open", ["-alpn", offer])
                #expect(talk.isConnected && talk.text.contains("ALPN protocol: \(chosen)"), "\(offer): \(talk.text)")
            }
            let none = try await door.openssl("open", [])
            #expect(none.isConnected && none.text.contains("No ALPN negotiated"))
            let mismatch = try await door.openssl("open", ["-alpn", "h2,http/1.1"])
            #expect(!mismatch.isConnected && mismatch.text.contains("no application protocol"))
            #expect(try await door.failures("alpn") == 1)
        }
    }
}
