import MQTTModel
import Security

/// Logins with JSON Web Tokens on one listener: keys from files, and from a key set that is fetched.
///
/// Sendable by being immutable; the fetched keys have a lock of their own.
final class TokenLogin: Sendable {
    private let keys: JWTKeySet
    private let rules: JWTRules
    private let source: JWKSource?
    private let usernameClaim: String

    init(keys: JWTKeySet, source: JWKSource?, configuration: ListenerConfiguration.JWT) {
        self.keys = keys
        self.source = source
        usernameClaim = configuration.usernameClaim
        rules = JWTRules(
            issuers: Set(configuration.issuer.map { [$0] } ?? []), audiences: Set(configuration.audience.map { [$0] } ?? []),
            leewaySeconds: Int64(configuration.leewaySeconds), requiredClaims: [configuration.usernameClaim])
    }

    /// Whether a password has the form of a signed token (RFC 7515 section 7.1): a JSON object in base64url, and two dots.
    static func looksLikeToken(_ password: [UInt8]) -> Bool {
        password.starts(with: "eyJ".utf8) && password.count(where: { $0 == UInt8(ascii: ".") }) == 2
    }

    func login(_ token: [UInt8]) async -> LoginAnswer {
        let now = MessageClock.now
        let seconds = now.unixMilliseconds / 1000
        do throws(JWTFault) {
            return try accept(token, now: seconds)
        } catch .unknownKey {
            guard let source, await source.refreshForUnknownKey(now: JWKSource.milliseconds()) else {
                return Self.refusal(.unknownKey)
            }
        } catch {
            return Self.refusal(error)
        }
        do throws(JWTFault) {
            return try accept(token, now: seconds)
        } catch {
            return Self.refusal(error)
        }
    }

    private static func refusal(_ fault: JWTFault) -> LoginAnswer {
        .refuse(LoginRefusal(
            code: .badUserNameOrPassword, why: "token: \(fault.rawValue)", failure: fault == .expired ? .tokenExpired : .token))
    }

    private func accept(_ token: [UInt8], now: Int64) throws(JWTFault) -> LoginAnswer {
        let verifier = JWTVerifier(keys: source.map { keys.adding($0.keys) } ?? keys, rules: rules)
        let claims = try verifier.verify(token, now: now)
        guard let name = claims.text(usernameClaim), !name.isEmpty else { throw .missingClaim }
        let expires = claims.expiresAt.map { ($0 + rules.leewaySeconds) * 1000 }
        return .accept(Login(username: name, credential: .token(expires: expires), claims: claims))
    }
}
