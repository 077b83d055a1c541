/// Who a browser says a page is from: scheme, host and port (RFC 6454), compared as a whole and never by a prefix.
package struct WebOrigin: Sendable, Hashable, CustomStringConvertible {
    /// `null`: a page without an origin, such as a local file or a sandboxed frame. Every such page has it, so that to allow it is
    /// to allow all of them.
    package static let null = WebOrigin(scheme: "", host: "null", port: nil)

    private let scheme: String
    private let host: String
    private let port: UInt16?

    private init(scheme: String, host: String, port: UInt16?) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// `scheme://host[:port]` or `null`, with nothing around it: no path, no slash at the end, no user, no wildcard; `nil` otherwise.
    /// Scheme and host are the same in any case, and a scheme's own port is the same as none (RFC 6454 sections 4 and 5).
    package init?(_ text: String) {
        if text == "null" {
            self = .null
            return
        }
        guard text.utf8.count <= 512, let mark = text.range(of: "://") else { return nil }
        let scheme = text[..<mark.lowerBound].lowercased()
        var authority = text[mark.upperBound...]
        guard scheme.utf8.first.map(Self.isLetter) == true, Self.consists(scheme, ofLettersDigitsOr: "+-.") else { return nil }
        var port: UInt16?
        if let colon = authority.utf8.lastIndex(of: UInt8(ascii: ":")), authority.utf8.last != UInt8(ascii: "]") {
            let digits = authority[authority.utf8.index(after: colon)...]
            guard !digits.isEmpty, digits.utf8.allSatisfy(Self.isDigit), let number = UInt16(digits) else { return nil }
            port = number
            authority = authority[..<colon]
        }
        if authority.utf8.first == UInt8(ascii: "[") {
            guard authority.utf8.last == UInt8(ascii: "]"), let address = IPAddress(authority.dropFirst().dropLast()) else { return nil }
            host = "[\(address)]"
        } else {
            guard !authority.isEmpty, Self.consists(authority, ofLettersDigitsOr: "-._") else { return nil }
            host = authority.lowercased()
        }
        self.scheme = scheme
        self.port = port ?? Self.ports[scheme]
    }

    private static let ports: [String: UInt16] = ["http": 80, "https": 443, "ws": 80, "wss": 443]

    private static func consists(_ text: some StringProtocol, ofLettersDigitsOr others: String) -> Bool {
        text.utf8.allSatisfy { isLetter($0) || isDigit($0) || others.utf8.contains($0) }
    }
    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    package var description: String {
        if self == .null { return "null" }
        guard let port, Self.ports[scheme] != port else { return "\(scheme)://\(host)" }
        return "\(scheme)://\(host):\(port)"
    }
}

extension String {
    /// The first place of an ASCII text, without Foundation.
    fileprivate func range(of needle: String) -> Range<Index>? {
        var start = utf8.startIndex
        while start != utf8.endIndex {
            if utf8[start...].starts(with: needle.utf8) { return start..<utf8.index(start, offsetBy: needle.utf8.count) }
            start = utf8.index(after: start)
        }
        return nil
    }
}
