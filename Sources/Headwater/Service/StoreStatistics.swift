/// Figures of the store at one moment. Counters only grow.
public struct StoreStatistics: Sendable, Equatable {
    public var commits = 0
    /// Changes that were written: what receivers have acknowledged before its turn came is not among them.
    public var operations = 0
    /// Changes in the last transaction and in the largest one.
    public var lastBatch = 0
    public var largestBatch = 0
    /// Bytes of records given to the environment; pages around them not counted.
    public var bytesWritten = 0
    /// From the beginning of a transaction to its end, with the synchronisation where durability is `sync`.
    public var commitLatency = LatencyHistogram()
    /// Synchronisations beside the commits (durability `commit` and `relaxed`).
    public var synchronizations = 0
    public var synchronizationLatency = LatencyHistogram()
    /// Why nothing can be written now; `nil`: it can.
    public var failure: String?
    public var failures = 0
    public var damagedRecords = 0
    /// What was found at the start and done about it.
    public var alarms: [String] = []
    public var maxBytes = 0
    public var usedBytes = 0
    public var freeBytes = 0

    public init() {}
}
