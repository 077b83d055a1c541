import COpenSSL

/// A version of the protocol, ordered as they appeared.
package enum TLSVersion: Int32, Sendable, Comparable, CaseIterable, CustomStringConvertible {
    /// Deprecated (RFC 8996), and only spoken where a listener names it as its lowest.
    case v1_0 = 0x0301
    /// Deprecated (RFC 8996), and only spoken where a listener names it as its lowest.
    case v1_1 = 0x0302
    case v1_2 = 0x0303
    case v1_3 = 0x0304

    package static func < (left: TLSVersion, right: TLSVersion) -> Bool { left.rawValue < right.rawValue }

    /// "TLSv1.3", as OpenSSL writes it.
    package var description: String {
        switch self {
        case .v1_0: "TLSv1"
        case .v1_1: "TLSv1.1"
        case .v1_2: "TLSv1.2"
        case .v1_3: "TLSv1.3"
        }
    }
}
