import NIOHTTP1

/// The client's address behind proxies: of the addresses in the header, the last that no trusted proxy has.
///
/// Each proxy appends the address of its own peer. Read from the end, every address was written by a trusted proxy until one comes that
/// is not trusted: the client. What stands before it the client may have made up.
enum ForwardedAddress {
    /// - Parameter peer: Who sent the request to us.
    /// - Returns: `nil` when the peer is not trusted, or has told nothing that can be used.
    static func client(
        behind peer: PeerAddress, headers: HTTPHeaders, named header: WebSocketOptions.ClientAddressHeader, trusting trusted: TrustedPeers
    ) -> IPAddress? {
        guard trusted.trusts(peer) else { return nil }
        var nearest: IPAddress?
        for element in headers[canonicalForm: header.rawValue].reversed() {
            let text = header == .forwarded ? forParameter(of: element) : element
            // "unknown", a made-up name or nonsense: nobody knows who is behind the last that is known
            guard let text, let address = address(in: text) else { return nearest }
            nearest = address
            if !trusted.trusts(address) { return address }
        }
        return nearest
    }

    /// An address, with a port where the proxy writes one: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
    private static func address(in text: Substring) -> IPAddress? {
        if text.utf8.first == UInt8(ascii: "[") {
            guard let end = text.utf8.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            let rest = text[text.utf8.index(after: end)...]
            guard rest.isEmpty || rest.utf8.first == UInt8(ascii: ":") else { return nil }
            return IPAddress(text[..<end].dropFirst())
        }
        if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), text.utf8.lastIndex(of: UInt8(ascii: ":")) == colon {
            return IPAddress(text[..<colon])
        }
        return IPAddress(text)
    }

    /// `for=…` of one element of Forwarded, its quotes taken off. A quoted value has no comma in it that an address could have.
    private static func forParameter(of element: Substring) -> Substring? {
        for pair in element.utf8.split(separator: UInt8(ascii: ";")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            guard trimmed(Substring(parts[0])).lowercased() == "for" else { continue }
            let value = trimmed(Substring(parts[1]))
            guard value.utf8.first == UInt8(ascii: "\"") else { return value }
            guard value.utf8.count > 1, value.utf8.last == UInt8(ascii: "\"") else { return nil }
            return value.dropFirst().dropLast()
        }
        return nil
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
