/// Bounds of the `ExactlyOnceShipper`. Times are milliseconds.
struct ShipLimits: Equatable, Sendable {
    /// Entries of one transaction, at most.
    var maxEntries = 1_000
    /// Bytes of one transaction, at most, unless it is one entry.
    var maxBytes = 4 << 20
    /// First wait after a failure; doubled after each further one.
    var shortestDelay: UInt64 = 100
    var longestDelay: UInt64 = 10_000
    /// First wait after being fenced. Two instances that both believe to be the one would otherwise fence each other without
    /// end, and each time the other's transaction is lost.
    var shortestFencedDelay: UInt64 = 1_000
    var longestFencedDelay: UInt64 = 300_000
    /// A transaction that can't be flushed, committed or aborted for that long is left to a new producer.
    var patience: UInt64 = 120_000
    /// How often a record must fail alone for a reason that this program does not know, until it counts as a dead letter.
    var strikesForUnknownFailure = 5
}
