import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// Session tickets: where they are good, and where they must not be.
@Suite("session tickets at the door") struct ResumptionTests {
    let files = TestFiles()
    static let versions = ["-tls1_2", "-tls1_3"]

    private func session(_ door: Door, _ listener: String, _ arguments: [String]) async throws -> String {
        let path = files.path("session-\(Int.random(in: 0...Int.max))")
        let talk = try await door.openssl(listener, arguments + ["-sess_out", path])
        #expect(talk.isConnected && !talk.isResumed, "\(talk.text)")
        return path
    }

    @Test("a session goes on within the process, and is counted", arguments: versions)
    func within(version: String) async throws {
        try await Door.with([.init("tls", "allow_anonymous: true\n" + files.tls())]) { door in
            let ticket = try await session(door, "tls", [version])
            let again = try await door.openssl("tls", [version, "-sess_in", ticket])
            #expect(again.isConnected && again.isResumed, "\(again.text)")
            #expect(try await door.figure("headwater_tls_resumptions_total") == 1)
            #expect(try await door.figure("headwater_tls_handshakes_total") == 2)
        }
    }

    @Test("a session outlives a restart with a key file, and doesn't without one", arguments: versions)
    func restart(version: String) async throws {
        let listeners: [Door.Listener] = [
            .init("kept", "allow_anonymous: true\n" + files.tls("ticket_keys: \(files.path("tickets"))")),
            .init("lost", "allow_anonymous: true\n" + files.tls()),
        ]
        try await Door.with(listeners) { door in
            let kept = try await session(door, "kept", [version])
            let lost = try await session(door, "lost", [version])
            try await door.restart()
            let again = try await door.openssl("kept", [version, "-sess_in", kept])
            #expect(again.isConnected && again.isResumed, "\(again.text)")
            let anew = try await door.openssl("lost", [version, "-sess_in", lost])
            #expect(anew.isConnected && !anew.isResumed, "\(anew.text)")
        }
    }

    @Test("two brokers that share a key file resume each other's sessions", arguments: versions)
    func shared(version: String) async throws {
        let listener = Door.Listener("tls", "allow_anonymous: true\n" + files.tls("ticket_keys: \(files.path("tickets"))"))
        try await Door.with([listener]) { one in
            let ticket = try await session(one, "tls", [version])
            try await Door.with([listener], isNested: true) { other in
                let talk = try await other.openssl("tls", [version, "-sess_in", ticket])
                #expect(talk.isConnected && talk.isResumed, "\(talk.text)")
            }
        }
    }

    @Test("a ticket of a listener without client certificates opens none that requires them", arguments: versions)
    func bypass(version: String) async throws {
        let keys = "ticket_keys: \(files.path("tickets"))"
        let listeners: [Door.Listener] = [
            .init("open", "allow_anonymous: true\n" + files.tls(keys)),
            .init("asking", "allow_anonymous: true\n" + files.mutualTLS("optional", keys)),
            .init("closed", "allow_anonymous: true\n" + files.mutualTLS("required", keys)),
        ]
        try await Door.with(listeners) { door in
            for from in ["open", "asking"] {
                let ticket = try await session(door, from, [version])
                let talk = try await door.openssl("closed", [version, "-sess_in", ticket])
                #expect(!talk.isConnected && !talk.isResumed, "\(from): \(talk.text)")
            }
            #expect(try await door.failures("certificate_required") == 2)
            #expect(try await door.figure("headwater_tls_resumptions_total") == 0)
        }
    }

    @Test("a ticket opens nothing after the certificate was revoked", arguments: versions)
    func revoked(version: String) async throws {
        let device = Site.authority.issue(Profile("device-1"))
        let pair = files.pair("device", device)
        let list = files.write("list.pem", Site.authority.list())
        let listener = Door.Listener("tls", "allow_anonymous: true\n" + files.mutualTLS("required", "crl_files: [\(list)]"))
        try await Door.with([listener]) { door in
            let ticket = try await session(door, "tls", [version] + pair.forOpenSSL)
            let before = try await door.openssl("tls", [version, "-sess_in", ticket] + pair.forOpenSSL)
            #expect(before.isConnected && before.isResumed, "\(before.text)")
            // The ticket of the second handshake, or of the first: both are the revoked client's.
            files.write("list.pem", Site.authority.list(revoking: [device]))
            try await door.reload(isGood: true)
            let after = try await door.openssl("tls", [version, "-sess_in", ticket] + pair.forOpenSSL)
            #expect(!after.isConnected && !after.isResumed, "\(after.text)")
            #expect(try await door.failures("certificate_revoked") == 1)
        }
    }
}
