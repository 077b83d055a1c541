import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// A broker that is started as root and goes on as somebody else.
@Suite("rights that are given up", .enabled(if: getuid() == 0, "only root has rights to give up")) struct PrivilegeTests {
    let files = TestFiles()

    private func status(_ door: Door, _ field: String) throws -> [Int] {
        let text = try String(contentsOfFile: "/proc/\(door.process.processIdentifier)/status", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(field + ":") })
        return line.split(whereSeparator: \.isWhitespace).dropFirst().compactMap { Int($0) }
    }

    @Test("it listens on a port below 1024 and runs as nobody, with the key that root alone may read")
    func dropped() async throws {
        // Directories above must be open to nobody, as /etc is.
        for directory in [files.directory] { chmod(directory, 0o755) }
        let account = try #require(getpwnam("nobody")).pointee
        let port = (600..<1_000).randomElement() ?? 777
        let store = files.path("store")
        let passwords = files.write("passwords", Passwords.line("alice", "a"), mode: 0o644)
        let listeners: [Door.Listener] = [
            .init("low", "allow_anonymous: true", port: port), .init("tls", "password_file: \(passwords)\n" + files.tls()),
        ]
        try await Door.with(listeners, "user: nobody\nstore: {directory: \(store)}", isAlone: true) { door in
            #expect(try status(door, "Uid") == [Int](repeating: Int(account.pw_uid), count: 4))
            #expect(try status(door, "Gid") == [Int](repeating: Int(account.pw_gid), count: 4))
            #expect(try status(door, "NoNewPrivs") == [1])
            #expect(try status(door, "CapEff") == [0])
            // Every thread, not only the first.
            for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(door.process.processIdentifier)/task") {
                let text = try String(contentsOfFile: "/proc/\(door.process.processIdentifier)/task/\(thread)/status", encoding: .utf8)
                #expect(text.contains("Uid:\t\(account.pw_uid)\t\(account.pw_uid)\t\(account.pw_uid)\t\(account.pw_uid)"), "\(text)")
            }
            let low = try await door.client("low")
            try await low.connect(clientID: "low")
            await low.close()
            #expect(try await door.publish("tls", files.trusting() + ["-u", "alice", "-P", "a"]).exitCode == 0)
            for name in [""] + (try FileManager.default.contentsOfDirectory(atPath: store)).map({ "/" + $0 }) {
                var facts = stat()
                #expect(stat(store + name, &facts) == 0 && facts.st_uid == account.pw_uid, "\(name)")
                #expect(facts.st_mode & 0o077 == 0, "\(name)")
            }
            let key = files.path("server.key")
            #expect(try await door.logs("a reload will not be able to read a file"))
            #expect(door.log.contains("file=\(key)"), "\(door.log)")
            #expect(!door.log.contains("file=\(passwords)"))
            // And so it is: nothing changes until somebody lets it.
            files.write("passwords", Passwords.line("alice", "b"), mode: 0o644)
            try await door.reload(isGood: false)
            #expect(try await door.publish("tls", files.trusting() + ["-u", "alice", "-P", "a"]).exitCode == 0)
            chmod(key, 0o644)
            chmod(files.path("server.pem"), 0o644)
            try await door.reload(isGood: true)
            #expect(try await door.publish("tls", files.trusting() + ["-u", "alice", "-P", "b"]).exitCode == 0)
        }
    }

    @Test("a user that there is not, or that is root, stops the start", arguments: ["no-such-user", "root"])
    func wrongUser(name: String) async throws {
        let log = try await Door.refused([.init("plain", "allow_anonymous: true")], "user: \(name)")
        #expect(log.contains("\(name)") && log.contains("user: "), "\(log)")
    }
}
