import COpenSSL

/// The keys under which session tickets are sealed: the clients keep the sessions, the broker keeps these.
///
/// A value; `TicketKeyring` replaces it. Newest first.
package struct TicketKeys: Sendable, Equatable {
    struct Key: Sendable, Equatable {
        /// Seconds since 1970.
        let createdSeconds: Int64
        /// 16 bytes, in the clear at the front of each ticket.
        let name: [UInt8]
        /// AES-256, 32 bytes.
        let cipherKey: SecretBytes
        /// HMAC-SHA-256, 32 bytes.
        let macKey: SecretBytes
    }

    /// How long a node may go on without looking at the file: a new key opens tickets at once, and seals them only when every node
    /// that shares the file has it.
    package static let spreadSeconds: Int64 = 300

    private(set) var keys: [Key]
    /// Index of the key that seals.
    private(set) var sealing = 0

    init(_ keys: [Key], nowSeconds: Int64) {
        self.keys = keys.sorted { $0.createdSeconds > $1.createdSeconds }
        chooseSealing(nowSeconds: nowSeconds)
    }

    mutating func chooseSealing(nowSeconds: Int64) {
        sealing = keys.firstIndex { $0.createdSeconds + Self.spreadSeconds <= nowSeconds } ?? max(0, keys.count - 1)
    }

    var sealingKey: Key? { keys.indices.contains(sealing) ? keys[sealing] : nil }

    func index(named name: UnsafeRawBufferPointer) -> Int? { keys.firstIndex { $0.name.elementsEqual(name) } }

    /// A new key in front when the newest is `rotationSeconds` old, and none that no valid ticket can need.
    /// - Returns: Whether there was anything to do.
    mutating func rotate(nowSeconds: Int64, rotationSeconds: Int64, lifetimeSeconds: Int64) throws(TLSConfigurationError) -> Bool {
        let before = keys.count
        // A key seals until its successor has spread, and its tickets live on from there.
        let keptSeconds = rotationSeconds + Self.spreadSeconds + lifetimeSeconds
        keys.removeAll { $0.createdSeconds + keptSeconds <= nowSeconds }
        var hasChanged = keys.count != before
        if keys.first.map({ $0.createdSeconds + rotationSeconds <= nowSeconds }) ?? true {
            keys.insert(try Self.makeKey(nowSeconds: nowSeconds), at: 0)
            hasChanged = true
        }
        chooseSealing(nowSeconds: nowSeconds)
        return hasChanged
    }

    private static func makeKey(nowSeconds: Int64) throws(TLSConfigurationError) -> Key {
        var bytes = [UInt8](repeating: 0, count: 80)
        guard RAND_priv_bytes(&bytes, Int32(bytes.count)) == 1 else {
            throw TLSConfigurationError("the system gives no random numbers", remedy: "check the system's random number generator")
        }
        return Key(
            createdSeconds: nowSeconds, name: Array(bytes[..<16]), cipherKey: SecretBytes(bytes[16..<48]), macKey: SecretBytes(bytes[48...])
        )
    }
}
