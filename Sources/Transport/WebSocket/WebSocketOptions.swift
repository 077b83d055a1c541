/// What a listener asks of a WebSocket client before MQTT begins.
package struct WebSocketOptions: Sendable, Equatable {
    /// Which header of a trusted proxy names the client. Only one is believed, since a proxy that writes the one passes the other on as
    /// the client has sent it.
    package enum ClientAddressHeader: String, Sendable, CaseIterable {
        case xForwardedFor = "X-Forwarded-For"
        /// RFC 7239.
        case forwarded = "Forwarded"
    }

    /// The only path that is served, compared byte by byte without a query; `nil`: any.
    package var path: String?
    /// Pages that may connect; empty: all. What no page has caused, a request without an Origin header, is not concerned: a program
    /// can say what it likes there.
    package var origins: Set<WebOrigin> = []
    /// Whether a request without an Origin header is refused where `origins` are given.
    package var requiresOrigin = false
    /// Bytes of the request, from the first to the empty line, 256…1,048,576.
    package var maxRequestBytes = 16_384
    /// Seconds from the connection (or from the end of what came before, TLS) to the end of the request.
    package var timeoutSeconds = 10
    /// Whose word about the client's address is taken.
    package var trustedProxies = TrustedPeers()
    package var clientAddressHeader = ClientAddressHeader.xForwardedFor

    package init() {}
}

/// What the request of a WebSocket client has told.
package struct WebSocketFacts: Sendable, Equatable {
    /// The client's address as trusted proxies tell it; `nil`: no proxy, and the peer of the connection is the client.
    package let forwardedAddress: IPAddress?
    /// Without a query, at most 1,024 bytes of what the client has sent.
    package let path: String
    /// `nil`: no browser.
    package let origin: WebOrigin?
    /// As agreed: `mqtt` or `mqttv3.1`.
    package let subprotocol: String
}

/// Why a WebSocket client was sent away.
package enum WebSocketRefusal: String, Sendable, CaseIterable {
    case timeout = "timeout"
    case requestTooLarge = "request_too_large"
    case malformedRequest = "malformed_request"
    /// Something behind the request's head that is no frame: a body, or a second request.
    case requestBody = "request_body"
    case method = "method"
    case path = "path"
    case notAnUpgrade = "not_an_upgrade"
    case version = "version"
    case key = "key"
    case subprotocol = "subprotocol"
    case origin = "origin"
}
