import Logging
import PluginAPI
import Storage
import Synchronization

/// The store as the loops share it: where batches go, numbers that no two loops may give, figures, and its state.
final class StoreService: Sendable {
    let store: Store
    let configuration: BrokerConfiguration.Store
    let gauges: StoreGauges
    private let nextSession: Atomic<UInt64>
    private let nextRetained: Atomic<UInt64>

    init(_ store: Store, state: StoredState, configuration: BrokerConfiguration.Store, gauges: StoreGauges) {
        self.store = store
        self.configuration = configuration
        self.gauges = gauges
        nextSession = Atomic(state.nextSession)
        nextRetained = Atomic(state.nextRetained)
    }

    func takeSessionNumber() -> UInt64 { nextSession.add(1, ordering: .relaxed).oldValue }
    func takeRetainedNumber() -> UInt64 { nextRetained.add(1, ordering: .relaxed).oldValue }

    /// Whether acknowledgements wait for the store at all.
    var isAwaited: Bool { configuration.durability != .relaxed }
}

/// What the store's threads report: figures for the metrics, and whether it can be written.
final class StoreGauges: StoreObserver {
    private let state = Mutex(StoreStatistics())
    private let logger: Logger
    private let changed = Mutex<(@Sendable (StoreCondition) -> Void)?>(nil)

    init(logger: Logger) { self.logger = logger }

    var statistics: StoreStatistics { state.withLock { $0 } }

    func onChange(_ body: @escaping @Sendable (StoreCondition) -> Void) { changed.withLock { $0 = body } }

    func opened(alarms: [String]) { state.withLock { $0.alarms = alarms } }

    func committed(operations: Int, bytes: Int, microseconds: UInt64) {
        state.withLock {
            $0.commits += 1
            $0.operations += operations
            $0.bytesWritten += bytes
            $0.largestBatch = max($0.largestBatch, operations)
            $0.commitLatency.record(microseconds: microseconds)
            $0.lastBatch = operations
        }
    }

    func synchronized(microseconds: UInt64) {
        state.withLock {
            $0.synchronizations += 1
            $0.synchronizationLatency.record(microseconds: microseconds)
        }
    }

    func changed(to condition: StoreCondition, reason: String) {
        state.withLock {
            $0.failure = condition == .writable ? nil : reason
            if condition != .writable { $0.failures += 1 }
        }
        switch condition {
        case .writable: logger.notice("the store can be written again")
        case .full, .failed:
            logger.error("the store takes nothing more: QoS 1 and 2 that need it are refused until it does", metadata: ["reason": "\(reason)"])
        }
        changed.withLock { $0 }?(condition)
    }

    func foundDamaged(records: Int, in database: String) {
        state.withLock { $0.damagedRecords += records }
        logger.critical("the store has records that can't be read: they are left out", metadata: [
            "database": "\(database)", "records": "\(records)",
        ])
    }

    func measured(_ size: StoreSize) {
        state.withLock {
            $0.maxBytes = size.maxBytes
            $0.usedBytes = size.usedBytes
            $0.freeBytes = size.freeBytes
        }
    }
}
