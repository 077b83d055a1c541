import NIOHTTP1

/// An answer before it is HTTP bytes. Everything served is plain text, made on each request.
struct AdminResponse: Sendable {
    let status: HTTPResponseStatus
    let contentType: String
    let body: String
    /// Methods for the Allow header of a 405; `nil`: none.
    let allow: String?

    init(_ status: HTTPResponseStatus, _ body: String, contentType: String = "text/plain; charset=utf-8", allow: String? = nil) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.allow = allow
    }

    /// Headers that keep a browser, led here by another page, from doing anything with the answer.
    var headers: HTTPHeaders {
        var headers = HTTPHeaders([
            ("Content-Type", contentType), ("Content-Length", "\(body.utf8.count)"), ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"), ("Content-Security-Policy", "default-src 'none'"),
            ("Referrer-Policy", "no-referrer"),
        ])
        if let allow { headers.add(name: "Allow", value: allow) }
        return headers
    }
}
