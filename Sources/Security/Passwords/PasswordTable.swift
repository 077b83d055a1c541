/// The users of a password file and their hashes. Immutable: a reload makes a new one.
package struct PasswordTable: Sendable, CustomStringConvertible, CustomReflectable {
    private let hashes: [[UInt8]: PasswordHash]
    private let absent: PasswordHash

    package init(_ hashes: [[UInt8]: PasswordHash] = [:]) {
        self.hashes = hashes
        absent = .unmatchable(Self.mostCommonCost(hashes))
    }

    package var count: Int { hashes.count }
    package var description: String { "\(count) users" }
    package var customMirror: Mirror { Mirror(self, children: ["count": count]) }

    /// Memory that the costliest verification takes.
    package var maxMemoryKiB: Int { hashes.values.reduce(0) { max($0, $1.cost.memoryKiB) } }

    package func contains(_ username: [UInt8]) -> Bool { hashes[username] != nil }

    /// `nil` for a user that doesn't exist. For telling what a reload has changed; a login asks `challenge(for:)`.
    package subscript(username: [UInt8]) -> PasswordHash? { hashes[username] }

    /// The hash to compare with. A user that doesn't exist gets one that nothing matches and that costs as much as most of the
    /// others, so that time doesn't tell who exists.
    package func challenge(for username: [UInt8]) -> PasswordHash { hashes[username] ?? absent }

    /// Takes as long as the hash costs: `HashingPool` calls it where waiting is allowed.
    package func verify(_ username: [UInt8], password: [UInt8]) -> PasswordVerdict { challenge(for: username).verify(password) }

    /// Of two that are equally common, the dearer.
    private static func mostCommonCost(_ hashes: [[UInt8]: PasswordHash]) -> PasswordCost {
        var counts: [PasswordCost: Int] = [:]
        for hash in hashes.values { counts[hash.cost, default: 0] += 1 }
        return counts.max { ($0.value, $0.key.rank) < ($1.value, $1.key.rank) }?.key ?? .sha512
    }
}

extension PasswordCost {
    /// An order of costs, for ties alone.
    fileprivate var rank: Int {
        switch kind {
        case .sha512: 0
        case .pbkdf2(let iterations): iterations
        case .argon2id(let memory, let passes, _): 1 << 40 + memory * passes
        }
    }
}
