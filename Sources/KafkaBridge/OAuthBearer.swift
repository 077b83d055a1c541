import Encodings
import HTTPFetch

/// How a cluster's OAUTHBEARER tokens are had: the client credentials grant (RFC 6749, section 4.4), under librdkafka's own property
/// names (KIP-768).
///
/// librdkafka knows the grant where it was built with libcurl, and Debian's was not. So the bridge fetches the tokens itself and hands
/// them over; when, librdkafka says (at four fifths of a token's life, and ten seconds after a failure).
struct OAuthBearer: Equatable, Sendable {
    var endpoint: String
    var clientID: String
    var clientSecret: String
    var scope = ""
    /// `name=value,…`, for the cluster (RFC 7628, section 3.1).
    var extensions = ""
    /// PEM, in place of the system's authorities.
    var caFile = ""

    static let method = "sasl.oauthbearer.method"
    private static let prefix = "sasl.oauthbearer."
    private static let caName = "https.ca.location"

    /// Whether tokens are the bridge's business.
    static func isAsked(by properties: [String: String]) -> Bool { properties[method]?.lowercased() == "oidc" }

    /// Whether the bridge reads the property instead of librdkafka, once it is asked for tokens.
    static func owns(_ name: String) -> Bool { name.hasPrefix(prefix) || name == caName }

    /// - Returns: `nil` where the method is another, or none.
    /// - Throws: Which property is missing or can't be used.
    init?(_ properties: [String: String]) throws(KafkaClientError) {
        guard Self.isAsked(by: properties) else { return nil }
        func required(_ name: String) throws(KafkaClientError) -> String {
            guard let value = properties[Self.prefix + name], !value.isEmpty else {
                throw KafkaClientError(reason: "\(Self.prefix + name) is missing: \(Self.method) oidc needs it")
            }
            return value
        }
        endpoint = try required("token.endpoint.url")
        clientID = try required("client.id")
        clientSecret = try required("client.secret")
        scope = properties[Self.prefix + "scope"] ?? ""
        extensions = properties[Self.prefix + "extensions"] ?? ""
        caFile = properties[Self.caName] ?? ""
        guard fields.allSatisfy({ $0.utf8.allSatisfy { $0 >= 0x20 } }) else { throw KafkaClientError(reason: "a property of \(Self.prefix) has a control character") }
        do { _ = try request() } catch { throw KafkaClientError(reason: "\(Self.prefix)token.endpoint.url: \(error)") }
    }

    // MARK: - As one text, which librdkafka hands to its callback

    private static let separator: Character = "\u{1F}"
    private var fields: [String] { [endpoint, clientID, clientSecret, scope, extensions, caFile] }
    var text: String { fields.joined(separator: String(Self.separator)) }

    init?(text: String) {
        let fields = text.split(separator: Self.separator, omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 6 else { return nil }
        (endpoint, clientID, clientSecret, scope, extensions, caFile) = (fields[0], fields[1], fields[2], fields[3], fields[4], fields[5])
    }

    // MARK: - A token

    struct Token: Equatable {
        var value: String
        /// Who it is for, in the log: the `sub` of a JWT, else the client id.
        var principal: String
        /// Milliseconds since 1970.
        var expiry: Int64
    }

    /// Milliseconds for a request, which a client that is destroyed waits for.
    private static let patience = 5_000
    /// Where the answer doesn't say how long a token lives, in seconds. RFC 6749 has no default; this asks rather often.
    private static let assumedLife: Int64 = 300

    /// Secrets are sent in the clear to this machine alone.
    private func request() throws(HTTPFetchError) -> HTTPFetch {
        var options = HTTPFetch.Options(url: endpoint, caFile: caFile.isEmpty ? nil : caFile, totalMilliseconds: Self.patience, maxBytes: 1 << 18, maxRedirects: 0)
        options.connectMilliseconds = Self.patience
        options.allowsPlain = ["http://127.0.0.1", "http://localhost", "http://[::1]"].contains { host in
            endpoint.hasPrefix(host) && [nil, ":", "/"].contains(endpoint.dropFirst(host.count).first)
        }
        options.accept = "application/json"
        options.credentials = .basic(user: clientID, password: clientSecret)
        let scope = scope.isEmpty ? "" : "&scope=" + Self.percentEncoded(scope)
        options.post = HTTPPost(contentType: "application/x-www-form-urlencoded", body: Array(("grant_type=client_credentials" + scope).utf8))
        return try HTTPFetch(options)
    }

    /// Waits for the answer, five seconds at most.
    /// - Throws: Why there is no token; without secrets.
    func fetch(now: Int64) throws(KafkaClientError) -> Token {
        let answer: HTTPAnswer
        do { answer = try request().answer() } catch { throw KafkaClientError(reason: "\(error)") }
        let document = try? answer.body.withUnsafeBytes { bytes throws(JSONFault) in try JSONReader.read(bytes) }
        guard answer.status == 200 else {
            // RFC 6749, section 5.2.
            let error = document?["error"]?.string.map { ": " + $0.prefix(100) } ?? ""
            throw KafkaClientError(reason: "the token endpoint answered with status \(answer.status)\(error)")
        }
        guard let value = document?["access_token"]?.string, !value.isEmpty else {
            throw KafkaClientError(reason: "the token endpoint's answer has no access_token")
        }
        let claims = Self.claims(of: value)
        let expiry = Self.expiry(expiresIn: document?["expires_in"]?.int64, claim: claims?["exp"]?.int64, now: now)
        return Token(value: value, principal: claims?["sub"]?.string ?? clientID, expiry: expiry)
    }

    /// Milliseconds since 1970. Both numbers are seconds, and whatever the endpoint likes to write.
    /// - Parameters:
    ///   - expiresIn: From now (RFC 6749, section 5.1).
    ///   - claim: `exp`, since 1970 (RFC 7519, section 4.1.4).
    static func expiry(expiresIn: Int64?, claim: Int64?, now: Int64) -> Int64 {
        func milliseconds(_ seconds: Int64) -> Int64 { min(max(seconds, 0), 1 << 40) * 1_000 }
        if let expiresIn { return now + milliseconds(expiresIn) }
        return claim.map(milliseconds) ?? now + milliseconds(assumedLife)
    }

    /// Of a JWT; not verified, since Kafka does that.
    private static func claims(of token: String) -> JSONValue? {
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let bytes = Base64.decode(parts[1], .url) else { return nil }
        return try? bytes.withUnsafeBytes { bytes throws(JSONFault) in try JSONReader.read(bytes) }
    }

    private static func percentEncoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                encoded.append(byte)
            default: encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
