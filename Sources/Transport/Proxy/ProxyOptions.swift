/// What a listener behind a proxy asks of it.
package struct ProxyOptions: Sendable, Equatable {
    /// Who may send a header. Whoever else connects is closed: a header could be made up, and a connection without one would come
    /// past the proxy. Nobody by default.
    package var trusted = TrustedPeers()
    package var versions: Set<ProxyHeader.Version> = Set(ProxyHeader.Version.allCases)
    /// Whether the client must have come to the proxy with TLS. Only version 2 can tell; the proxy's own connections have none.
    package var requiresTLS = false
    /// Seconds for the whole header.
    package var timeoutSeconds = 5
    /// Most bytes of a header of version 2 behind its first 16, 0…65,535.
    package var maxHeaderBytes = 4_096

    package init() {}
}

/// Why a connection through a proxy was closed.
package enum ProxyRefusal: Sendable, Equatable {
    case untrustedPeer
    case timeout
    /// The text is ours, not the peer's.
    case malformed(String)
    case withoutTLS

    /// For metrics.
    package var name: String {
        switch self {
        case .untrustedPeer: "untrusted_peer"
        case .timeout: "timeout"
        case .malformed: "malformed"
        case .withoutTLS: "without_tls"
        }
    }
}
