import Dispatch
import LMDB
import MQTTModel
import Synchronization

/// Reads queues from the store, a page at a time, on a thread of its own: a disk that is slow to answer must not stop an
/// event loop.
package final class QueueReader: Sendable {
    private let queue = DispatchQueue(label: "headwater.store.reader")
    private let environment: StoreEnvironment
    private let observer: any StoreObserver

    init(environment: StoreEnvironment, observer: any StoreObserver) {
        self.environment = environment
        self.observer = observer
    }

    package struct Page: Sendable {
        package let session: UInt64
        package var entries: [QueueEntry] = []
        /// There was nothing behind the last entry when it was read.
        package var isEnd = true
        /// Entries that can't be read any more, with their sequence numbers.
        package var damaged: [UInt64] = []
    }

    /// Reads entries with sequence numbers above `sequence`, at most `maxMessages` and about `maxBytes`, and gives them to `done`
    /// on the reader's thread.
    ///
    /// - Parameter tenant: Number of the session's tenant in this process.
    package func read(
        _ session: UInt64, tenant: UInt32, above sequence: UInt64, maxMessages: Int, maxBytes: Int, done: @escaping @Sendable (Page?) -> Void
    ) {
        queue.async { [self] in
            FaultPoint.reach(.pageRead)
            done(page(session, tenant: tenant, above: sequence, maxMessages: maxMessages, maxBytes: maxBytes))
        }
    }

    package func stop() async {
        await withCheckedContinuation { continuation in queue.async { continuation.resume() } }
    }

    /// - Returns: `nil`: the environment can't be read now.
    private func page(_ session: UInt64, tenant: UInt32, above sequence: UInt64, maxMessages: Int, maxBytes: Int) -> Page? {
        environment.reading.withLock { _ in
            var page = Page(session: session)
            let now = MessageClock.now
            let databases = environment.databases
            do throws(LMDBError) {
                try environment.current.withRead { transaction throws(LMDBError) in
                    var bytes = 0
                    try Key.queue(session, sequence + 1) { start throws(LMDBError) in
                        try transaction.scan(databases.queue, from: start) { key, value throws(LMDBError) in
                            guard key.count == 16, key.bigEndian(at: 0) == session else { return false }
                            guard page.entries.count < maxMessages, bytes < maxBytes else {
                                page.isEnd = false
                                return false
                            }
                            if let entry = try Self.entry(key, value, in: transaction, databases, tenant: tenant, now: now) {
                                bytes += entry.message?.byteCount ?? 0
                                page.entries.append(entry)
                            } else {
                                page.damaged.append(key.bigEndian(at: 8))
                            }
                            return true
                        }
                    }
                }
            } catch {
                return nil
            }
            if !page.damaged.isEmpty { observer.foundDamaged(records: page.damaged.count, in: "queue") }
            return page
        }
    }

    /// - Returns: `nil`: the entry, or the message that it refers to, is damaged.
    private static func entry(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, in transaction: borrowing ReadTransaction, _ databases: Databases,
        tenant: UInt32, now: MessageClock
    ) throws(LMDBError) -> QueueEntry? {
        guard let content = SealedRecord.open(value, key: key) else { return nil }
        var reader = RecordReader(content)
        guard let header = try? QueueEntryRecord.readHeader(&reader) else { return nil }
        var message: Message?
        if let number = header.reference {
            let body = try Key.message(number, isBody: true) { key throws(LMDBError) in
                try transaction.withValue(key, in: databases.messages) { value throws(LMDBError) -> Message? in
                    guard let content = SealedRecord.open(value, key: key) else { return nil }
                    var reader = RecordReader(content)
                    return try? StoredMessage.read(&reader, tenant: tenant, now: now)
                }
            }
            message = body ?? nil
        } else if !header.isReleased {
            message = try? StoredMessage.read(&reader, tenant: tenant, now: now)
        }
        guard message != nil || header.isReleased else { return nil }
        return QueueEntry(
            sequence: key.bigEndian(at: 8), message: message, qos: header.qos, retain: header.retain, subscriptionIDs: header.subscriptionIDs,
            share: header.share)
    }
}
