import Headwater
import NIOHTTP1
import PluginAPI

/// What stands under `/plugins/NAME/`: a plugin's own pages, some of which change something.
///
/// Whoever scrapes metrics from another machine must not read messages or pause a route, and there is no login here: only this
/// machine's own processes are answered. An operator's browser is one of them, and shows pages of others. Three things keep those out: a
/// request that says it comes from another page is refused; POST needs a content type that no form can send; and a page that has
/// brought its own name to point here (DNS rebinding) is known by that name in `Host`.
struct PluginPages: Sendable {
    static let maxBodyBytes = 8_192

    let broker: Broker
    let address: ListenerConfiguration.Address

    func response(to request: AdminRequest) async -> AdminResponse {
        let plain: (HTTPResponseStatus, String) -> AdminResponse = { AdminResponse($0, "\($1)\n") }
        guard let method = PluginRequest.Method(rawValue: request.method.rawValue) else {
            return AdminResponse(.methodNotAllowed, "only GET and POST\n", allow: "GET, POST")
        }
        guard request.isFromHere else {
            return plain(.forbidden, "only processes of the broker's own machine are answered here; run `headwater bridge` there")
        }
        guard request.headers["Origin"].isEmpty, request.headers["Sec-Fetch-Site"].allSatisfy({ $0 == "none" }) else {
            return plain(.forbidden, "requests from web pages are refused")
        }
        guard isOwn(host: request.headers["Host"]) else {
            return plain(.forbidden, "unknown name in Host; use the address in numbers, or send \"Host: localhost\"")
        }
        guard method == .get || Self.isJSON(request.headers["Content-Type"]) else {
            return plain(.unsupportedMediaType, "POST needs \"Content-Type: application/json\"")
        }
        guard request.body.count <= Self.maxBodyBytes else { return Self.tooLarge }
        guard let (name, asked) = Self.pluginRequest(method, request) else { return plain(.badRequest, "the path is not well-formed") }
        guard let response = await broker.administer(plugin: name, asked) else { return plain(.notFound, "there is no such plugin here") }
        return AdminResponse(.init(statusCode: response.status), response.body, contentType: response.contentType)
    }

    static let tooLarge = AdminResponse(.payloadTooLarge, "the body has more than \(maxBodyBytes) bytes\n")
    static let overdue = AdminResponse(.serviceUnavailable, "the plugin has not answered in time\n")

    /// Whether a browser that was sent to this name was sent by the operator. A browser always sends one, and none to a Unix socket.
    private func isOwn(host: [String]) -> Bool {
        guard case .tcp(let own, _) = address, let sent = host.first else { return host.count <= 1 }
        guard host.count == 1 else { return false }
        if sent.hasPrefix("[") { return sent.contains("]") }
        let name = sent.prefix { $0 != ":" }.lowercased()
        let isNumeric = name.split(separator: ".", omittingEmptySubsequences: false).count == 4 && name.allSatisfy { $0.isNumber || $0 == "." }
        return isNumeric || name == "localhost" || name == own.lowercased()
    }

    private static func isJSON(_ contentType: [String]) -> Bool {
        guard contentType.count == 1, let type = contentType.first?.prefix(while: { $0 != ";" }) else { return false }
        return type.trimmingSuffix(while: \.isWhitespace).lowercased() == "application/json"
    }

    private static func pluginRequest(_ method: PluginRequest.Method, _ request: AdminRequest) -> (name: String, PluginRequest)? {
        var parts: [String] = []
        for part in request.path.dropFirst("/plugins/".count).split(separator: "/") {
            guard let decoded = decoded(part) else { return nil }
            parts.append(decoded)
        }
        guard let name = parts.first else { return nil }
        var query: [String: String] = [:]
        for pair in request.target.drop(while: { $0 != "?" }).dropFirst().split(separator: "&") {
            let name = pair.prefix { $0 != "=" }
            guard let key = decoded(name), let value = decoded(pair.dropFirst(name.count).dropFirst()) else { return nil }
            query[key] = value
        }
        return (name, PluginRequest(method: method, path: Array(parts.dropFirst()), query: query, body: method == .post ? request.body : []))
    }

    /// Undoes %XX. - Returns: `nil`: it is not UTF-8, or not well-formed.
    static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> SubSequence {
        guard let last = lastIndex(where: { !predicate($0) }) else { return self[startIndex..<startIndex] }
        return self[...last]
    }
}
