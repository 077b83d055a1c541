import Encodings

/// Why a document is no usable set of keys.
package enum JWKSFault: Error, Hashable, Sendable, CustomStringConvertible {
    case notJSON(JSONFault)
    /// Neither an object with an array `keys`, nor a key.
    case notKeys
    case tooManyKeys
    /// Names why each can't be used.
    case noUsableKey([String])

    package var description: String {
        switch self {
        case .notJSON(.malformed): "it is not JSON"
        case .notJSON(.duplicateName): "an object of its JSON has a name twice"
        case .notJSON(.tooLarge): "its JSON is nested too deep or too large"
        case .notKeys: "it has no \"keys\""
        case .tooManyKeys: "it has more than \(JWKSDocument.maxKeys) keys"
        case .noUsableKey(let reasons): "no key of it can be used" + (reasons.isEmpty ? "" : ": " + reasons.joined(separator: ", "))
        }
    }
}

/// A set of JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037). `x5c` and other certificates are not looked at.
package struct JWKSDocument: Sendable {
    package static let maxKeys = 1_000

    package let keys: JWTKeySet
    /// Keys that were passed over, as RFC 7517 section 5 asks, and why. Keys that are not for signatures are not among them.
    package let unusable: [String]

    /// - Parameters:
    ///   - allowsSecrets: Whether symmetric keys are taken. Never from a URL: who can read a secret can sign.
    ///   - defaultID: `kid` of keys that don't bring one.
    package init(
        _ bytes: some Collection<UInt8>, allowsSecrets: Bool, defaultID: String? = nil, algorithms: Set<JWTAlgorithm>? = nil
    ) throws(JWKSFault) {
        let document: JSON
        do { document = try JSONReader.read(bytes) } catch { throw .notJSON(error) }
        let elements: [JSON]
        if case .array(let array) = document["keys"] {
            elements = array
        } else if document["kty"] != nil {
            elements = [document]
        } else {
            throw .notKeys
        }
        guard elements.count <= Self.maxKeys else { throw .tooManyKeys }
        var keys: [JWTKey] = []
        var unusable: [String] = []
        for (index, element) in elements.enumerated() {
            do throws(Reason) {
                if let key = try Self.key(element, allowsSecrets: allowsSecrets, defaultID: defaultID, algorithms: algorithms) {
                    keys.append(key)
                }
            } catch {
                let id = element["kid"]?.string.map { " (kid \"\(PrintableText.escaped($0.utf8))\")" } ?? ""
                if unusable.count < 20 { unusable.append("number \(index + 1)\(id): \(error.text)") }
            }
        }
        guard !keys.isEmpty else { throw .noUsableKey(unusable) }
        self.keys = JWTKeySet(keys)
        self.unusable = unusable
    }

    private struct Reason: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    /// - Returns: `nil` for a key that is not for signatures.
    private static func key(
        _ element: JSON, allowsSecrets: Bool, defaultID: String?, algorithms: Set<JWTAlgorithm>?
    ) throws(Reason) -> JWTKey? {
        if let use = element["use"], use != .string("sig") { return nil }
        if let operations = element["key_ops"] {
            guard case .array(let list) = operations, list.contains(.string("verify")) else { return nil }
        }
        let id = try optionalText(element, "kid") ?? defaultID
        var allowed = algorithms
        if let name = try optionalText(element, "alg") {
            guard let algorithm = JWTAlgorithm(rawValue: name) else { throw Reason("its alg isn't supported") }
            allowed = allowed?.intersection([algorithm]) ?? [algorithm]
        }
        let key: JWTKey
        if element["kty"] == .string("oct") {
            guard allowsSecrets else { throw Reason("a secret in a document that is fetched") }
            guard let secret = JWTKey(id: id, secret: try bytes(element, "k"), algorithms: allowed) else {
                throw Reason("a secret of less than 32 bytes")
            }
            key = secret
        } else {
            do {
                key = JWTKey(id: id, publicKey: try PublicKey(subjectPublicKeyInfo: try subjectPublicKeyInfo(element)), algorithms: allowed)
            } catch let reason as Reason {
                throw reason
            } catch {
                throw Reason("\(error)")
            }
        }
        guard !key.algorithms.isEmpty else { throw Reason("it fits no algorithm that is allowed") }
        return key
    }

    private static func subjectPublicKeyInfo(_ element: JSON) throws(Reason) -> [UInt8] {
        switch (element["kty"]?.string, element["crv"]?.string) {
        case ("RSA", _):
            let key = DER.sequence(DER.integer(try bytes(element, "n")), DER.integer(try bytes(element, "e")))
            return DER.sequence(DER.sequence(DER.objectIdentifier(KeyIdentifier.rsa), DER.null), DER.bitString(key))
        case ("EC", "P-256"): return try curve(element, KeyIdentifier.p256, coordinateBytes: 32)
        case ("EC", "P-384"): return try curve(element, KeyIdentifier.p384, coordinateBytes: 48)
        case ("EC", "P-521"): return try curve(element, KeyIdentifier.p521, coordinateBytes: 66)
        case ("OKP", "Ed25519"): return try edwards(element, KeyIdentifier.ed25519)
        case ("OKP", "Ed448"): return try edwards(element, KeyIdentifier.ed448)
        default: throw Reason("its kty or crv isn't supported")
        }
    }

    private static func curve(_ element: JSON, _ identifier: [UInt8], coordinateBytes: Int) throws(Reason) -> [UInt8] {
        let x = try bytes(element, "x")
        let y = try bytes(element, "y")
        guard x.count == coordinateBytes, y.count == coordinateBytes else { throw Reason("x or y is of the wrong length") }
        return DER.sequence(
            DER.sequence(DER.objectIdentifier(KeyIdentifier.ellipticCurve), DER.objectIdentifier(identifier)),
            DER.bitString([0x04] + x + y))  // uncompressed, SEC 1 section 2.3.3
    }

    private static func edwards(_ element: JSON, _ identifier: [UInt8]) throws(Reason) -> [UInt8] {
        DER.sequence(DER.sequence(DER.objectIdentifier(identifier)), DER.bitString(try bytes(element, "x")))
    }

    private static func optionalText(_ element: JSON, _ name: String) throws(Reason) -> String? {
        guard let value = element[name] else { return nil }
        guard let text = value.string else { throw Reason("its \(name) isn't text") }
        return text
    }

    private static func bytes(_ element: JSON, _ name: String) throws(Reason) -> [UInt8] {
        guard let text = element[name]?.string, text.utf8.count <= 4_096, let bytes = Base64.decode(text.utf8, .url), !bytes.isEmpty else {
            throw Reason("its \(name) is missing or isn't base64url")
        }
        return bytes
    }
}
