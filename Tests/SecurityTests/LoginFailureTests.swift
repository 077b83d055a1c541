import Foundation
import Testing

@testable import Security

@Suite struct LoginFailureTests {
    @Test("the line has one form")
    func form() {
        #expect(
            LoginFailure.line(user: Array("alice".utf8), peer: "192.0.2.1:50123", listener: "mqtts", reason: .password)
                == "login failed: user=\"alice\" address=192.0.2.1 listener=mqtts reason=password")
        #expect(
            LoginFailure.line(user: [], peer: "[2001:db8::1%eth0]:1", listener: "", reason: .tokenExpired)
                == "login failed: user=\"\" address=2001:db8::1 listener=- reason=token-expired")
        #expect(
            LoginFailure.line(user: [], peer: "unix", listener: "a b", reason: .psk).contains("address=unix listener=a\\x20b reason=psk"))
    }

    static let forgeries: [[UInt8]] = [
        Array("x\" address=198.51.100.7 listener=l reason=password".utf8),
        Array("x\nlogin failed: user=\"y\" address=198.51.100.7 listener=l reason=password".utf8),
        Array("x\\\" address=198.51.100.7".utf8), Array("\r\u{1B}[2K\u{85}\u{2028}\u{202E}".utf8), [0, 0xFF, 0xC0, 0x80],
        [UInt8](repeating: UInt8(ascii: "\""), count: 65_535),
    ]

    @Test("no user's name makes another field or another line of it", arguments: forgeries)
    func forgery(user: [UInt8]) {
        let line = LoginFailure.line(user: user, peer: "192.0.2.1:1", listener: "l", reason: .password)
        #expect(line.utf8.allSatisfy { (0x20..<0x7F).contains($0) })
        #expect(line.utf8.count { $0 == UInt8(ascii: "\"") } == 2)
        #expect(line.hasSuffix("\" address=192.0.2.1 listener=l reason=password"))
        #expect(line.utf8.count < 700)
    }
}

/// deploy/fail2ban reads what `LoginFailure` writes, as the log puts it, and nothing else.
@Suite struct LoginFilterTests {
    /// The addresses that the filter finds in lines from which fail2ban has cut the time.
    static func addresses(_ line: String) throws -> [String] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let filter = try String(contentsOf: root.appending(path: "deploy/fail2ban/filter.d/headwater.conf"), encoding: .utf8)
        let expressions = filter.split(separator: "\n").filter { $0.hasPrefix("_text = ") || $0.hasPrefix("_json = ") }
        #expect(expressions.count == 2)
        return try expressions.compactMap { expression in
            let pattern = expression.dropFirst("_text = ".count).replacingOccurrences(of: "<ADDR>", with: "([0-9a-fA-F:.]+)")
            let match = try NSRegularExpression(pattern: pattern).firstMatch(in: line, range: NSRange(line.startIndex..., in: line))
            return match.flatMap { Range($0.range(at: 1), in: line) }.map { String(line[$0]) }
        }
    }

    static func text(_ message: String) -> String { " warning  headwater: \(message)" }
    static func json(_ message: String) -> String {
        let escaped = message.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
        return "{,\"level\":\"warning\",\"logger\":\"headwater\",\"message\":\"\(escaped)\"}"
    }

    @Test(
        "each failure gives its own address, whatever the user is called",
        arguments: LoginFailureTests.forgeries + [Array("alice".utf8), []])
    func found(user: [UInt8]) throws {
        for reason in LoginFailureReason.allCases {
            let line = LoginFailure.line(user: user, peer: "[2001:db8::7]:1", listener: "mq ttß", reason: reason)
            #expect(try Self.addresses(Self.text(line)) == ["2001:db8::7"])
            #expect(try Self.addresses(Self.json(line)) == ["2001:db8::7"])
            #expect(try Self.addresses("host headwater[7]: 2026-01-01T00:00:00.000Z" + Self.text(line)) == ["2001:db8::7"])
        }
        #expect(try Self.addresses(Self.text(LoginFailure.line(user: user, peer: "unix", listener: "l", reason: .psk))) == [])
    }

    @Test("the text inside another line gives none")
    func notFound() throws {
        let line = LoginFailure.line(user: [], peer: "192.0.2.1:1", listener: "l", reason: .password)
        for other in [
            " info     headwater: a client connected client=\"\(line)\"", " info     headwater: x\(Self.text(line))",
            "{,\"level\":\"info\",\"logger\":\"headwater\",\"message\":\"x\",\"metadata\":{\"client\":\"\(line)\"}}",
            " warning  headwater: login failed: user=\"a\" address=192.0.2.1 listener=l reason=password client=x", Self.text("x " + line),
        ] { #expect(try Self.addresses(other) == [], "\(other)") }
    }
}
