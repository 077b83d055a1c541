import Synchronization

/// What became of the records of one inbound route. Every record is in one place: `received = published + skipped`.
final class InboundCounters: Sendable {
    struct Figures: Equatable, Sendable {
        var received = 0
        var receivedBytes = 0
        var published = 0
        var skipped: [InboundRefusal: Int] = [:]
        /// Published records whose messages are not stored yet everywhere.
        var outstanding = 0
        /// Partitions that the route reads.
        var partitions = 0
        /// Records in Kafka behind those that have been read and stored; `nil`: librdkafka has not said.
        var lag: Int?
        /// Consumers replaced after a fatal error.
        var replacements = 0

        var skippedTotal: Int { skipped.values.reduce(0, +) }
    }

    private let state = Mutex(Figures())

    var figures: Figures { state.withLock { $0 } }
    func update(_ body: (inout Figures) -> Void) { state.withLock { body(&$0) } }
}
