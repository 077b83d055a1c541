/// What a proxy says about the connection that it passes on: the PROXY protocol of HAProxy, versions 1 and 2
/// (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt).
package struct ProxyHeader: Sendable, Equatable {
    /// Who the client is; `nil`: the proxy speaks for itself (LOCAL, a health check) or doesn't know (UNKNOWN, UNSPEC), and the peer of
    /// the connection is all there is.
    package var source: PeerAddress?
    /// Where the client has connected to; `nil` as for `source`.
    package var destination: PeerAddress?
    /// The connection is the proxy's own: nobody stands behind it.
    package var isLocal = false
    /// `nil`: the client came without TLS, or the proxy says nothing of it.
    package var tls: TLS?
    /// ALPN as the client and the proxy agreed, or the proxy's own choice.
    package var alpn: String?
    /// The host name that the client asked for (SNI), in lower case.
    package var authority: String?
    /// At most 128 bytes.
    package var uniqueID: [UInt8]?

    /// TLS between client and proxy.
    package struct TLS: Sendable, Equatable {
        /// As OpenSSL names it, `TLSv1.3`.
        package var version: String?
        package var cipher: String?
        /// The client presented a certificate, on this connection or in the session that it resumed, and the proxy has verified it.
        package var hasVerifiedCertificate = false
        /// Of the certificate's subject; `nil` unless it was verified.
        package var commonName: String?
    }

    package enum Version: UInt8, Sendable, CaseIterable {
        /// A line of text: addresses alone.
        case v1 = 1
        /// Binary, with facts about TLS.
        case v2 = 2
    }

    package enum Parsed: Sendable, Equatable {
        /// All is well so far.
        case needMore
        case header(ProxyHeader, byteCount: Int)
        case malformed(String)
    }

    /// Longest header of version 1 with its line end.
    package static let maxV1Bytes = 107

    /// Reads a header at the beginning of `bytes`. A fault is told as soon as it is there, before the header is complete.
    ///
    /// - Parameters:
    ///   - accepting: Versions that may come.
    ///   - maxBytes: Most bytes of a header of version 2 behind its first 16; more is malformed before any of it is awaited.
    package static func parse(_ bytes: UnsafeRawBufferPointer, accepting: Set<Version>, maxBytes: Int) -> Parsed {
        guard let first = bytes.first else { return .needMore }
        switch first {
        case UInt8(ascii: "P"): return accepting.contains(.v1) ? parseV1(bytes) : .malformed("version 1 is not accepted")
        case signature[0]: return accepting.contains(.v2) ? parseV2(bytes, maxBytes: maxBytes) : .malformed("version 2 is not accepted")
        default: return .malformed("no PROXY header")
        }
    }

    /// First bytes of version 2.
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
}
