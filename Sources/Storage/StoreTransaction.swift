import LMDB
import MQTTModel

/// Applies operations in one transaction. What it learns on the way (counts, numbers given) becomes the writer's knowledge
/// when the transaction has been committed, and is forgotten when it has failed.
struct StoreTransaction: ~Copyable {
    let databases: Databases
    var transaction: WriteTransaction
    /// Counts of the queues that were touched.
    private var counts: [UInt64: QueueCounts] = [:]
    /// Numbers and references of messages stored once in this transaction.
    private var bodies: [ObjectIdentifier: (number: UInt64, references: UInt32)] = [:]
    /// The way back, for references that go again in the same transaction.
    private var identities: [UInt64: ObjectIdentifier] = [:]
    private(set) var nextMessage: UInt64
    /// Ended sessions whose queues are too long for one transaction.
    private(set) var purges: [UInt64] = []
    private(set) var operations = 0
    var bytes = 0
    /// Queues of the outbox that were touched.
    var outbox: [UInt64: OutboxChange] = [:]
    /// Where the next look at old deduplication keys begins.
    var deduplicationCursor: [UInt8]?

    /// Messages of an ended session that are removed at once; the rest follows in slices.
    static let purgeSlice = 2_000

    init(_ transaction: consuming WriteTransaction, databases: Databases, nextMessage: UInt64, deduplicationCursor: [UInt8]? = nil) {
        self.deduplicationCursor = deduplicationCursor
        self.transaction = transaction
        self.databases = databases
        self.nextMessage = nextMessage
    }

    /// - Returns: What `trim` operations took away.
    mutating func apply(_ batch: StoreBatch) throws(LMDBError) -> [StoreReport.Trim] {
        var trims: [StoreReport.Trim] = []
        for index in batch.operations.indices {
            try apply(batch.operations[index], &trims)
        }
        return trims
    }

    consuming func commit() throws(LMDBError) {
        try finish()
        FaultPoint.reach(.beforeCommit)
        try transaction.commit()
        FaultPoint.reach(.afterCommit)
    }

    private mutating func finish() throws(LMDBError) {
        try finishOutbox()
        for (_, body) in bodies {
            try Key.message(body.number, isBody: false) { key throws(LMDBError) in
                try transaction.putSealed(key, encoded(body.references), in: databases.messages)
            }
        }
        for (session, count) in counts {
            try Key.number(session) { key throws(LMDBError) in
                try transaction.putSealed(key, count.encoded(), in: databases.counts)
            }
        }
    }

    private func encoded(_ references: UInt32) -> [UInt8] {
        var writer = RecordWriter()
        writer.put(references)
        return writer.bytes
    }

    private mutating func apply(_ operation: StoreOperation, _ trims: inout [StoreReport.Trim]) throws(LMDBError) {
        switch operation.kind {
        case .cancelled: return
        case .enqueue: try enqueue(operation)
        case .remove: try remove(operation)
        case .release: try release(operation)
        case .trim: trims.append(try trim(operation))
        case .remember: try putEmpty(operation.session, operation.packetID)
        case .forget: try forget(operation)
        case .relayed: try relayed(operation)
        case .putSession: try putSession(operation)
        case .endSession: try endSession(operation.session)
        case .putSubscription, .removeSubscription: try changeSubscription(operation)
        case .retain: try retain(operation)
        case .clearRetained:
            _ = try Key.number(operation.sequence) { key throws(LMDBError) in try transaction.delete(key, in: databases.retained) }
        case .putQueue: try putQueue(operation.session, name: operation.details?.name ?? "", nextSequence: operation.sequence)
        case .append: try append(operation)
        case .removeEntries: try removeEntries(operation.session, upTo: operation.sequence)
        case .removeEntry: try removeEntry(operation.session, operation.sequence)
        case .putValue: try putValue(Array((operation.details?.name ?? "").utf8), operation.details?.value ?? [])
        }
        operations += 1
        FaultPoint.reach(.operationApplied)
    }

    // MARK: Queues

    private mutating func count(of session: UInt64) throws(LMDBError) -> QueueCounts {
        if let known = counts[session] { return known }
        let stored = try Key.number(session) { key throws(LMDBError) in
            try transaction.withValue(key, in: databases.counts) { value throws(LMDBError) -> QueueCounts? in
                SealedRecord.open(value, key: key).flatMap { try? QueueCounts($0) }
            }
        }
        return (stored ?? nil) ?? QueueCounts()
    }

    private mutating func enqueue(_ operation: StoreOperation) throws(LMDBError) {
        guard let message = operation.message else { return }
        let reference = operation.isReference ? try refer(to: message) : nil
        let size = QueueEntryRecord.encodedBytes(operation, message, reference: reference)
        try Key.queue(operation.session, operation.sequence) { key throws(LMDBError) in
            try transaction.reserve(key, count: size, in: databases.queue) { record in
                QueueEntryRecord.write(operation, message, reference: reference, to: record, key: key)
            }
        }
        bytes += size + 16
        var count = try count(of: operation.session)
        count.messages += 1
        count.bytes += UInt64(operation.bytes)
        count.lastSequence = max(count.lastSequence, operation.sequence)
        counts[operation.session] = count
    }

    /// Stores a long message at its first reference.
    private mutating func refer(to message: Message) throws(LMDBError) -> UInt64 {
        if let known = bodies[message.identity] {
            bodies[message.identity] = (known.number, known.references + 1)
            return known.number
        }
        let number = nextMessage
        nextMessage += 1
        bodies[message.identity] = (number, 1)
        identities[number] = message.identity
        let size = SealedRecord.sealBytes + StoredMessage.encodedBytes(of: message)
        try Key.message(number, isBody: true) { key throws(LMDBError) in
            try transaction.reserve(key, count: size, in: databases.messages) { record in
                StoredMessage.write(message, to: record.baseAddress.unsafelyUnwrapped + SealedRecord.sealBytes)
                SealedRecord.close(record, key: key)
            }
        }
        bytes += size
        return number
    }

    private mutating func remove(_ operation: StoreOperation) throws(LMDBError) {
        if operation.isReference { try dereference(operation.session, operation.sequence) }
        let existed = try Key.queue(operation.session, operation.sequence) { key throws(LMDBError) in
            try transaction.delete(key, in: databases.queue)
        }
        guard existed else { return }
        try uncount(operation.session, messages: 1, bytes: UInt64(operation.bytes))
    }

    private mutating func uncount(_ session: UInt64, messages: UInt64, bytes: UInt64) throws(LMDBError) {
        var count = try count(of: session)
        count.messages -= min(count.messages, messages)
        count.bytes -= min(count.bytes, bytes)
        counts[session] = count
    }

    /// The message number that an entry refers to, and one reference less.
    private mutating func dereference(_ session: UInt64, _ sequence: UInt64) throws(LMDBError) {
        let reference = try Key.queue(session, sequence) { key throws(LMDBError) in
            try transaction.withValue(key, in: databases.queue) { value throws(LMDBError) -> UInt64? in
                Self.reference(in: value, key: key)
            }
        }
        if let reference, let number = reference { try dereference(number) }
    }

    private static func reference(in value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> UInt64? {
        guard let content = SealedRecord.open(value, key: key) else { return nil }
        var reader = RecordReader(content)
        return (try? QueueEntryRecord.readHeader(&reader))?.reference
    }

    private mutating func dereference(_ number: UInt64) throws(LMDBError) {
        if let identity = identities[number], let known = bodies[identity] {
            bodies[identity] = known.references > 1 ? (number, known.references - 1) : nil
            if known.references == 1 {
                identities[number] = nil
                try removeBody(number)
            }
            return
        }
        let stored = try Key.message(number, isBody: false) { key throws(LMDBError) in
            try transaction.withValue(key, in: databases.messages) { value throws(LMDBError) -> UInt32? in
                guard let content = SealedRecord.open(value, key: key) else { return nil }
                var reader = RecordReader(content)
                return try? reader.integer()
            }
        }
        guard let stored, let references = stored else { return }
        guard references > 1 else { return try removeBody(number) }
        try Key.message(number, isBody: false) { key throws(LMDBError) in
            try transaction.putSealed(key, encoded(references - 1), in: databases.messages)
        }
    }

    private mutating func removeBody(_ number: UInt64) throws(LMDBError) {
        for isBody in [false, true] {
            _ = try Key.message(number, isBody: isBody) { key throws(LMDBError) in try transaction.delete(key, in: databases.messages) }
        }
    }

    private mutating func release(_ operation: StoreOperation) throws(LMDBError) {
        if operation.isReference { try dereference(operation.session, operation.sequence) }
        try Key.queue(operation.session, operation.sequence) { key throws(LMDBError) in
            try transaction.putSealed(key, QueueEntryRecord.released, in: databases.queue)
        }
        try uncount(operation.session, messages: 0, bytes: UInt64(operation.bytes))
    }

    private mutating func trim(_ operation: StoreOperation) throws(LMDBError) -> StoreReport.Trim {
        let removed = try removeQueue(
            of: operation.session, above: operation.sequence, sparing: operation.details?.sparedSequence ?? 0, limit: 1)
        try uncount(operation.session, messages: UInt64(removed.messages), bytes: UInt64(removed.bytes))
        return StoreReport.Trim(
            session: operation.session, asked: 1, messages: removed.messages, bytes: removed.bytes, estimate: Int(operation.bytes))
    }

    /// Removes messages from the front of a queue, references and all.
    private mutating func removeQueue(
        of session: UInt64, above sequence: UInt64, sparing spared: UInt64 = 0, limit: Int
    ) throws(LMDBError) -> (messages: Int, bytes: Int) {
        var found: [(sequence: UInt64, reference: UInt64?, bytes: Int)] = []
        try Key.queue(session, sequence + 1) { start throws(LMDBError) in
            try transaction.scan(databases.queue, from: start) { key, value throws(LMDBError) in
                guard found.count < limit, key.count == 16, key.bigEndian(at: 0) == session else { return false }
                if key.bigEndian(at: 8) <= spared, Self.isExactlyOnce(value, key: key) { return true }
                found.append((key.bigEndian(at: 8), Self.reference(in: value, key: key), Self.queuedBytes(value, key: key)))
                return true
            }
        }
        var bytes = 0
        for entry in found {
            if let reference = entry.reference {
                bytes += QueueCounts.flatBytes + (try bodyBytes(reference))
                try dereference(reference)
            } else {
                bytes += entry.bytes
            }
            _ = try Key.queue(session, entry.sequence) { key throws(LMDBError) in try transaction.delete(key, in: databases.queue) }
        }
        return (found.count, bytes)
    }

    private func bodyBytes(_ number: UInt64) throws(LMDBError) -> Int {
        let bytes = try Key.message(number, isBody: true) { key throws(LMDBError) in
            try transaction.withValue(key, in: databases.messages) { value throws(LMDBError) -> Int? in
                SealedRecord.open(value, key: key).flatMap { StoredMessage.byteCount($0) }
            }
        }
        return (bytes ?? nil) ?? 0
    }

    private static func isExactlyOnce(_ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> Bool {
        guard let content = SealedRecord.open(value, key: key), let flags = content.first else { return false }
        return flags & 3 == QoS.exactlyOnce.rawValue
    }

    /// What the queue charges for an entry that holds its message.
    private static func queuedBytes(_ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> Int {
        guard let content = SealedRecord.open(value, key: key) else { return QueueCounts.flatBytes }
        var reader = RecordReader(content)
        guard let header = try? QueueEntryRecord.readHeader(&reader), header.reference == nil, !header.isReleased,
            let message = try? reader.raw(reader.rest), let bytes = StoredMessage.byteCount(message)
        else { return QueueCounts.flatBytes }
        return QueueCounts.flatBytes + bytes
    }

    // MARK: QoS 2 memory

    private mutating func putEmpty(_ session: UInt64, _ packetID: UInt16) throws(LMDBError) {
        try Key.packet(session, packetID) { key throws(LMDBError) in try transaction.putSealed(key, [], in: databases.inbound) }
    }

    private mutating func forget(_ operation: StoreOperation) throws(LMDBError) {
        try Key.packet(operation.session, operation.packetID) { key throws(LMDBError) in
            _ = try transaction.delete(key, in: databases.inbound)
            _ = try transaction.removeAll(withPrefix: key, in: databases.relayed, limit: .max) { _, _ in }
        }
    }

    private mutating func relayed(_ operation: StoreOperation) throws(LMDBError) {
        guard let relay = operation.details?.relay else { return }
        let key = Key.relayed(operation.session, operation.packetID, loop: UInt8(clamping: operation.bytes), batch: operation.sequence)
        try key.lend { key throws(LMDBError) in
            try transaction.putSealed(key, relay.encoded(), in: databases.relayed)
        }
    }

    // MARK: Sessions, subscriptions, retained messages

    private mutating func putSession(_ operation: StoreOperation) throws(LMDBError) {
        guard let record = operation.details?.session else { return }
        if !record.tenant.isEmpty { try StoreFormat.note(Schema.tenantFormat, in: &transaction, databases) }
        let content = record.encoded()
        try Key.number(record.number) { key throws(LMDBError) in try transaction.putSealed(key, content, in: databases.sessions) }
        // A will that is no longer there has been published, and who has it need not be known any more.
        if record.will == nil {
            _ = try Key.packet(record.number, 0) { key throws(LMDBError) in
                try transaction.removeAll(withPrefix: key, in: databases.relayed, limit: .max) { _, _ in }
            }
        }
        bytes += content.count
    }

    private mutating func endSession(_ number: UInt64) throws(LMDBError) {
        try Key.number(number) { key throws(LMDBError) in
            _ = try transaction.delete(key, in: databases.sessions)
            for database in [databases.subscriptions, databases.inbound, databases.relayed] {
                _ = try transaction.removeAll(withPrefix: key, in: database, limit: .max) { _, _ in }
            }
        }
        purges.append(number)
    }

    /// Takes away a part of what an ended session had in its queue.
    /// - Returns: Whether nothing is left.
    mutating func purge(_ session: UInt64) throws(LMDBError) -> Bool {
        let removed = try removeQueue(of: session, above: 0, limit: Self.purgeSlice)
        guard removed.messages < Self.purgeSlice else { return false }
        counts[session] = nil
        _ = try Key.number(session) { key throws(LMDBError) in try transaction.delete(key, in: databases.counts) }
        operations += 1
        return true
    }

    private mutating func changeSubscription(_ operation: StoreOperation) throws(LMDBError) {
        if let record = operation.details?.subscription {
            let content = record.encoded()
            try Key.subscription(operation.session, record.filter).lend { key throws(LMDBError) in
                try transaction.putSealed(key, content, in: databases.subscriptions)
            }
            bytes += content.count
        } else if let filter = operation.details?.filter {
            try Key.subscription(operation.session, filter).lend { key throws(LMDBError) in
                _ = try transaction.delete(key, in: databases.subscriptions)
            }
        }
    }

    private mutating func retain(_ operation: StoreOperation) throws(LMDBError) {
        guard let message = operation.message else { return }
        let tenant = operation.details?.tenant ?? ""
        if !tenant.isEmpty { try StoreFormat.note(Schema.tenantFormat, in: &transaction, databases) }
        let size = SealedRecord.sealBytes + StoredMessage.encodedBytes(of: message, tenant: tenant)
        try Key.number(operation.sequence) { key throws(LMDBError) in
            try transaction.reserve(key, count: size, in: databases.retained) { record in
                StoredMessage.write(message, tenant: tenant, to: record.baseAddress.unsafelyUnwrapped + SealedRecord.sealBytes)
                SealedRecord.close(record, key: key)
            }
        }
        bytes += size
    }
}
