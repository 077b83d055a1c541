import NIOCore
import Transport

/// What is known of a peer before its first packet.
struct PeerFacts: Sendable {
    /// What a trusted proxy says stands in place of the proxy's own address.
    let source: PeerAddress
    /// As it is logged, with the port: `192.0.2.1:50123`, `[2001:db8::1]:50123`, or `unix`.
    let address: String
    /// What a trusted proxy says of the TLS connection that it has with the client.
    var proxied: ProxyHeader.TLS?
    /// The host name that the client asked the proxy for.
    var proxiedServerName: String?

    init(_ source: PeerAddress) {
        self.source = source
        address = source.description
    }
}
