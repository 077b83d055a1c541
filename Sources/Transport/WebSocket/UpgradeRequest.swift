import NIOHTTP1

/// The request of a WebSocket client, checked (RFC 6455 section 4.2.1). No I/O.
struct UpgradeRequest: Equatable {
    let head: HTTPRequestHead
    let facts: WebSocketFacts

    enum Decision: Equatable {
        case upgrade(UpgradeRequest)
        case refuse(WebSocketRefusal)
    }

    static let maxPathBytes = 1_024

    /// - Parameter peer: Who is at the other end, after the PROXY protocol has told.
    static func check(_ head: HTTPRequestHead, peer: PeerAddress, options: WebSocketOptions) -> Decision {
        let headers = head.headers
        guard head.version == .http1_1, headers["Host"].count == 1, headers["Host"].first?.isEmpty == false else {
            return .refuse(.malformedRequest)
        }
        guard headers["Transfer-Encoding"].isEmpty, headers["Content-Length"].allSatisfy({ $0 == "0" }) else {
            return .refuse(.requestBody)
        }
        // Compared as it was sent, never decoded or resolved: there is nothing to climb out of.
        let path = String(head.uri.prefix { $0 != "?" && $0 != "#" })
        guard path.utf8.first == UInt8(ascii: "/"), path.utf8.count <= maxPathBytes, options.path == nil || options.path == path else {
            return .refuse(.path)
        }
        guard head.method == .GET else { return .refuse(.method) }
        guard lists(headers, "Upgrade", "websocket"), lists(headers, "Connection", "upgrade") else { return .refuse(.notAnUpgrade) }
        guard headers["Sec-WebSocket-Version"] == ["13"] else { return .refuse(.version) }
        let keys = headers["Sec-WebSocket-Key"]
        guard keys.count == 1, isKey(keys[0]) else { return .refuse(.key) }
        let offered = headers[canonicalForm: "Sec-WebSocket-Protocol"]
        guard let subprotocol = ["mqtt", "mqttv3.1"].first(where: { offered.contains(Substring($0)) }) else { return .refuse(.subprotocol) }
        let origins = headers["Origin"]
        let origin = origins.first.flatMap { WebOrigin($0) }
        if !options.origins.isEmpty {
            if origins.isEmpty {
                guard !options.requiresOrigin else { return .refuse(.origin) }
            } else {
                guard origins.count == 1, let origin, options.origins.contains(origin) else { return .refuse(.origin) }
            }
        }
        let address = ForwardedAddress.client(
            behind: peer, headers: headers, named: options.clientAddressHeader, trusting: options.trustedProxies)
        return .upgrade(
            UpgradeRequest(
                head: head, facts: WebSocketFacts(forwardedAddress: address, path: path, origin: origin, subprotocol: subprotocol)))
    }

    /// Whether a header that is a list has this token, in any case of letters.
    private static func lists(_ headers: HTTPHeaders, _ name: String, _ token: String) -> Bool {
        headers[canonicalForm: name].contains { $0.utf8.count == token.utf8.count && $0.lowercased() == token }
    }

    /// 16 bytes in base64: 22 characters and two marks.
    private static func isKey(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 24, bytes[22] == UInt8(ascii: "="), bytes[23] == UInt8(ascii: "=") else { return false }
        return bytes[..<22].allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "+"), UInt8(ascii: "/"): true
            default: false
            }
        }
    }
}

extension WebSocketRefusal {
    /// The answer: a fixed text, never a word of the request. `nil`: none, the time is up.
    var answer: (status: HTTPResponseStatus, headers: [(String, String)], text: String)? {
        switch self {
        case .timeout: nil
        case .requestTooLarge: (.requestHeaderFieldsTooLarge, [], "the request is too large")
        case .malformedRequest: (.badRequest, [], "not an HTTP/1.1 request")
        case .requestBody: (.badRequest, [], "a request with a body")
        case .method: (.methodNotAllowed, [("Allow", "GET")], "only GET")
        case .path: (.notFound, [], "not found")
        case .notAnUpgrade: (.upgradeRequired, [("Upgrade", "websocket")], "MQTT over WebSocket is served here, and nothing else")
        case .version: (.upgradeRequired, [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")], "only version 13")
        case .key: (.badRequest, [], "Sec-WebSocket-Key is not 16 bytes in base64")
        case .subprotocol: (.badRequest, [], "Sec-WebSocket-Protocol does not offer mqtt")
        case .origin: (.forbidden, [], "origin not allowed")
        }
    }
}
