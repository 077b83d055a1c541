import Synchronization

/// Sums over all loops that a limit is checked against.
final class BrokerTotals: Sendable {
    let connections = Atomic<Int>(0)
    let retainedMessages = Atomic<Int>(0)
    let retainedBytes = Atomic<Int>(0)
    let isShuttingDown = Atomic<Bool>(false)
}
