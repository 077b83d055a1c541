import COpenSSL

/// A key that tokens are verified with, and the algorithms it may be used with. The key shows nowhere.
package struct JWTKey: Sendable, CustomStringConvertible, CustomReflectable {
    private enum Material: Sendable {
        case secret([UInt8])
        case publicKey(PublicKey)
    }

    /// `kid`; `nil` for a key that says none, which then serves tokens of any.
    package let id: String?
    package let kind: JWTKeyKind
    package let algorithms: Set<JWTAlgorithm>
    private let material: Material

    package var description: String { "\(kind) key \(id.map { "\"\(PrintableText.escaped($0.utf8))\"" } ?? "without id")" }
    package var customMirror: Mirror { Mirror(self, children: ["description": description]) }

    /// - Parameter algorithms: Narrows what the kind allows; `nil` narrows nothing.
    init(id: String?, publicKey: PublicKey, algorithms: Set<JWTAlgorithm>? = nil) {
        self.id = id
        kind = publicKey.kind
        self.algorithms = algorithms.map { publicKey.kind.algorithms.intersection($0) } ?? publicKey.kind.algorithms
        material = .publicKey(publicKey)
    }

    /// - Returns: `nil` when the secret is shorter than 32 bytes, too short for the weakest algorithm.
    init?(id: String?, secret: [UInt8], algorithms: Set<JWTAlgorithm>? = nil) {
        let kind = JWTKeyKind.secret(bytes: secret.count)
        guard secret.count >= JWTAlgorithm.hs256.hashBytes else { return nil }
        self.id = id
        self.kind = kind
        self.algorithms = algorithms.map { kind.algorithms.intersection($0) } ?? kind.algorithms
        material = .secret(secret)
    }

    func verifies(_ signature: [UInt8], of message: ArraySlice<UInt8>, by algorithm: JWTAlgorithm) -> Bool {
        guard algorithms.contains(algorithm) else { return false }
        switch material {
        case .publicKey(let key): return key.verifies(signature, of: message, by: algorithm)
        case .secret(let secret):
            guard signature.count == algorithm.hashBytes else { return false }
            var code = [UInt8](repeating: 0, count: algorithm.hashBytes)
            let made = message.withUnsafeBufferPointer {
                HMAC(algorithm.digest, secret, Int32(secret.count), $0.baseAddress, $0.count, &code, nil)
            }
            return made != nil && CRYPTO_memcmp(code, signature, code.count) == 0
        }
    }
}

/// Keys, found by `kid`. Immutable: a refresh makes a new one.
package struct JWTKeySet: Sendable {
    /// Keys that one token is tried with, where it names none.
    static let maxTries = 16

    package let keys: [JWTKey]
    private let byID: [String: [Int]]
    private let anonymous: [Int]

    package init(_ keys: [JWTKey] = []) {
        self.keys = keys
        byID = Dictionary(grouping: keys.indices.filter { keys[$0].id != nil }) { keys[$0].id! }
        anonymous = keys.indices.filter { keys[$0].id == nil }
    }

    package func adding(_ other: JWTKeySet) -> JWTKeySet { JWTKeySet(keys + other.keys) }

    /// Those that a token may have been signed with, by its `kid`: keys of this identifier, else those that have none.
    func candidates(for id: String?) -> [JWTKey] {
        guard let id else { return keys }
        return (byID[id] ?? anonymous).map { keys[$0] }
    }
}
