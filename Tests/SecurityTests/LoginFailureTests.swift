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
        #expect(LoginFailure.line(user: [], peer: "unix", listener: "a b", reason: .psk).contains("address=unix listener=a\\x20b reason=psk"))
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
