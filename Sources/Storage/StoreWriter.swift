import Dispatch
import LMDB
import MQTTModel
import Synchronization

/// The one writer of the environment: everything that waits becomes one transaction, and one synchronisation of the disk
/// releases many acknowledgements (group commit).
///
/// A transaction that fails is tried again, with what has come meanwhile, until it goes through: full and read-only disks
/// are states, and no batch is ever given up or reported before it is stored.
package final class StoreWriter: @unchecked Sendable {
    // @unchecked: `submitted` has a lock; everything else is touched on `queue` only.
    private struct Submission {
        let batch: StoreBatch
        let report: @Sendable (StoreReport) -> Void
    }

    private struct Waiting {
        var submissions: [Submission] = []
        var isScheduled = false
    }

    private let submitted = Mutex(Waiting())
    private let queue = DispatchQueue(label: "headwater.store.writer")
    private let syncQueue = DispatchQueue(label: "headwater.store.sync")
    private let environment: StoreEnvironment
    private let options: StoreOptions
    private let observer: any StoreObserver
    private let outbox: Outbox
    private var deduplicationCursor: [UInt8]?

    /// Taken, but not stored: a transaction failed.
    private var unstored: [Submission] = []
    private var nextMessage: UInt64
    private var purges: [UInt64]
    private var condition = StoreCondition.writable
    private var isRetryScheduled = false
    private var isStopped = false
    private var isSettled = false
    private var lastMeasure: UInt64 = 0
    // Where commits don't wait for the disk:
    private var isSyncScheduled = false
    private var hasUnsynced = false
    private var pin: Pin?
    /// The state that is being synchronised.
    private var nextPin: Pin?

    /// Keeps the pages of one state of the environment from being used again. Made and given up on `queue`; in between
    /// nobody touches it.
    private final class Pin: @unchecked Sendable {
        let checkpoint: Checkpoint.Captured
        private var transaction: ReadTransaction?

        init(_ environment: Environment) throws(LMDBError) {
            let transaction = try environment.beginRead()
            checkpoint = try Checkpoint.capture(environment, pinnedBy: transaction)
            self.transaction = consume transaction
        }

        /// Before the environment is closed.
        func end() { transaction = nil }
    }

    /// - Parameter purges: Ended sessions whose queues were not removed to the end.
    init(
        environment: StoreEnvironment, options: StoreOptions, observer: any StoreObserver, outbox: Outbox, nextMessage: UInt64, purges: [UInt64]
    ) {
        self.outbox = outbox
        self.environment = environment
        self.options = options
        self.observer = observer
        self.nextMessage = nextMessage
        self.purges = purges
    }

    /// Takes a batch. `report` is called on the writer's thread when it is stored as durably as the options ask.
    package func submit(_ batch: StoreBatch, report: @escaping @Sendable (StoreReport) -> Void) {
        let mustWake = submitted.withLock { waiting in
            waiting.submissions.append(Submission(batch: batch, report: report))
            defer { waiting.isScheduled = true }
            return !waiting.isScheduled
        }
        if mustWake { queue.async { [self] in drain() } }
    }

    /// Begins the work that no batch asks for: the first checkpoint, and what is left to remove.
    /// - Throws: What makes the environment useless from the start.
    func start() throws(LMDBError) {
        var failure: LMDBError?
        queue.sync {
            do throws(LMDBError) {
                try settle()
                measure()
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        if !purges.isEmpty { queue.async { [self] in drain() } }
    }

    /// Stores what has been submitted and synchronises. Nothing may be submitted afterwards.
    /// - Returns: Whether everything is on the disk.
    package func stop() async -> Bool {
        await withCheckedContinuation { continuation in
            queue.async { [self] in
                drain()
                isStopped = true
                syncQueue.sync {}  // the one that is under way
                var isComplete = unstored.isEmpty
                do throws(LMDBError) {
                    try environment.current.sync()
                    pin = nil
                    if isComplete { try environment.removeCheckpoint() }
                } catch {
                    isComplete = false
                }
                pin = nil
                continuation.resume(returning: isComplete)
            }
        }
    }

    // MARK: On the queue

    private func drain() {
        guard !isStopped else { return }
        var isMore = true
        while isMore {
            let taken = submitted.withLock { waiting in
                let taken = waiting.submissions
                waiting.submissions = []
                if taken.isEmpty { waiting.isScheduled = false }
                return taken
            }
            unstored += taken
            FaultPoint.reach(.batchTaken)
            guard !unstored.isEmpty || !purges.isEmpty else { return }
            guard store() else {
                submitted.withLock { $0.isScheduled = false }
                return retryLater()
            }
            isMore = !taken.isEmpty || !purges.isEmpty
        }
    }

    /// Before the first transaction of an environment: what is there is on the disk, and where commits will not wait for it, its
    /// pages are kept.
    private func settle() throws(LMDBError) {
        guard !isSettled else { return }
        try environment.current.sync()
        if options.durability == .sync {
            try environment.removeCheckpoint()
        } else {
            let made = try Pin(environment.current)
            try made.checkpoint.write(to: environment.checkpointPath, bootID: Checkpoint.currentBootID())
            pin = made
        }
        isSettled = true
    }

    /// - Returns: `false`: it has failed, and everything is as it was.
    private func store(mayRetry: Bool = true) -> Bool {
        let submissions = unstored
        let purged = purges.first
        let began = MessageClock.now.monotonicNanoseconds
        var reports: [StoreReport] = []
        var changes: [UInt64: StoreTransaction.OutboxChange] = [:]
        do throws(LMDBError) {
            try settle()
            var transaction = StoreTransaction(
                try environment.current.beginWrite(), databases: environment.databases, nextMessage: nextMessage,
                deduplicationCursor: deduplicationCursor)
            FaultPoint.reach(.transactionBegun)
            for submission in submissions {
                reports.append(StoreReport(batch: submission.batch.number, trims: try transaction.apply(submission.batch)))
            }
            var isPurged = false
            if let purged { isPurged = try transaction.purge(purged) }
            let (operations, bytes, next, more) = (transaction.operations, transaction.bytes, transaction.nextMessage, transaction.purges)
            let (outboxChanges, cursor) = (transaction.outbox, transaction.deduplicationCursor)
            if options.durability == .sync { FaultPoint.reach(.beforeSync) }
            try transaction.commit()
            if options.durability == .sync { FaultPoint.reach(.afterSync) }
            nextMessage = next
            deduplicationCursor = cursor
            changes = outboxChanges
            if isPurged { purges.removeFirst() }
            purges += more
            unstored = []
            let ended = MessageClock.now.monotonicNanoseconds
            observer.committed(operations: operations, bytes: bytes, microseconds: (ended - began) / 1_000)
            if ended > lastMeasure + 5_000_000_000 { measure() }
        } catch {
            // At once where LMDB has to be opened anew, for it has not tried the disk.
            return failed(error) && mayRetry ? store(mayRetry: false) : false
        }
        judgeSize()
        FaultPoint.reach(.beforeReport)
        outbox.committed(changes)
        for (submission, report) in zip(submissions, reports) { submission.report(report) }
        FaultPoint.reach(.afterReport)
        if options.durability != .sync { syncLater() }
        return true
    }

    /// - Returns: Whether another try, at once, has a chance.
    private func failed(_ error: LMDBError) -> Bool {
        change(to: .failed, error.description)
        // A meta page that could not be written makes LMDB refuse everything until the environment is opened anew.
        guard error.kind == .panicked || (try? environment.current) == nil else { return false }
        syncQueue.sync {}
        for pin in [pin, nextPin] { pin?.end() }
        pin = nil
        nextPin = nil
        isSettled = false
        do throws(LMDBError) {
            try environment.reopen()
            return true
        } catch {
            return false
        }
    }

    private func change(to condition: StoreCondition, _ reason: String) {
        guard self.condition != condition else { return }
        self.condition = condition
        observer.changed(to: condition, reason: reason)
    }

    /// After a transaction: full below the limit of LMDB's map, where even removing would fail, for that needs pages too.
    private func judgeSize() {
        let allowed = options.maxBytes
        guard let environment = try? environment.current, environment.info.lastPage * environment.pageSize > allowed / 10 * 9,
            let size = try? self.environment.size()
        else { return change(to: .writable, "") }
        let used = size.usedBytes - size.freeBytes
        if used > allowed {
            change(to: .full, "it has its largest size, \(allowed) bytes (store.max_size)")
        } else if condition == .failed || used <= allowed / 20 * 19 {
            change(to: .writable, "")
        }
    }

    private func retryLater() {
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        queue.asyncAfter(deadline: .now() + .milliseconds(options.retryMilliseconds)) { [self] in
            isRetryScheduled = false
            drain()
        }
    }

    private func measure() {
        lastMeasure = MessageClock.now.monotonicNanoseconds
        if let size = try? environment.size() { observer.measured(size) }
    }

    // MARK: Synchronisation beside the commits

    private func syncLater() {
        hasUnsynced = true
        guard !isSyncScheduled else { return }
        isSyncScheduled = true
        queue.asyncAfter(deadline: .now() + .milliseconds(options.syncIntervalMilliseconds)) { [self] in synchronize() }
    }

    private func save(_ captured: Pin, of environment: Environment) -> Bool {
        do throws(LMDBError) {
            FaultPoint.reach(.beforeSync)
            try environment.sync()
            FaultPoint.reach(.afterSync)
            try captured.checkpoint.write(to: self.environment.checkpointPath, bootID: Checkpoint.currentBootID())
            FaultPoint.reach(.checkpointWritten)
            return true
        } catch {
            return false
        }
    }

    private func synchronize() {
        guard !isStopped, hasUnsynced, let current = try? environment.current, let captured = try? Pin(current) else {
            isSyncScheduled = false
            return
        }
        hasUnsynced = false
        nextPin = captured
        syncQueue.async { [self] in
            let began = MessageClock.now.monotonicNanoseconds
            let isDone = save(captured, of: current)
            let took = (MessageClock.now.monotonicNanoseconds - began) / 1_000
            queue.async { [self] in
                isSyncScheduled = false
                defer { nextPin = nil }
                if isDone {
                    if !isStopped { pin = nextPin }
                    observer.synchronized(microseconds: took)
                    if hasUnsynced { syncLater() }
                } else if !isStopped {
                    syncLater()
                }
            }
        }
    }
}
