#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Whom failed logins are counted for: an IPv4 address, or the /64 of an IPv6 address, which is what one household or one
/// rented machine has. An IPv4 address inside an IPv6 one is the IPv4 address.
package struct LoginAddress: Hashable, Sendable, CustomStringConvertible {
    /// The upper half of the IPv6 form, and for IPv4 the lower half as well.
    private let network: UInt64
    private let host: UInt64
    /// Neither: a Unix socket, or an address that isn't known. Never banned, since all of them are one.
    package let isLocal: Bool

    package static let local = LoginAddress(network: 0, host: 0, isLocal: true)

    private init(network: UInt64, host: UInt64, isLocal: Bool) {
        self.network = network
        self.host = host
        self.isLocal = isLocal
    }

    /// - Parameter peer: As `ClientInfo.peerAddress` has it: `192.0.2.1:50123`, `[2001:db8::1]:50123`, `unix`; or an address alone.
    package init(peer: String) {
        let text = Self.host(of: peer)
        if let bytes = Self.parse(text) { self.init(bytes: bytes) } else { self = .local }
    }

    /// - Parameter bytes: 4 or 16 bytes in network order; others are `local`.
    package init(bytes: [UInt8]) {
        func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        if bytes.count == 4 {
            self.init(network: 0, host: 0xFFFF << 32 | word(bytes[...]), isLocal: false)
        } else if bytes.count == 16, bytes.starts(with: mapped) {
            self.init(network: 0, host: 0xFFFF << 32 | word(bytes[12...]), isLocal: false)
        } else if bytes.count == 16 {
            self.init(network: word(bytes[..<8]), host: 0, isLocal: false)
        } else {
            self = .local
        }
    }

    package var description: String {
        if isLocal { return "unix" }
        if network == 0, host >> 32 == 0xFFFF {
            return (0..<4).reversed().map { String(host >> (8 * UInt64($0)) & 0xFF) }.joined(separator: ".")
        }
        return (0..<4).reversed().map { String(network >> (16 * UInt64($0)) & 0xFFFF, radix: 16) }.joined(separator: ":") + "::/64"
    }

    /// The address of a peer without port, brackets and zone.
    package static func host(of peer: String) -> String {
        if peer.hasPrefix("["), let end = peer.firstIndex(of: "]") {
            return String(peer[peer.index(after: peer.startIndex)..<end].prefix { $0 != "%" })
        }
        let colons = peer.utf8.count { $0 == UInt8(ascii: ":") }
        return String(peer.prefix { colons == 1 ? $0 != ":" : $0 != "%" })
    }

    private static func parse(_ text: String) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &bytes) == 1 { return Array(bytes[..<4]) }
        return inet_pton(AF_INET6, text, &bytes) == 1 ? bytes : nil
    }
}
