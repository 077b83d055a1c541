/// What a verified token says.
package struct JWTClaims: Sendable {
    private let members: [String: JSON]

    /// Unix seconds; `nil` where the token has none and none is required.
    package let expiresAt: Int64?

    init(members: [String: JSON], expiresAt: Int64?) {
        self.members = members
        self.expiresAt = expiresAt
    }

    package var subject: String? { text("sub") }

    /// A claim that is text, or a whole number as text. `nil` for what is missing or neither.
    package func text(_ name: String) -> String? {
        switch members[name] {
        case .string(let text): text
        case .integer(let integer): String(integer)
        default: nil
        }
    }

    package subscript(name: String) -> JSON? { members[name] }
}

/// Why a token is refused. The cases hold nothing of it.
package enum JWTFault: String, Error, Hashable, Sendable, CaseIterable {
    /// Not three parts of base64url, or not JSON objects.
    case malformed
    case tooLong = "too-long"
    /// `none`, one that is not known, one that is not allowed, or one that the key isn't for.
    case algorithm
    /// A header parameter that must be understood and isn't (RFC 7515 section 4.1.11).
    case critical
    /// No key has the token's `kid`: a reason to ask the source of keys again.
    case unknownKey = "unknown-key"
    case signature
    case expired
    /// `nbf` or `iat` lies in the future.
    case notYetValid = "not-yet-valid"
    /// `exp`, or a claim that the rules require.
    case missingClaim = "missing-claim"
    case issuer
    case audience
}
