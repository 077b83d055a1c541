import LMDB
import MQTTModel
import Synchronization

/// Queues that the store keeps for others than sessions: what is to go elsewhere waits in them, in order, until it is there.
///
/// Sendable: the book of queues has a lock, and each queue its own. Numbers of entries come from the writer's transactions, so that
/// the order of numbers is the order of commits, whichever loops appended.
package final class Outbox: Sendable {
    /// Tells this store from others that ever had queues of the same names.
    package let identity: String
    private let environment: StoreEnvironment
    private let state: Mutex<State>

    private struct State {
        var queues: [UInt64: OutboxQueue] = [:]
        var numbers: [String: UInt64] = [:]
        var next: UInt64 = 1
    }

    /// Reads the queues, and moves their sequence numbers beyond those of every earlier life of the process.
    init(_ environment: StoreEnvironment) throws(LMDBError) {
        self.environment = environment
        let databases = environment.databases
        var records: [(number: UInt64, record: OutboxQueueRecord)] = []
        var identity: String?
        try environment.current.withRead { transaction throws(LMDBError) in
            try transaction.scan(databases.outboxes, from: nil) { key, value throws(LMDBError) in
                if key.count == 8, let content = SealedRecord.open(value, key: key), let record = try? OutboxQueueRecord(content) {
                    records.append((key.bigEndian(at: 0), record))
                }
                return true
            }
            identity = try Schema.identityKey.lend { key throws(LMDBError) in
                try transaction.withValue(key, in: databases.meta) { value throws(LMDBError) -> String? in
                    SealedRecord.open(value, key: key).map { String(decoding: $0, as: UTF8.self) }
                } ?? nil
            }
        }
        self.identity = identity ?? Self.newIdentity()
        let seconds = MessageClock.now.unixMilliseconds / 1000
        for index in records.indices {
            records[index].record.nextSequence = OutboxQueueRecord.firstSequence(after: records[index].record.nextSequence, unixSeconds: seconds)
        }
        var state = State()
        for (number, record) in records {
            state.queues[number] = OutboxQueue(number: number, record: record)
            state.numbers[record.name] = number
            state.next = max(state.next, number + 1)
        }
        self.state = Mutex(state)
        guard !records.isEmpty || identity == nil else { return }
        var transaction = try environment.current.beginWrite()
        for (number, record) in records {
            try Key.number(number) { key throws(LMDBError) in try transaction.putSealed(key, record.encoded(), in: databases.outboxes) }
        }
        if identity == nil {
            try Schema.identityKey.lend { key throws(LMDBError) in
                try transaction.putSealed(key, Array(self.identity.utf8), in: databases.meta)
            }
        }
        try transaction.commit()
    }

    private static func newIdentity() -> String {
        let bits = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))
        func hexadecimal(_ value: UInt64) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return hexadecimal(bits.0) + hexadecimal(bits.1)
    }

    /// The queue of that name. A new one is stored with the first batch that `register` is called for.
    ///
    /// - Parameter register: Called for a new queue with the operation that stores it; nothing may be appended to it before that.
    package func queue(named name: String, register: (StoreOperation) -> Void) -> OutboxQueue {
        state.withLock { state in
            if let number = state.numbers[name], let queue = state.queues[number] { return queue }
            let number = state.next
            state.next += 1
            let first = OutboxQueueRecord.firstSequence(after: 0, unixSeconds: MessageClock.now.unixMilliseconds / 1000)
            let queue = OutboxQueue(number: number, record: OutboxQueueRecord(name: name, nextSequence: first))
            state.queues[number] = queue
            state.numbers[name] = number
            register(.putQueue(number, name: name, nextSequence: first))
            return queue
        }
    }

    /// All queues, also those that nobody has asked for yet.
    package var queues: [OutboxQueue] { state.withLock { $0.queues.values.sorted { $0.number < $1.number } } }

    /// Lends entries with sequence numbers from `sequence` on, in order, at most `maxEntries` and about `maxBytes`.
    ///
    /// - Returns: Sequence numbers of entries that can't be read any more.
    package func read(
        _ queue: UInt64, from sequence: UInt64, maxEntries: Int, maxBytes: Int,
        _ body: (_ sequence: UInt64, _ head: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void
    ) throws(LMDBError) -> [UInt64] {
        var damaged: [UInt64] = []
        let result: Result<Void, LMDBError> = environment.reading.withLock { _ in
            Result { () throws(LMDBError) in
                try environment.current.withRead { transaction throws(LMDBError) in
                    var (entries, bytes) = (0, 0)
                    try Key.queue(queue, sequence) { start throws(LMDBError) in
                        try transaction.scan(environment.databases.outbox, from: start) { key, value throws(LMDBError) in
                            guard key.count == 16, key.bigEndian(at: 0) == queue, entries < maxEntries, bytes < maxBytes else { return false }
                            entries += 1
                            bytes += value.count
                            if let entry = OutboxEntry.read(value, key: key) {
                                body(key.bigEndian(at: 8), entry.head, entry.value)
                            } else {
                                damaged.append(key.bigEndian(at: 8))
                            }
                            return true
                        }
                    }
                }
            }
        }
        try result.get()
        return damaged
    }

    /// A value that `StoreOperation.putValue` has stored; `nil` if there is none or it can't be read.
    package func value(_ key: String) throws(LMDBError) -> [UInt8]? {
        let bytes = Array(key.utf8)
        let result: Result<[UInt8]?, LMDBError> = environment.reading.withLock { _ in
            Result { () throws(LMDBError) in
                try environment.current.withRead { transaction throws(LMDBError) in
                    try bytes.lend { key throws(LMDBError) in
                        try transaction.withValue(key, in: environment.databases.values) { value throws(LMDBError) -> [UInt8]? in
                            SealedRecord.open(value, key: key).map { Array($0) }
                        } ?? nil
                    }
                }
            }
        }
        return try result.get()
    }

    /// On the writer's thread, after a transaction is as durable as it will be.
    func committed(_ changes: [UInt64: StoreTransaction.OutboxChange]) {
        for (number, change) in changes {
            guard let queue = state.withLock({ $0.queues[number] }) else { continue }
            for ticket in change.tickets { ticket.ticket.stored(sequence: ticket.sequence) }
            queue.committed(change)
        }
    }
}

/// A queue of the outbox as the store has it.
package final class OutboxQueue: Sendable {
    package let number: UInt64
    package let name: String
    private let state: Mutex<State>

    private struct State {
        var record: OutboxQueueRecord
        var duplicates = 0
        var wake: (@Sendable () -> Void)?
    }

    package struct Figures: Sendable {
        package let entries: Int
        package let bytes: Int
        /// Every stored entry has a lower one.
        package let nextSequence: UInt64
        /// Entries that were not appended, since the queue had had one with the same deduplication key.
        package let duplicates: Int
    }

    init(number: UInt64, record: OutboxQueueRecord) {
        self.number = number
        name = record.name
        state = Mutex(State(record: record))
    }

    package var figures: Figures {
        state.withLock {
            Figures(
                entries: Int(clamping: $0.record.entries), bytes: Int(clamping: $0.record.bytes), nextSequence: $0.record.nextSequence,
                duplicates: $0.duplicates)
        }
    }

    /// Called on the writer's thread whenever entries have been stored.
    package func onAppend(_ wake: @escaping @Sendable () -> Void) { state.withLock { $0.wake = wake } }

    func committed(_ change: StoreTransaction.OutboxChange) {
        let wake = state.withLock { state in
            state.record = change.record
            state.duplicates += change.duplicates
            return change.hasAppended ? state.wake : nil
        }
        wake?()
    }
}
