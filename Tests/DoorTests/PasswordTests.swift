import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import Security
import TestAuthority
import Testing

/// Users with passwords, and those who try.
@Suite("passwords at the door") struct PasswordTests {
    let files = TestFiles()

    private func listener(_ text: String, _ options: String = "") -> Door.Listener {
        Door.Listener("plain", "password_file: \(files.write("passwords", text))\n" + options)
    }

    @Test("a file of Debian's mosquitto_passwd")
    func mosquittoPasswd() async throws {
        let path = files.path("theirs")
        let passwd = try Tool.path(of: "mosquitto_passwd", package: "mosquitto")
        try await Tool.run(passwd, ["-b", "-c", path, "alice", "wonder land"])
        try await Tool.run(passwd, ["-b", path, "bob", "über:$7$"])
        try await Door.with([.init("plain", "password_file: \(path)")]) { (door) async throws in
            #expect(try await door.publish("plain", ["-u", "alice", "-P", "wonder land"]).exitCode == 0)
            #expect(try await door.publish("plain", ["-u", "bob", "-P", "über:$7$"]).exitCode == 0)
            #expect(try await door.publish("plain", ["-u", "bob", "-P", "wonder land"]).exitCode != 0)
            #expect(try await door.publish("plain", []).exitCode != 0)
        }
    }

    @Test("a file of headwater passwd, which the broker reads again")
    func ownPasswd() async throws {
        let headwater = try BrokerProcess.builtExecutable()
        let path = files.path("ours")
        let first = files.write("first", "first secret\n")
        let second = files.write("second", "second secret\n")
        try await Tool.run(headwater, ["passwd", path, "alice", "--password-file", first])
        try await Door.with([.init("plain", "password_file: \(path)")]) { door in
            #expect(try await door.login("plain", "alice", "first secret") == .success)
            try await Tool.run(headwater, ["passwd", path, "alice", "--password-file", second])
            try await door.reload(isGood: true)
            #expect(try await door.login("plain", "alice", "first secret") == .badUserNameOrPassword)
            #expect(try await door.login("plain", "alice", "second secret") == .success)
        }
    }

    @Test("all three kinds of hashes, with every byte of the password")
    func kinds() async throws {
        let long = String(repeating: "p", count: 5_000)
        let text =
            Passwords.line("old", "sesame", .sha512) + Passwords.line("middle", "sesame", .init(.pbkdf2(iterations: 1_000)))
            + Passwords.line("new", long, .argon2id)
        try await Door.with([listener(text)]) { (door) async throws in
            #expect(try await door.login("plain", "old", "sesame") == .success)
            #expect(try await door.login("plain", "middle", "sesame") == .success)
            #expect(try await door.login("plain", "new", long) == .success)
            #expect(try await door.login("plain", "new", String(long.dropLast())) == .badUserNameOrPassword)
            #expect(try await door.login("plain", "old", "sesame\0") == .badUserNameOrPassword)
            #expect(try await door.login("plain", "old", nil) == .badUserNameOrPassword)
            #expect(try await door.login("plain", "old", "") == .badUserNameOrPassword)
        }
    }

    @Test("nobody, strangers and wrong passwords are refused in both versions, and told apart by nothing")
    func refused() async throws {
        try await Door.with([listener(Passwords.line("alice", "sesame"))], "logins: {max_failures: 0}") { door in
            #expect(try await door.login("plain", "alice", "wrong") == .badUserNameOrPassword)
            #expect(try await door.login("plain", "stranger", "wrong") == .badUserNameOrPassword)
            #expect(try await door.login("plain", nil, nil) == .notAuthorized)
            let old = try await door.client("plain", version: .v3_1_1)
            let answer = try await old.connect("old") { $0.username = "alice"; $0.password = Array("wrong".utf8) }
            #expect(answer.reason == .badUserNameOrPassword)
            try await door.waits(for: "headwater_connections", toBe: 0)
        }
    }

    @Test("a stranger's refusal takes as long as a user's")
    func timing() async throws {
        let text = (0..<5).map { Passwords.line("user-\($0)", "sesame", Passwords.slow) }.joined()
        try await Door.with([listener(text)], "logins: {max_failures: 0}", isAlone: true) { door in
            func refusal(_ user: String) async throws -> Duration {
                let began = ContinuousClock.now
                #expect(try await door.login("plain", user, "wrong") == .badUserNameOrPassword)
                return ContinuousClock.now - began
            }
            var (known, unknown) = (Duration.seconds(100), Duration.seconds(100))
            // In turn, so that what else the machine does meets both; each name once, as a second try would wait.
            for number in 0..<5 {
                known = min(known, try await refusal("user-\(number)"))
                unknown = min(unknown, try await refusal("stranger-\(number)"))
            }
            #expect(unknown > known / 2 && unknown < known * 2, "\(unknown) for strangers, \(known) for users")
        }
    }

    @Test("more logins than can be checked are refused with 0x97, and held against nobody")
    func overload() async throws {
        let limits = "limits: {hashing_threads: 1, max_waiting_logins: 2}\nlogins: {max_failures: 1}"
        let text = (0..<12).map { Passwords.line("user-\($0)", "sesame", Passwords.slow) }.joined()
        try await Door.with([listener(text), .init("open", "allow_anonymous: true")], limits) { door in
            let answers = try await withThrowingTaskGroup(of: ReasonCode.self) { group in
                for number in 0..<12 { group.addTask { try await door.login("plain", "user-\(number)", "sesame") } }
                // Hashes are nobody else's business: the loops go on.
                let began = ContinuousClock.now
                #expect(try await door.login("open", nil, nil) == .success)
                #expect(ContinuousClock.now - began < .seconds(5))
                return try await group.reduce(into: [ReasonCode]()) { $0.append($1) }
            }
            #expect(answers.contains(.success), "\(answers)")
            #expect(answers.contains(.quotaExceeded), "\(answers)")
            #expect(answers.allSatisfy { $0 == .success || $0 == .quotaExceeded }, "\(answers)")
            #expect(try await door.figure(#"headwater_logins_failed_total{reason="password"}"#) == 0)
            #expect(try await door.login("plain", "user-0", "sesame") == .success)
        }
    }

    @Test("an address is banned after so many failures, and another is not")
    func ban() async throws {
        let text = Passwords.line("alice", "sesame")
        try await Door.with([listener(text)], "logins: {max_failures: 3, ban: 1h}") { door in
            for number in 0..<3 { #expect(try await door.login("plain", "user-\(number)", "guess") == .badUserNameOrPassword) }
            let banned = try await door.publish("plain", ["-u", "alice", "-P", "sesame"])
            #expect(banned.exitCode != 0)
            let elsewhere = try await door.publish("plain", ["-u", "alice", "-P", "sesame", "-A", "127.0.0.2"])
            #expect(elsewhere.exitCode == 0, "\(elsewhere.errors)")
            #expect(try await door.figure("headwater_connections_turned_away_total") == 1)
            #expect(door.log.contains("login banned: address=127.0.0.1 seconds=3600"), "\(door.log)")
        }
    }

    @Test("a failed login is one line of a stable form, and no password is ever in the log")
    func line() async throws {
        let text = Passwords.line("alice", "the-right-one")
        try await Door.with([listener(text)], "logins: {max_failures: 0}", arguments: ["--log-level", "trace"]) { door in
            #expect(try await door.login("plain", "alice", "the-wrong-one") == .badUserNameOrPassword)
            #expect(try await door.login("plain", "eve\" address=192.0.2.9 é", "the-wrong-one") == .badUserNameOrPassword)
            #expect(try await door.login("plain", "alice", "the-right-one") == .success)
            let lines = door.log.split(separator: "\n").filter { $0.contains("login failed: ") }
                .map { $0.split(separator: "headwater: ").last ?? "" }
            #expect(
                lines == [
                    #"login failed: user="alice" address=127.0.0.1 listener=plain reason=password"#,
                    #"login failed: user="eve\x22 address=192.0.2.9 \xc3\xa9" address=127.0.0.1 listener=plain reason=password"#,
                ])
            #expect(!door.log.contains("the-wrong-one") && !door.log.contains("the-right-one"))
            let digest = try #require(text.split(whereSeparator: { $0 == "$" || $0 == "\n" }).last)
            #expect(!door.log.contains(digest))
            let page = try await door.process.page("/metrics")
            #expect(page.contains(#"headwater_logins_failed_total{reason="password"} 2"#))
        }
    }
}
