import Foundation
import Testing

@testable import Security

@Suite struct PasswordFileTests {
    static let hash = PasswordHashTests.foreign[0]

    static func table(_ text: String) throws -> PasswordTable { try PasswordFile.parse(Array(text.utf8), path: "passwords") }

    /// All faults of a text, one line each.
    static func faults(_ bytes: [UInt8]) -> [String] {
        do throws(SecurityFaults) {
            _ = try PasswordFile.parse(bytes, path: "passwords")
            return []
        } catch {
            return error.description.split(separator: "\n").map(String.init)
        }
    }

    @Test("users and comments, blank lines, carriage returns, a byte order mark, blanks around fields and no end of the last line")
    func accepted() throws {
        let text =
            "\u{FEFF}# users\r\n\r\nalice:\(Self.hash)\r\n  bob \t: \(Self.hash) \n \t \nкарл:\(Self.hash):left out\n#x:y\nd e:\(Self.hash)"
        let table = try Self.table(text)
        #expect(table.count == 4)
        for name in ["alice", "bob", "карл", "d e"] {
            #expect(table.verify(Array(name.utf8), password: Array("geheim".utf8)) == .right, "\(name)")
            #expect(table.verify(Array(name.utf8), password: Array("falsch".utf8)) == .wrong)
        }
        #expect(table.verify(Array("# users".utf8), password: Array("geheim".utf8)) == .wrong)
        #expect(try Self.table("").count == 0 && Self.table("\u{FEFF}").count == 0 && Self.table("#").count == 0)
    }

    @Test("names differ by their bytes, not by what they look like")
    func exactNames() throws {
        let table = try Self.table("caf\u{E9}:\(Self.hash)\ncafe\u{301}:\(Self.hash)\nAlice:\(Self.hash)\nalice:\(Self.hash)")
        #expect(table.count == 4)
    }

    @Test("every fault is told at once, with its line and how to mend it, and without the password")
    func faults() {
        let lines = [
            "alice:\(Self.hash)", "geheim42", ":\(Self.hash)", "bob:", "carl:geheim42", "alice:\(Self.hash)", "eve\u{1}:\(Self.hash)",
            "fred:$7$2147483647$AAECAwQFBgcICQoL$AAAA", " # indented comment",
        ]
        let faults = Self.faults(Array(lines.joined(separator: "\n").utf8))
        let expected = [
            "passwords:2: the line has no colon", "passwords:3: the username is empty", "passwords:4: there is no hash",
            "passwords:5: a plain password", "passwords:6: user \"alice\" was given in line 1 already",
            "passwords:7: the username has a control character", "passwords:8: the digest has", "passwords:9: the line has no colon",
        ]
        #expect(faults.count == expected.count)
        for (fault, start) in zip(faults, expected) {
            #expect(fault.hasPrefix(start), "\(fault)")
            #expect(fault.contains("; ") && !fault.contains("geheim42"))
        }
    }

    @Test("a user whose first line is wrong is not let in by a second one")
    func secondLine() {
        #expect(Self.faults(Array("alice:x\nalice:\(Self.hash)".utf8)).count == 2)
    }

    @Test("NULs, invalid UTF-8, UTF-16 and a line of a megabyte are refused, quickly and with their line")
    func hostile() {
        for name in [[0], [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80]] as [[UInt8]] {
            #expect(Self.faults(name + Array(":\(Self.hash)".utf8)).first?.hasPrefix("passwords:1: the username") == true)
        }
        #expect(Self.faults(Array("a:\(Self.hash)\0".utf8)).count == 1)
        #expect(Self.faults(Array("a:$6$\0$".utf8)).count == 1)
        let wide = "a:\(Self.hash)\n".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        #expect(!Self.faults([0xFF, 0xFE] + wide).isEmpty)
        let megabyte = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
        #expect(Self.faults(megabyte).first?.contains("no colon") == true)
        #expect(Self.faults(megabyte + Array(":\(Self.hash)".utf8)).first?.contains("more than 65535 bytes") == true)
        #expect(Self.faults(Array("a:".utf8) + megabyte).first?.contains("more than 65535 bytes") == true)
        #expect(Self.faults(Array("a:$7$1$".utf8) + megabyte + Array("$AAAA".utf8)).count == 1)
        #expect(Self.faults([UInt8](repeating: 0, count: 1 << 20)).count == 1)
        #expect(Self.faults([UInt8](repeating: UInt8(ascii: "\n"), count: 1 << 20)).isEmpty)
        let many = Self.faults(Array(String(repeating: "x\n", count: 5_000).utf8))
        #expect(many.count == 101 && many.last == "… and 4900 more of the kind")
    }

    @Test("random bytes and damaged files are read or refused, and never crash")
    func fuzz() {
        var random = SystemRandomNumberGenerator()
        let good = Array(PasswordHashTests.foreign.enumerated().map { "user\($0):\($1)\n" }.joined().utf8)
        for _ in 0..<3_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: at)
                default: bytes.insert(UInt8("$:,=\n\0Az09".utf8.randomElement(using: &random)!), at: at)
                }
            }
            for fault in Self.faults(bytes) { #expect(fault.hasPrefix("passwords:") || fault.hasPrefix("…")) }
        }
    }

    @Test("a hundred thousand users are read in bounded time")
    func large() throws {
        var text: [UInt8] = []
        for number in 0..<100_000 { text += Array("device-\(number):\(PasswordHashTests.foreign[1])\n".utf8) }
        let clock = ContinuousClock()
        var table = PasswordTable()
        let time = try clock.measure { table = try PasswordFile.parse(text, path: "passwords") }
        #expect(table.count == 100_000)
        #expect(time < .seconds(60))
    }

    @Test("a file of mosquitto_passwd lets in who is in it", .enabled(if: Program.exists("mosquitto_passwd")))
    func mosquitto() throws {
        let directory = try TestDirectory()
        let file = directory.path("passwords")
        for (user, password) in [("alice", "wonder"), ("bob", "pass word"), ("карл", "ключ")] {
            let flags = FileManager.default.fileExists(atPath: file) ? ["-b"] : ["-c", "-b"]
            try Program.run("mosquitto_passwd", flags + [file, user, password])
        }
        let table = try PasswordFile.load(file).table
        #expect(table.count == 3)
        #expect(table.verify(Array("alice".utf8), password: Array("wonder".utf8)) == .right)
        #expect(table.verify(Array("bob".utf8), password: Array("pass word".utf8)) == .right)
        #expect(table.verify(Array("карл".utf8), password: Array("ключ".utf8)) == .right)
        #expect(table.verify(Array("alice".utf8), password: Array("pass word".utf8)) == .wrong)
    }

    @Test("a user that doesn't exist costs one hash like those of most, whatever was asked for")
    func unknownUsers() throws {
        let argon = PasswordHashTests.foreign[3]
        let table = try Self.table("a:\(argon)\nb:\(argon)\nc:\(Self.hash)")
        let known = table.challenge(for: [UInt8(ascii: "a")])
        let unknown = table.challenge(for: [UInt8(ascii: "x")])
        #expect(unknown.cost == known.cost)
        #expect(table.challenge(for: [UInt8(ascii: "x")]) == unknown)
        #expect(unknown.verify(Array("geheim".utf8)) == .wrong)
        #expect(PasswordTable().challenge(for: []).cost == .sha512)
    }
}
