import LMDB
import MQTTModel

/// Compares everything that a store holds with everything that it should hold: each record with its checksum and its form, and
/// the records with each other.
///
/// Fed record by record, the databases in the order of `Self.order`, from a file's pages or from a transaction: it reads nothing
/// itself. Its memory grows with sessions and with messages that are stored once, not with queues.
struct StoreAudit {
    /// Messages before the queues that refer to them, for a queue's bytes depend on theirs. By name, as LMDB keeps them.
    static let order = Schema.names.sorted()

    private struct Session {
        var clientID: String?
        var counts: QueueCounts?
        /// What the queue holds in truth.
        var messages: UInt64 = 0
        var bytes: UInt64 = 0
        var lastSequence: UInt64 = 0
        var subscriptions = 0
        var inbound = 0
        var relayed = 0
    }

    private struct Body {
        var bytes: Int?
        var references: UInt32?
        var found: UInt32 = 0
    }

    /// A queue of the outbox.
    private struct Outbox {
        var record: OutboxQueueRecord?
        var entries: UInt64 = 0
        var bytes: UInt64 = 0
        var lastSequence: UInt64 = 0
    }

    private var sessions: [UInt64: Session] = [:]
    private var outboxes: [UInt64: Outbox] = [:]
    private var bodies: [UInt64: Body] = [:]
    private var format: UInt32?
    private var report = StoreCheckReport()
    private let now = MessageClock.now

    /// Of one state of an environment that may be in use.
    static func report(
        _ transaction: borrowing ReadTransaction, _ databases: [String: Database]
    ) throws(LMDBError) -> StoreCheckReport {
        var audit = StoreAudit()
        for name in order {
            guard let database = databases[name] else { continue }  // an older version made the store
            try transaction.scan(database, from: nil) { key, value throws(LMDBError) in
                audit.examine(name, key, value)
                return true
            }
        }
        return audit.finish()
    }

    mutating func examine(_ database: String, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        guard Schema.names.contains(database) else { return report.found("there is a database \(database) that no version knows") }
        report.records[database, default: 0] += 1
        guard let content = SealedRecord.open(value, key: key) else {
            report.unreadable += 1
            return report.found("\(name(database, key)): does not match its checksum")
        }
        do throws(RecordReader.Unreadable) {
            switch database {
            case "meta": try meta(key, content)
            case "sessions": try session(key, content)
            case "subscriptions": try subscription(key, content)
            case "counts": try counts(key, content)
            case "messages": try message(key, content)
            case "queue": try queue(key, content)
            case "inbound": try inbound(key, content)
            case "relayed": try relayed(key, content)
            case "outbox": try outbox(key, value)
            case "outboxes": outboxes[try Self.number(key, keyBytes: 8), default: Outbox()].record = try OutboxQueueRecord(content)
            case "deduplication": try deduplication(key, content)
            case "values": break  // a plugin knows what it means
            default: try retained(key, content)
            }
        } catch {
            report.unreadable += 1
            report.found("\(name(database, key)): can't be read although its checksum is right")
        }
    }

    /// What can only be said when everything has been seen.
    consuming func finish() -> StoreCheckReport {
        if let format, format > Schema.format {
            report = StoreCheckReport(laterFormat: format)
            return report
        }
        if format == nil { report.found("meta: there is no format number") }
        for (number, session) in sessions.sorted(by: { $0.key < $1.key }) { finish(session, number) }
        for (number, body) in bodies.sorted(by: { $0.key < $1.key }) { finish(body, number) }
        for (number, outbox) in outboxes.sorted(by: { $0.key < $1.key }) { finish(outbox, number) }
        return report
    }

    private mutating func finish(_ session: Session, _ number: UInt64) {
        guard let clientID = session.clientID else { return finishWithoutSession(session, number) }
        let counts = session.counts ?? QueueCounts()
        let queue = "session \(number) (\(clientID))"
        if counts.messages != session.messages {
            report.found("\(queue): \(counts.messages) messages counted, \(session.messages) in the queue")
        }
        if counts.bytes != session.bytes { report.found("\(queue): \(counts.bytes) bytes counted, \(session.bytes) in the queue") }
        if counts.lastSequence < session.lastSequence {
            report.found("\(queue): the counts end at message \(counts.lastSequence), the queue at \(session.lastSequence)")
        }
    }

    /// A queue without a session, but with counts, is one that the broker has not removed to the end: it goes on at its next
    /// start. A relay may come after the end of the session that it belongs to, from another loop.
    private mutating func finishWithoutSession(_ session: Session, _ number: UInt64) {
        if session.counts != nil {
            report.leftoverMessages += Int(clamping: session.messages)
        } else if session.messages > 0 {
            report.found("queue: \(session.messages) messages belong to no session (\(number))")
        }
        report.leftoverRelays += session.relayed
        if session.subscriptions > 0 { report.found("subscriptions: \(session.subscriptions) belong to no session (\(number))") }
        if session.inbound > 0 { report.found("inbound: \(session.inbound) belong to no session (\(number))") }
    }

    private mutating func finish(_ body: Body, _ number: UInt64) {
        switch (body.references, body.bytes) {
        case (nil, _): report.found("message \(number): its count of references is missing")
        case (_, nil): report.found("message \(number): missing, though \(body.found) queue entries refer to it")
        case (let references?, _) where references != body.found:
            report.found(
                "message \(number): \(references) references counted, \(body.found) there\(body.found == 0 ? ": nobody needs it" : "")")
        default: break
        }
    }

    private mutating func finish(_ outbox: Outbox, _ number: UInt64) {
        guard let record = outbox.record else { return report.found("outbox: \(outbox.entries) entries belong to no queue (\(number))") }
        let queue = "outbox queue \(record.name)"
        if record.entries != outbox.entries { report.found("\(queue): \(record.entries) entries counted, \(outbox.entries) there") }
        if record.bytes != outbox.bytes { report.found("\(queue): \(record.bytes) bytes counted, \(outbox.bytes) there") }
        if record.nextSequence <= outbox.lastSequence {
            report.found("\(queue): the next entry would be \(record.nextSequence), but there is \(outbox.lastSequence) already")
        }
    }

    // MARK: Records

    private mutating func outbox(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        let number = try Self.number(key, keyBytes: 16)
        guard OutboxEntry.read(value, key: key) != nil else { throw RecordReader.Unreadable() }
        outboxes[number, default: Outbox()].entries += 1
        outboxes[number, default: Outbox()].bytes += OutboxQueueRecord.entryBytes(value.count - SealedRecord.sealBytes)
        outboxes[number, default: Outbox()].lastSequence = key.bigEndian(at: 8)
    }

    private func deduplication(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        var reader = RecordReader(content)
        guard key.count >= 8 else { throw RecordReader.Unreadable() }
        _ = try reader.integer(Int64.self)
        guard reader.isAtEnd else { throw RecordReader.Unreadable() }
    }

    private mutating func meta(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        if key.elementsEqual(Schema.identityKey) { return }
        guard key.elementsEqual(Schema.formatKey) else { return report.found("\(name("meta", key)): no version knows it") }
        var reader = RecordReader(content)
        format = try reader.integer(UInt32.self)
    }

    private mutating func session(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        let number = try Self.number(key, keyBytes: 8)
        sessions[number, default: Session()].clientID = try SessionRecord(number: number, content).clientID
    }

    private mutating func subscription(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        guard key.count > 8 else { throw RecordReader.Unreadable() }
        let number = key.bigEndian(at: 0)
        let record = try SubscriptionRecord(content)
        if !key.elementsEqual(Key.subscription(number, record.filter)) {
            report.found("\(name("subscriptions", key)): the filter is another one than its key says")
        }
        sessions[number, default: Session()].subscriptions += 1
    }

    private mutating func counts(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        let number = try Self.number(key, keyBytes: 8)
        sessions[number, default: Session()].counts = try QueueCounts(content)
    }

    private mutating func message(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        let number = try Self.number(key, keyBytes: 9)
        var reader = RecordReader(content)
        switch key[8] {
        case 0:
            let references: UInt32 = try reader.integer()
            guard reader.isAtEnd else { throw RecordReader.Unreadable() }
            bodies[number, default: Body()].references = references
        case 1: bodies[number, default: Body()].bytes = try StoredMessage.read(&reader, tenant: 0, now: now).byteCount
        default: throw RecordReader.Unreadable()
        }
    }

    private mutating func queue(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        let number = try Self.number(key, keyBytes: 16)
        var reader = RecordReader(content)
        let header = try QueueEntryRecord.readHeader(&reader)
        var bytes = QueueCounts.flatBytes
        if let reference = header.reference {
            guard reader.isAtEnd else { throw RecordReader.Unreadable() }
            bodies[reference, default: Body()].found += 1
            bytes += bodies[reference]?.bytes ?? 0
        } else if header.isReleased {
            guard reader.isAtEnd else { throw RecordReader.Unreadable() }
        } else {
            bytes += try StoredMessage.read(&reader, tenant: 0, now: now).byteCount
        }
        sessions[number, default: Session()].messages += 1
        sessions[number, default: Session()].bytes += UInt64(bytes)
        sessions[number, default: Session()].lastSequence = key.bigEndian(at: 8)
    }

    private mutating func inbound(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        guard content.isEmpty else { throw RecordReader.Unreadable() }
        sessions[try Self.number(key, keyBytes: 10), default: Session()].inbound += 1
    }

    private mutating func relayed(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        let number = try Self.number(key, keyBytes: 19)
        _ = try Relay(session: number, packetID: 0, content)
        guard number & PublishOrigin.sourceBit == 0 else { return }  // not a session's
        sessions[number, default: Session()].relayed += 1
    }

    private mutating func retained(_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        _ = try Self.number(key, keyBytes: 8)
        var reader = RecordReader(content)
        _ = try StoredMessage.readRetained(&reader, now: now) { _ in 0 }
    }

    private static func number(_ key: UnsafeRawBufferPointer, keyBytes: Int) throws(RecordReader.Unreadable) -> UInt64 {
        guard key.count == keyBytes else { throw RecordReader.Unreadable() }
        return key.bigEndian(at: 0)
    }

    /// A record as a reader of the report can find it again: the number that most keys begin with, and the rest in hexadecimal.
    private func name(_ database: String, _ key: UnsafeRawBufferPointer) -> String {
        func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        guard database != "meta", key.count >= 8 else { return "\(database) \(hexadecimal(key.prefix(64)))" }
        return "\(database) \(key.bigEndian(at: 0))\(key.count > 8 ? "/" + hexadecimal(key.dropFirst(8).prefix(64)) : "")"
    }
}

/// What `headwater db check` has found.
package struct StoreCheckReport: Sendable {
    /// The first faults, in words; `faultCount` is all of them.
    package private(set) var faults: [String] = []
    package private(set) var faultCount = 0
    /// Records among the faults that can't be read; the others can, but don't agree.
    package fileprivate(set) var unreadable = 0
    /// Records read, by database.
    package fileprivate(set) var records: [String: Int] = [:]
    /// In queues of sessions that have ended: the broker removes them.
    package fileprivate(set) var leftoverMessages = 0
    package fileprivate(set) var leftoverRelays = 0
    /// `nil`: the store is in use, so that its records were read, but not every page.
    package internal(set) var pages: Pages?
    /// What somebody who reads the result has to know.
    package var notes: [String] = []

    package struct Pages: Sendable {
        package let fileBytes: Int
        package let pageBytes: Int
        package let total: Int
        package let free: Int
        /// Neither used nor free: harmless, and gone after `compact`.
        package let lost: Int
    }

    static let maxFaults = 100

    fileprivate init() {}

    fileprivate init(laterFormat format: UInt32) {
        unreadable = 1
        found("a later version of Headwater has written it (format \(format), this one knows \(Schema.format)): check it with that version")
    }

    /// One whose pages are damaged, so that no record was read.
    init(damage: String) { found(damage) }

    package var isSound: Bool { faultCount == 0 }

    mutating func found(_ fault: String) {
        faultCount += 1
        if faults.count < Self.maxFaults { faults.append(fault) }
    }
}
