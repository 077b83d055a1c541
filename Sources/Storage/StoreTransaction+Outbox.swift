import LMDB
import MQTTModel

/// The queues of the outbox: entries that are appended in the transaction of the message they came with, and removed when
/// somebody else has them.
extension StoreTransaction {
    /// What one transaction did to one queue.
    struct OutboxChange: Sendable {
        var record: OutboxQueueRecord
        var hasAppended = false
        var duplicates = 0
        var tickets: [(ticket: any OutboxTicket, sequence: UInt64?)] = []
    }

    private mutating func queueRecord(_ number: UInt64) throws(LMDBError) -> OutboxQueueRecord? {
        if let known = outbox[number] { return known.record }
        let stored = try Key.number(number) { key throws(LMDBError) in
            try transaction.withValue(key, in: databases.outboxes) { value throws(LMDBError) -> OutboxQueueRecord? in
                SealedRecord.open(value, key: key).flatMap { try? OutboxQueueRecord($0) }
            }
        }
        guard let stored, let record = stored else { return nil }
        outbox[number] = OutboxChange(record: record)
        return record
    }

    mutating func finishOutbox() throws(LMDBError) {
        for (number, change) in outbox {
            try Key.number(number) { key throws(LMDBError) in
                try transaction.putSealed(key, change.record.encoded(), in: databases.outboxes)
            }
        }
    }

    mutating func putQueue(_ number: UInt64, name: String, nextSequence: UInt64) throws(LMDBError) {
        try StoreFormat.note(Schema.outboxFormat, in: &transaction, databases)
        guard try queueRecord(number) == nil else { return }
        outbox[number] = OutboxChange(record: OutboxQueueRecord(name: name, nextSequence: nextSequence))
    }

    mutating func append(_ operation: StoreOperation) throws(LMDBError) {
        guard let append = operation.details?.append, try queueRecord(operation.session) != nil else { return }
        if let deduplication = append.deduplication, try isDuplicate(deduplication, queue: operation.session) {
            outbox[operation.session]?.duplicates += 1
            if let ticket = append.ticket { outbox[operation.session]?.tickets.append((ticket, nil)) }
            return
        }
        guard let sequence = outbox[operation.session]?.record.nextSequence else { return }
        if let message = operation.message {
            let result = message.withParts { _, _, payload in
                Result { () throws(LMDBError) in try put(append, payload, operation.session, sequence) }
            }
            try result.get()
        } else {
            try put(append, UnsafeRawBufferPointer(start: nil, count: 0), operation.session, sequence)
        }
        if let ticket = append.ticket { outbox[operation.session]?.tickets.append((ticket, sequence)) }
    }

    private mutating func put(
        _ append: OutboxAppend, _ payload: UnsafeRawBufferPointer, _ queue: UInt64, _ sequence: UInt64
    ) throws(LMDBError) {
        let count = append.entryBytes(payload: payload.count)
        try Key.queue(queue, sequence) { key throws(LMDBError) in
            try transaction.reserve(key, count: SealedRecord.sealBytes + count, in: databases.outbox) { record in
                OutboxEntry.write(append, payload: payload, to: record, key: key)
            }
        }
        bytes += count
        outbox[queue]?.record.nextSequence = sequence + 1
        outbox[queue]?.record.entries += 1
        outbox[queue]?.record.bytes += OutboxQueueRecord.entryBytes(count)
        outbox[queue]?.hasAppended = true
    }

    // MARK: Deduplication

    /// Whether the queue had an entry with this key a short time ago; from now on it has.
    private mutating func isDuplicate(_ deduplication: OutboxAppend.Deduplication, queue: UInt64) throws(LMDBError) -> Bool {
        let now = MessageClock.now.unixMilliseconds
        let key = Key.deduplication(queue, deduplication.key)
        let isKnown = try key.lend { key throws(LMDBError) in
            let until = try transaction.withValue(key, in: databases.deduplication) { value throws(LMDBError) in Self.until(value, key: key) }
            if let until, let until, until > now { return true }
            var writer = RecordWriter()
            writer.put(deduplication.untilUnixMilliseconds)
            try transaction.putSealed(key, writer.bytes, in: databases.deduplication)
            return false
        }
        try sweepDeduplication(now: now)
        return isKnown
    }

    private static func until(_ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> Int64? {
        guard let content = SealedRecord.open(value, key: key) else { return nil }
        var reader = RecordReader(content)
        return try? reader.integer()
    }

    /// Each new key looks at two old ones and removes those whose time has passed, so that there are never many more than are needed.
    private mutating func sweepDeduplication(now: Int64) throws(LMDBError) {
        var passed: [[UInt8]] = []
        var examined = 0
        var next: [UInt8]?
        let from = deduplicationCursor
        func examine(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
            guard examined < 2 else {
                next = Array(key)
                return false
            }
            examined += 1
            if Self.until(value, key: key).map({ $0 <= now }) ?? true { passed.append(Array(key)) }
            return true
        }
        if let from {
            try from.lend { key throws(LMDBError) in
                try transaction.scan(databases.deduplication, from: key) { key, value throws(LMDBError) in examine(key, value) }
            }
        } else {
            try transaction.scan(databases.deduplication, from: nil) { key, value throws(LMDBError) in examine(key, value) }
        }
        for key in passed {
            _ = try key.lend { key throws(LMDBError) in try transaction.delete(key, in: databases.deduplication) }
        }
        deduplicationCursor = next
    }

    // MARK: Removing

    /// Entries up to and including `sequence`.
    mutating func removeEntries(_ queue: UInt64, upTo sequence: UInt64) throws(LMDBError) {
        guard var record = try queueRecord(queue) else { return }
        try Key.number(queue) { prefix throws(LMDBError) in
            _ = try transaction.removeAll(
                withPrefix: prefix, in: databases.outbox,
                willRemove: { _, value throws(LMDBError) in
                    record.entries -= min(record.entries, 1)
                    record.bytes -= min(record.bytes, OutboxQueueRecord.entryBytes(value.count - SealedRecord.sealBytes))
                },
                while: { $0.bigEndian(at: 8) <= sequence })
        }
        outbox[queue]?.record = record
    }

    mutating func removeEntry(_ queue: UInt64, _ sequence: UInt64) throws(LMDBError) {
        guard try queueRecord(queue) != nil else { return }
        try Key.queue(queue, sequence) { key throws(LMDBError) in
            let size = try transaction.withValue(key, in: databases.outbox) { value throws(LMDBError) in value.count - SealedRecord.sealBytes }
            guard let size, try transaction.delete(key, in: databases.outbox), var record = outbox[queue]?.record else { return }
            record.entries -= min(record.entries, 1)
            record.bytes -= min(record.bytes, OutboxQueueRecord.entryBytes(size))
            outbox[queue]?.record = record
        }
    }

    // MARK: Values

    /// A small value of a plugin's own; an empty one is none.
    mutating func putValue(_ key: [UInt8], _ value: [UInt8]) throws(LMDBError) {
        try StoreFormat.note(Schema.outboxFormat, in: &transaction, databases)
        try key.lend { key throws(LMDBError) in
            if value.isEmpty {
                _ = try transaction.delete(key, in: databases.values)
            } else {
                try transaction.putSealed(key, value, in: databases.values)
            }
        }
    }
}
