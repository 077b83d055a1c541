/// What an operator asks a plugin through the broker's HTTP, under `/plugins/NAME/`.
///
/// The HTTP server has refused what a browser could have been led to send by a page from elsewhere, and bodies of more than 8 KiB;
/// whoever reaches its address is an operator.
public struct PluginRequest: Sendable {
    public enum Method: String, Sendable {
        /// Changes nothing.
        case get = "GET"
        case post = "POST"
    }

    public let method: Method
    /// The parts of the path behind `/plugins/NAME/`, decoded; none is empty.
    public let path: [String]
    /// Decoded. Of a name that stands there twice, the last value.
    public let query: [String: String]
    /// JSON, unless somebody has lied in `Content-Type`; empty for a GET.
    public let body: [UInt8]

    public init(method: Method, path: [String], query: [String: String] = [:], body: [UInt8] = []) {
        self.method = method
        self.path = path
        self.query = query
        self.body = body
    }
}

/// What the plugin says to it: JSON, as a rule.
public struct PluginResponse: Sendable {
    /// HTTP's: 200, 400, 404, 405, 409, 429, 503.
    public let status: Int
    public let contentType: String
    public let body: String

    public init(status: Int, body: String, contentType: String = "application/json") {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// There is nothing under that path.
    public static let notFound = PluginResponse(status: 404, body: "{\"error\":\"not found\"}\n")
}
