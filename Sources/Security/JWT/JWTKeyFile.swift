/// Files of keys: PEM public keys and certificates, secrets, JWKS documents. Told apart by what is in them.
package enum JWTKeyFile {
    package static let maxFileBytes = 1 << 20

    /// What a file is, as the configuration says. A file of one kind is never read as another: a public key taken for a secret
    /// would let everybody sign.
    package enum Form: Hashable, Sendable {
        /// Public keys and certificates, and JWKS documents.
        case publicKeys
        /// The bytes of the file are the secret; one line end at its end is not part of it.
        case secret
    }

    package struct Loaded: Sendable {
        package let keys: JWTKeySet
        package let warnings: [SecurityFault]
    }

    /// - Parameters:
    ///   - id: `kid` of keys that don't bring one.
    ///   - algorithms: Narrows what the keys may be used with; `nil` narrows nothing.
    package static func load(
        _ path: String, form: Form, id: String? = nil, algorithms: Set<JWTAlgorithm>? = nil
    ) throws(SecurityFaults) -> Loaded {
        do {
            let contents = try SecurityFile.read(path, maxBytes: maxFileBytes)
            let loaded = try parse(contents.bytes, path: path, form: form, id: id, algorithms: algorithms)
            guard let exposure = contents.exposure, form == .secret || contents.mode & 0o002 != 0 else { return loaded }
            return Loaded(keys: loaded.keys, warnings: [exposure] + loaded.warnings)
        } catch {
            throw SecurityFaults(error)
        }
    }

    /// - Parameter path: For the text of faults.
    package static func parse(
        _ bytes: [UInt8], path: String, form: Form, id: String? = nil, algorithms: Set<JWTAlgorithm>? = nil
    ) throws(SecurityFault) -> Loaded {
        func fault(_ what: String, _ mend: String) -> SecurityFault { SecurityFault(file: path, what: what, mend: mend) }
        guard !bytes.isEmpty else { throw fault("the file is empty", "put a key into it") }
        let looksLikePEM = bytes.firstRange(of: "-----BEGIN ".utf8) != nil
        if form == .secret {
            guard !looksLikePEM else {
                throw fault("a PEM file stands where a secret belongs: with it everybody could sign", "configure it as a public key")
            }
            var secret = bytes
            if secret.last == UInt8(ascii: "\n") { secret.removeLast() }
            if secret.count < bytes.count, secret.last == UInt8(ascii: "\r") { secret.removeLast() }
            guard let key = JWTKey(id: id, secret: secret, algorithms: algorithms) else {
                throw fault(
                    "the secret has \(secret.count) bytes; HS256 needs 32 (RFC 7518 section 3.2)", "make one with `openssl rand -hex 32`")
            }
            guard !key.algorithms.isEmpty else {
                throw fault("the secret has \(secret.count) bytes, too short for the algorithms that are allowed", "make a longer one")
            }
            return Loaded(keys: JWTKeySet([key]), warnings: [])
        }
        if looksLikePEM { return Loaded(keys: JWTKeySet(try pem(bytes, path: path, id: id, algorithms: algorithms)), warnings: []) }
        do throws(JWKSFault) {
            let document = try JWKSDocument(bytes, allowsSecrets: true, defaultID: id, algorithms: algorithms)
            let warnings = document.unusable.map { fault("a key of the set is not used: \($0)", "correct it, or take it out") }
            return Loaded(keys: document.keys, warnings: warnings)
        } catch {
            throw fault(
                "neither a PEM file nor a set of JSON Web Keys: \(error)", "name a PEM public key, a certificate, or a JWKS document")
        }
    }

    private static func pem(
        _ bytes: [UInt8], path: String, id: String?, algorithms: Set<JWTAlgorithm>?
    ) throws(SecurityFault) -> [JWTKey] {
        var keys: [JWTKey] = []
        for block in PEMBlock.blocks(of: bytes) {
            func fault(_ what: String, _ mend: String) -> SecurityFault {
                SecurityFault(file: path, line: block.line, what: what, mend: mend)
            }
            guard !block.label.hasSuffix("PRIVATE KEY") else {
                throw fault("a private key; tokens are verified with the public one", "`openssl pkey -in FILE -pubout` gives it")
            }
            guard let der = block.der else { throw fault("a PEM block that is cut off or isn't Base64", "write the file anew") }
            let key: PublicKey
            do throws(PublicKey.Fault) {
                switch block.label {
                case "PUBLIC KEY": key = try PublicKey(subjectPublicKeyInfo: der)
                case "CERTIFICATE": key = try PublicKey(certificate: der)
                case "RSA PUBLIC KEY":  // PKCS #1
                    key = try PublicKey(
                        subjectPublicKeyInfo: DER.sequence(
                            DER.sequence(DER.objectIdentifier(KeyIdentifier.rsa), DER.null), DER.bitString(der)))
                default: throw .unsupportedKind
                }
            } catch {
                throw fault(
                    "\"\(PrintableText.escaped(block.label.utf8))\" can't be used: \(error)",
                    "RSA of 2048 to 8192 bits, P-256, P-384, P-521, Ed25519 and Ed448 can")
            }
            let usable = JWTKey(id: id, publicKey: key, algorithms: algorithms)
            guard !usable.algorithms.isEmpty else {
                throw fault("the key fits none of the algorithms that are allowed", "allow one that it fits")
            }
            keys.append(usable)
        }
        guard !keys.isEmpty else { throw SecurityFault(file: path, what: "the file has no PEM block", mend: "write the file anew") }
        return keys
    }
}

extension PublicKey.Fault: CustomStringConvertible {
    var description: String {
        switch self {
        case .unreadable: "its bytes are no key"
        case .unsupportedKind: "the kind isn't supported"
        case .wrongSize(let bits): "it has \(bits) bits"
        case .unsound: "its numbers are not those of a sound key"
        }
    }
}
