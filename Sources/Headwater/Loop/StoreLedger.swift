import DequeModule
import MQTTModel
import Storage

/// What one loop has given, or is about to give, to the store: the batch that is open, the one at the writer, and who waits
/// for which.
///
/// Batches are numbered. One of a loop is at the writer at a time; what comes meanwhile gathers in the open one, where a
/// message that its receivers acknowledge in time is taken back (write elision, docs/adr/0011).
final class StoreLedger {
    let service: StoreService

    /// A batch that is not complete: not stored, or other loops have not stored what it gave them.
    struct Entry {
        let number: UInt64
        var isComplete = false
        /// Made when another loop, or a publish, has to do with it.
        var promise: StorePromise?
        /// Others' promises that are kept when this batch is stored.
        var kept: [StorePromise] = []
        /// Connections with bytes that wait for it.
        var connections: [ConnectionHandler] = []
        /// An embedding program that waits.
        var continuations: [@Sendable () -> Void] = []
    }

    @exclusivity(unchecked) private(set) var open: StoreBatch
    /// The one that the writer has.
    @exclusivity(unchecked) private(set) var submitted: StoreBatch?
    /// Not complete, the open one last.
    @exclusivity(unchecked) private var entries: Deque<Entry>
    /// Every batch up to this one is stored.
    @exclusivity(unchecked) private(set) var stored: UInt64 = 0
    /// Something in the open batch is not worth waiting for: no receiver can make it unnecessary.
    @exclusivity(unchecked) var isUrgent = false
    @exclusivity(unchecked) var isWindowTimerSet = false
    /// The window of the open batch has passed.
    @exclusivity(unchecked) var isDue = false
    /// Nothing can be written now.
    @exclusivity(unchecked) var hasFailed = false
    /// There is no room for more, or nothing can be written: what needs the store is refused.
    @exclusivity(unchecked) var isRefusing = false
    /// Tells this run's records from those of others.
    let runSalt = UInt64.random(in: 0 ... .max)
    /// Publishers that are not read, since too much waits to be stored, and those whose PUBLISH waits for a store that can be
    /// written.
    @exclusivity(unchecked) var waitingPublishers: Set<ConnectionReference> = []
    @exclusivity(unchecked) var postponed: [ConnectionReference] = []
    /// Acknowledgements of clients that can't be stored now.
    @exclusivity(unchecked) var postponedAcknowledgements: [(connection: ConnectionReference, type: UInt8, packetID: UInt16)] = []
    /// Sessions that go on reading their queue when a batch is stored.
    @exclusivity(unchecked) var waitingReaders: [(batch: UInt64, session: SessionReference)] = []

    /// Bytes and changes that wait to be stored, above which publishers are not read.
    private static let maxWaitingBytes = 32 << 20
    private static let maxWaitingOperations = 200_000

    init(_ service: StoreService) {
        self.service = service
        open = StoreBatch(number: 1)
        entries = [Entry(number: 1)]
    }

    var isOverfull: Bool {
        open.bytes + (submitted?.bytes ?? 0) > Self.maxWaitingBytes
            || open.liveCount + (submitted?.liveCount ?? 0) > Self.maxWaitingOperations
    }

    /// Cancelled operations take memory too.
    var isLong: Bool { open.operations.count > Self.maxWaitingOperations }

    // MARK: The open batch

    /// - Parameter isUrgent: Whether nothing can make it unnecessary.
    @discardableResult
    func append(_ operation: StoreOperation, isUrgent: Bool = true) -> UInt32 {
        if isUrgent { self.isUrgent = true }
        return UInt32(open.append(operation))
    }

    /// Bytes that a connection is told from now on wait for the open batch.
    @inline(__always)
    func hold(_ connection: ConnectionHandler) {
        guard service.isAwaited, connection.hold(until: open.number) else { return }
        entries[entries.count - 1].connections.append(connection)
    }

    /// The same for an earlier batch, if it is not complete.
    func hold(_ connection: ConnectionHandler, until batch: UInt64) {
        guard service.isAwaited, let first = entries.first?.number, batch >= first, connection.hold(until: batch) else { return }
        entries[Int(batch - first)].connections.append(connection)
    }

    /// The promise that all messages of the open batch are stored, with one more keeper.
    func promiseOfOpenBatch(node: LoopNode) -> StorePromise {
        let last = entries.count - 1
        let promise = entries[last].promise ?? StorePromise(.batch(open.number), node: node)
        entries[last].promise = promise
        promise.addKeeper()
        return promise
    }

    /// Kept when the open batch is stored.
    func keepWhenStored(_ promise: StorePromise) { entries[entries.count - 1].kept.append(promise) }

    /// Called when the open batch, and what it gave other loops, is stored.
    func whenComplete(_ continuation: @escaping @Sendable () -> Void) { entries[entries.count - 1].continuations.append(continuation) }

    /// Whether nobody waits for the open batch, and nothing is in it.
    var isIdle: Bool {
        guard open.operations.isEmpty, let last = entries.last else { return false }
        return last.promise == nil && last.kept.isEmpty && last.connections.isEmpty && last.continuations.isEmpty
    }

    /// Gives the open batch out and begins the next.
    func submit() -> StoreBatch {
        let batch = open
        submitted = batch
        closeOpen()
        return batch
    }

    /// The open batch has nothing that must be written.
    func skip() -> UInt64 {
        let number = open.number
        closeOpen()
        return number
    }

    private func closeOpen() {
        open = StoreBatch(number: open.number + 1)
        entries.append(Entry(number: open.number))
        isUrgent = false
        isDue = false
    }

    /// Connections with bytes that wait for a batch.
    var waitingConnections: [ConnectionHandler] { entries.flatMap(\.connections) }

    // MARK: Completion

    /// The batch is in the store, or did not have to be.
    /// - Returns: Whether it is complete, too.
    func stored(_ number: UInt64) -> Bool {
        submitted = nil
        stored = number
        guard let first = entries.first?.number, number >= first else { return false }
        let index = Int(number - first)
        for promise in entries[index].kept { promise.keep() }
        entries[index].kept = []
        if let promise = entries[index].promise {
            promise.keep()
            return false
        }
        entries[index].isComplete = true
        return true
    }

    /// All keepers of a batch's promise have kept it.
    func completed(_ number: UInt64) {
        guard let first = entries.first?.number, number >= first else { return }
        entries[Int(number - first)].isComplete = true
    }

    /// The next batch that is complete with all before it.
    func popComplete() -> Entry? {
        guard let first = entries.first, first.isComplete else { return nil }
        return entries.removeFirst()
    }

    /// Whether everything that was ever given is stored.
    var isSettled: Bool { submitted == nil && isIdle && entries.count == 1 }
}
