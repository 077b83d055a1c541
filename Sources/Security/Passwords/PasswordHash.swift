import COpenSSL

/// What comes of comparing a password with a hash.
package enum PasswordVerdict: Hashable, Sendable {
    case right
    case wrong
    /// No memory for it. Says nothing about the password.
    case unable
}

/// A password as a password file keeps it: kind and cost, salt, digest. Mosquitto's three forms (`PasswordHash+Text`).
///
/// Neither salt nor digest shows in a description.
package struct PasswordHash: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    package let cost: PasswordCost
    /// Salt, then digest: one array, since a table may hold a million of these.
    private let bytes: [UInt8]

    package var salt: ArraySlice<UInt8> { bytes.prefix(bytes.count - cost.digestBytes) }
    package var digest: ArraySlice<UInt8> { bytes.suffix(cost.digestBytes) }

    package var description: String { cost.description }
    package var customMirror: Mirror { Mirror(self, children: ["cost": cost]) }

    /// - Precondition: The digest is as long as the cost says.
    init(cost: PasswordCost, salt: [UInt8], digest: [UInt8]) {
        precondition(digest.count == cost.digestBytes)
        self.cost = cost
        bytes = salt + digest
    }

    /// A new hash of a password, under a salt of its own.
    ///
    /// The salt has the length that Mosquitto reads: 12 bytes, 64 with Argon2id.
    /// - Returns: `nil` when there is no memory for it, or the password has a NUL byte, which the older kinds can't have.
    package static func make(_ cost: PasswordCost, password: [UInt8]) -> PasswordHash? {
        var saltBytes = 12
        if case .argon2id = cost.kind { saltBytes = 64 } else if password.contains(0) { return nil }
        let salt = RandomBytes.make(saltBytes)
        guard let digest = PasswordDigest.make(cost, password: password, salt: salt[...]) else { return nil }
        return PasswordHash(cost: cost, salt: salt, digest: digest)
    }

    /// A hash that no password has, for a user that doesn't exist: as much work as one that has `cost`.
    package static func unmatchable(_ cost: PasswordCost) -> PasswordHash {
        PasswordHash(cost: cost, salt: RandomBytes.make(64), digest: RandomBytes.make(cost.digestBytes))
    }

    /// Takes as long as the cost says: for a thread that may wait. The comparison's time doesn't depend on where bytes differ.
    ///
    /// Mosquitto hashes a password of the older kinds up to its first NUL byte, so a password with one in it is never right there.
    package func verify(_ password: [UInt8]) -> PasswordVerdict {
        guard let computed = PasswordDigest.make(cost, password: password, salt: salt) else { return .unable }
        let isEqual = computed.withUnsafeBytes { computed in
            digest.withUnsafeBytes { CRYPTO_memcmp(computed.baseAddress, $0.baseAddress, computed.count) == 0 }
        }
        if case .argon2id = cost.kind { return isEqual ? .right : .wrong }
        return isEqual && !password.contains(0) ? .right : .wrong
    }
}

/// Bytes for salts and keys, from OpenSSL's generator.
package enum RandomBytes {
    package static func make(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        // Fails only where the system has no source of randomness: nothing that asks for a salt can go on then.
        precondition(RAND_bytes(&bytes, Int32(count)) == 1, "the system has no random bytes")
        return bytes
    }
}
