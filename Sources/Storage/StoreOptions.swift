/// How the store behaves; `BrokerConfiguration.Store` says what the values mean.
package struct StoreOptions: Sendable {
    package enum Durability: Sendable { case sync, commit, relaxed }
    package enum DamagePolicy: Sendable { case stop, restore, empty, restoreOrEmpty }

    package var durability = Durability.sync
    /// Between synchronisations to the disk, where commits don't wait for one.
    package var syncIntervalMilliseconds = 1_000
    package var maxBytes = 64 << 30
    /// Above `maxBytes`: for what is under way when the store is full, and the pages that removing needs.
    package var reserveBytes = 256 << 20
    package var onDamage = DamagePolicy.stop
    /// How long a failing write is left alone before the next try.
    package var retryMilliseconds = 500

    package init() {}
}

/// What the store tells those who watch it. Called on its own threads.
package protocol StoreObserver: Sendable {
    func committed(operations: Int, bytes: Int, microseconds: UInt64)
    func synchronized(microseconds: UInt64)
    /// Said at each change.
    func changed(to condition: StoreCondition, reason: String)
    /// Records that can't be read any more; they are left out.
    func foundDamaged(records: Int, in database: String)
    func measured(_ size: StoreSize)
}

/// Whether the store takes more.
package enum StoreCondition: Sendable, Equatable {
    case writable
    /// It has its largest size: what is removed is, and what is added is stored too, but those who add should not.
    case full
    /// Nothing can be written: a full or read-only disk, or one that fails.
    case failed
}

/// How large the environment is.
package struct StoreSize: Sendable, Equatable {
    package var maxBytes = 0
    package var usedBytes = 0
    package var freeBytes = 0
}
