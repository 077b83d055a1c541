import COpenSSL

/// The algorithms of RFC 7518 section 3 and RFC 8037 that a token may be signed with. `none` is not among them.
package enum JWTAlgorithm: String, CaseIterable, Hashable, Sendable {
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case edDSA = "EdDSA"

    /// Bytes of the hash, 0 where the algorithm has its own.
    var hashBytes: Int {
        switch self {
        case .hs256, .rs256, .ps256, .es256: 32
        case .hs384, .rs384, .ps384, .es384: 48
        case .hs512, .rs512, .ps512, .es512: 64
        case .edDSA: 0
        }
    }

    /// OpenSSL's; `nil` for EdDSA, as OpenSSL wants it.
    var digest: OpaquePointer? {
        switch hashBytes {
        case 32: EVP_sha256()
        case 48: EVP_sha384()
        case 64: EVP_sha512()
        default: nil
        }
    }

    var isPSS: Bool { self == .ps256 || self == .ps384 || self == .ps512 }
}

/// What kind of key it is. Decides, with its size, which algorithms it can be used with, whatever a token says: a public key is
/// never a secret, and a key of one kind never verifies a signature of another.
package enum JWTKeyKind: Hashable, Sendable {
    case secret(bytes: Int)
    case rsa
    case p256, p384, p521
    case ed25519, ed448

    package var algorithms: Set<JWTAlgorithm> {
        switch self {
        // RFC 7518 section 3.2: a key as long as the hash, or longer.
        case .secret(let bytes): Set([JWTAlgorithm.hs256, .hs384, .hs512].filter { $0.hashBytes <= bytes })
        case .rsa: [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512]
        case .p256: [.es256]
        case .p384: [.es384]
        case .p521: [.es512]
        case .ed25519, .ed448: [.edDSA]
        }
    }

    /// Bytes of each of the two numbers of an ECDSA signature; `nil` for other kinds.
    var scalarBytes: Int? {
        switch self {
        case .p256: 32
        case .p384: 48
        case .p521: 66
        case .secret, .rsa, .ed25519, .ed448: nil
        }
    }
}
