/// A range of IP addresses, written as CIDR: `10.0.0.0/8`, `2001:db8::/32`, or one address.
///
/// An IPv4 range contains the IPv4-mapped IPv6 addresses of its addresses, because that is how a dual-stack listener sees them.
package struct AddressRange: Sendable, Hashable, CustomStringConvertible {
    /// The first address of the range.
    package let base: IPAddress
    /// Bits that all its addresses have in common, 0…32 or 0…128.
    package let prefixBits: Int

    /// Why a text is no range. The text says what to write instead.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    package init(_ text: some StringProtocol) throws(Fault) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else {
            throw Fault(description: "\"\(text)\" is no address range; write an IP address, or a range such as 10.0.0.0/8 or 2001:db8::/32")
        }
        let width = address.isIPv4 ? 32 : 128
        var bits = width
        if parts.count == 2 {
            let digits = parts[1]
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits), number <= width,
                digits.utf8.count == 1 || digits.utf8.first != 0x30
            else { throw Fault(description: "\"\(text)\" has no prefix length of 0 to \(width) behind the slash") }
            bits = number
        }
        let base = address.masked(to: bits + 128 - width)
        guard base == address else {
            throw Fault(
                description: "\"\(text)\" has bits set behind its prefix; write \(base)/\(bits) for the range, or the address alone")
        }
        self.base = base
        prefixBits = bits
    }

    package func contains(_ address: IPAddress) -> Bool {
        guard base.isIPv4 else {
            // ::/0 and the like are meant for IPv6, although mapped addresses would fit.
            return !address.isIPv4 && address.masked(to: prefixBits) == base
        }
        return address.isIPv4 && address.masked(to: prefixBits + 96) == base
    }

    package var description: String { prefixBits == (base.isIPv4 ? 32 : 128) ? "\(base)" : "\(base)/\(prefixBits)" }
}

/// The peers whose word about a client's address is taken.
package struct TrustedPeers: Sendable, Hashable {
    package var ranges: [AddressRange]
    /// Whoever may open the socket's file is trusted.
    package var includesUnixSockets: Bool

    /// Trusts nobody.
    package init() {
        ranges = []
        includesUnixSockets = false
    }

    /// - Parameter texts: Ranges, or `unix` for those that come through a Unix socket.
    package init(_ texts: [String]) throws(AddressRange.Fault) {
        self.init()
        for text in texts {
            if text == "unix" { includesUnixSockets = true } else { ranges.append(try AddressRange(text)) }
        }
    }

    package func trusts(_ address: IPAddress) -> Bool { ranges.contains { $0.contains(address) } }

    package func trusts(_ peer: PeerAddress) -> Bool {
        switch peer {
        case .ip(let address, _): trusts(address)
        case .unix: includesUnixSockets
        case .unknown: false
        }
    }
}
