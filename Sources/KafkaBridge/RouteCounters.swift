import Synchronization

/// What became of the messages of one route. Every message that matches is in one place:
/// `received = acknowledged + failed + refused + in flight`.
final class RouteCounters: Sendable {
    private let received = Atomic<Int>(0)
    private let acknowledged = Atomic<Int>(0)
    private let acknowledgedBytes = Atomic<Int>(0)
    private let delayNanoseconds = Atomic<UInt64>(0)
    private let timestampFallbacks = Atomic<Int>(0)
    private let failed = Mutex<[RecordFailure: Int]>([:])
    private let refused = Mutex<[RecordRefusal: Int]>([:])

    struct Figures: Equatable {
        var received = 0
        var acknowledged = 0
        var acknowledgedBytes = 0
        /// Sum over the acknowledged records, from PUBLISH received to delivery report.
        var delayNanoseconds: UInt64 = 0
        /// Records with the time of receipt, because the payload had none.
        var timestampFallbacks = 0
        var failed: [RecordFailure: Int] = [:]
        var refused: [RecordRefusal: Int] = [:]

        var failedTotal: Int { failed.values.reduce(0, +) }
        var refusedTotal: Int { refused.values.reduce(0, +) }
        var inFlight: Int { received - acknowledged - failedTotal - refusedTotal }
    }

    func countReceived() { received.add(1, ordering: .releasing) }

    func countTimestampFallback() { timestampFallbacks.add(1, ordering: .relaxed) }

    func countAcknowledged(bytes: Int, delayNanoseconds delay: UInt64) {
        acknowledged.add(1, ordering: .relaxed)
        acknowledgedBytes.add(bytes, ordering: .relaxed)
        delayNanoseconds.wrappingAdd(delay, ordering: .relaxed)
    }

    func count(_ failure: RecordFailure) { failed.withLock { $0[failure, default: 0] += 1 } }
    func count(_ refusal: RecordRefusal) { refused.withLock { $0[refusal, default: 0] += 1 } }

    /// `received` is read last, so that a record on its way never shows as a negative one in flight.
    var figures: Figures {
        var figures = Figures()
        figures.failed = failed.withLock { $0 }
        figures.refused = refused.withLock { $0 }
        figures.acknowledged = acknowledged.load(ordering: .acquiring)
        figures.acknowledgedBytes = acknowledgedBytes.load(ordering: .relaxed)
        figures.delayNanoseconds = delayNanoseconds.load(ordering: .relaxed)
        figures.timestampFallbacks = timestampFallbacks.load(ordering: .relaxed)
        figures.received = received.load(ordering: .acquiring)
        return figures
    }
}
