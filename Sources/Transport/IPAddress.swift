import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An IPv4 or IPv6 address. IPv4 is kept in its IPv4-mapped form (RFC 4291 section 2.5.5.2), so that both ways in which the system
/// shows one client are equal.
package struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64

    package init(v4 address: UInt32) {
        high = 0
        low = 0xFFFF_0000_0000 | UInt64(address)
    }

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// 4 or 16 bytes in network order; `nil` for any other number.
    package init?(networkOrder bytes: UnsafeRawBufferPointer) {
        switch bytes.count {
        case 4: self.init(v4: UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
        case 16:
            self.init(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        default: return nil
        }
    }

    /// Dotted decimals without leading zeros, or IPv6 without zone and brackets.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count < 46, !text.utf8.contains(0) else { return nil }
        let isV6 = text.utf8.contains(UInt8(ascii: ":"))
        var bytes: (UInt64, UInt64) = (0, 0)
        guard inet_pton(isV6 ? AF_INET6 : AF_INET, String(text), &bytes) == 1 else { return nil }
        if isV6 {
            self.init(high: UInt64(bigEndian: bytes.0), low: UInt64(bigEndian: bytes.1))
        } else {
            self.init(v4: UInt32(truncatingIfNeeded: UInt64(bigEndian: bytes.0) >> 32))
        }
    }

    /// Whom limits by address count for: one /64 of IPv6 is one customer's, who has all of its addresses.
    package var customer: IPAddress { isIPv4 ? self : masked(to: 64) }

    package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// With all but the first bits cleared.
    /// - Parameter bits: 0…128; an IPv4 address begins at bit 96.
    func masked(to bits: Int) -> IPAddress {
        // A shift by the whole width gives 0 in Swift, which is what is wanted.
        IPAddress(high: high & ~(UInt64.max >> UInt64(min(bits, 64))), low: low & ~(UInt64.max >> UInt64(max(bits - 64, 0))))
    }

    package var description: String {
        var bytes = (high.bigEndian, low.bigEndian)
        var text = [CChar](repeating: 0, count: 46)
        _ = withUnsafeBytes(of: &bytes) { raw in
            isIPv4
                ? inet_ntop(AF_INET, raw.baseAddress! + 12, &text, 46)  // the tuple has 16 bytes
                : inet_ntop(AF_INET6, raw.baseAddress!, &text, 46)
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Where a connection comes from.
package enum PeerAddress: Sendable, Hashable, CustomStringConvertible {
    /// `port` is `nil` where nobody has told it.
    case ip(IPAddress, port: UInt16?)
    case unix
    /// The peer has gone before the system could be asked.
    case unknown

    /// Who is at the other end of an accepted channel. The peer of a Unix socket has no address of its own, but its listener has.
    package init(of channel: any Channel) {
        if let address = channel.remoteAddress {
            self.init(address)
        } else if case .unixDomainSocket = channel.localAddress {
            self = .unix
        } else {
            self = .unknown
        }
    }

    package init(_ address: SocketAddress) {
        // Offsets of sockaddr_in and sockaddr_in6: their fields belong to a module of NIO's own.
        let ip: IPAddress? =
            switch address {
            case .v4(let address):
                withUnsafeBytes(of: address.address) { IPAddress(networkOrder: UnsafeRawBufferPointer(rebasing: $0[4..<8])) }
            case .v6(let address):
                withUnsafeBytes(of: address.address) { IPAddress(networkOrder: UnsafeRawBufferPointer(rebasing: $0[8..<24])) }
            case .unixDomainSocket: nil
            }
        self = ip.map { .ip($0, port: address.port.map { UInt16(truncatingIfNeeded: $0) }) } ?? .unix
    }

    package var ip: IPAddress? {
        if case .ip(let address, _) = self { address } else { nil }
    }

    package var description: String {
        switch self {
        case .ip(let address, nil): "\(address)"
        case .ip(let address, let port?): address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
        case .unix: "unix"
        case .unknown: "unknown"
        }
    }
}
