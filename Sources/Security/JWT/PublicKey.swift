import COpenSSL

/// A public key that OpenSSL has read and found sound.
///
/// `@unchecked Sendable`: the `EVP_PKEY` is never changed after `init`, and OpenSSL's verification only reads it.
final class PublicKey: @unchecked Sendable {
    enum Fault: Error, Hashable, Sendable {
        case unreadable
        case unsupportedKind
        /// RSA below 2,048 bits can be broken, above 8,192 is a burden on every login.
        case wrongSize(bits: Int)
        case unsound
    }

    let kind: JWTKeyKind
    private let key: OpaquePointer

    /// - Parameter subjectPublicKeyInfo: DER, RFC 5280 section 4.1.
    convenience init(subjectPublicKeyInfo der: [UInt8]) throws(Fault) {
        let key = der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var at = bytes.baseAddress
            let key = d2i_PUBKEY(nil, &at, bytes.count)
            guard at == bytes.baseAddress.map({ $0 + bytes.count }) else {
                EVP_PKEY_free(key)
                return nil
            }
            return key
        }
        try self.init(taking: key)
    }

    /// - Parameter certificate: DER. Its dates and its signature are not looked at: the file is the operator's word.
    convenience init(certificate der: [UInt8]) throws(Fault) {
        let key = der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var at = bytes.baseAddress
            guard let certificate = d2i_X509(nil, &at, bytes.count) else { return nil }
            defer { X509_free(certificate) }
            return X509_get_pubkey(certificate)
        }
        try self.init(taking: key)
    }

    private init(taking key: OpaquePointer?) throws(Fault) {
        guard let key else {
            ERR_clear_error()
            throw .unreadable
        }
        do {
            kind = try Self.kind(of: key)
        } catch {
            EVP_PKEY_free(key)  // a class that is not complete has no deinit
            throw error
        }
        self.key = key
    }

    deinit { EVP_PKEY_free(key) }

    /// - Parameter signature: As JOSE has it: ECDSA's two numbers one after the other (RFC 7518 section 3.4).
    func verifies(_ signature: [UInt8], of message: ArraySlice<UInt8>, by algorithm: JWTAlgorithm) -> Bool {
        guard kind.algorithms.contains(algorithm) else { return false }
        var signature = signature
        if let scalarBytes = kind.scalarBytes {
            guard signature.count == 2 * scalarBytes else { return false }
            signature = DER.sequence(DER.integer(signature.prefix(scalarBytes)), DER.integer(signature.suffix(scalarBytes)))
        }
        guard let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        var keyContext: OpaquePointer?  // the digest context owns it
        guard EVP_DigestVerifyInit(context, &keyContext, algorithm.digest, nil, key) == 1 else { return false }
        if algorithm.isPSS {
            // RFC 7518 section 3.5: the salt is as long as the hash, and MGF1 has the same hash, which is OpenSSL's default.
            guard EVP_PKEY_CTX_set_rsa_padding(keyContext, RSA_PKCS1_PSS_PADDING) == 1,
                EVP_PKEY_CTX_set_rsa_pss_saltlen(keyContext, Int32(algorithm.hashBytes)) == 1
            else { return false }
        }
        return message.withUnsafeBufferPointer { EVP_DigestVerify(context, signature, signature.count, $0.baseAddress, $0.count) } == 1
    }

    private static func kind(of key: OpaquePointer) throws(Fault) -> JWTKeyKind {
        let kind: JWTKeyKind
        switch EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA:
            let bits = Int(EVP_PKEY_get_bits(key))
            guard (2_048...8_192).contains(bits) else { throw .wrongSize(bits: bits) }
            kind = .rsa
        case EVP_PKEY_EC:
            var name = [CChar](repeating: 0, count: 80)
            guard EVP_PKEY_get_group_name(key, &name, name.count, nil) == 1 else { throw .unsupportedKind }
            switch String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) {
            case "prime256v1": kind = .p256
            case "secp384r1": kind = .p384
            case "secp521r1": kind = .p521
            default: throw .unsupportedKind
            }
        case EVP_PKEY_ED25519: kind = .ed25519
        case EVP_PKEY_ED448: kind = .ed448
        default: throw .unsupportedKind
        }
        guard let context = EVP_PKEY_CTX_new(key, nil) else { throw .unsound }
        defer { EVP_PKEY_CTX_free(context) }
        guard EVP_PKEY_public_check(context) == 1 else {
            ERR_clear_error()
            throw .unsound
        }
        return kind
    }
}
