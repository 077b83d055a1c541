import Dispatch
import MQTTModel
import PluginAPI

/// A shard's queue as the exactly-once shipper sees it, and the bookkeeping of what has left it. Used by the shipping thread.
///
/// What makes sequence numbers mean one message for ever is the store's (docs/storage-format.md): they go on behind all earlier ones after
/// every start, so that even entries that a power cut takes back are not mistaken for later ones.
final class TransactionalQueue: ExactlyOnceOutbox {
    private let outbox: OutboxRoute
    private let shard: OutboxShard
    private var page = RecordPage()
    /// Entries that were read, and not accounted for.
    private var pending: [Pending] = []
    /// Those of them that go to the dead-letter topic.
    private var dying: [UInt64: String] = [:]
    /// Everything below it was read, or had left before.
    private var readUpTo: UInt64 = 0

    private struct Pending {
        let sequence: UInt64
        let ended: RouteBalance.Ended
        /// As the queue has it: the whole record was made of the entry, with a schema or for the dead letters.
        var death: String?
    }

    init(_ outbox: OutboxRoute, shard: OutboxShard) {
        self.outbox = outbox
        self.shard = shard
    }

    var storeID: String { outbox.store.identity }
    /// Where new entries begin.
    var nextSequence: UInt64 { readUpTo }

    func read(from sequence: UInt64, maxEntries: Int, maxBytes: Int) throws(OutboxFault) -> [OutboxEntry] {
        guard !outbox.control.isPaused else { return [] }
        do throws(PluginStoreError) {
            try page.read(shard.queue, from: sequence, below: shard.queue.figures.nextSequence, maxEntries: maxEntries, maxBytes: maxBytes)
        } catch {
            throw .unavailable(error.description)
        }
        for damaged in page.damaged { leave(damaged, RouteBalance.Ended(bytes: 0, receivedUnixMilliseconds: 0, tenant: ""), .dropped(.damaged)) }
        var entries: [OutboxEntry] = []
        entries.reserveCapacity(page.entries.count)
        for entry in page.entries {
            do throws(OutboxFault) {
                if let made = try made(entry) { entries.append(made) }
            } catch {
                // What came before it can go.
                if entries.isEmpty { throw error }
                break
            }
            readUpTo = max(readUpTo, entry.sequence + 1)
        }
        return entries
    }

    /// - Returns: `nil`: it has left the queue for another reason.
    private func made(_ entry: RecordPage.Entry) throws(OutboxFault) -> OutboxEntry? {
        let result: Result<OutboxEntry?, OutboxFault> = page.with(entry) { head, value in
            Result { () throws(OutboxFault) in try made(entry, head, value) }
        }
        return try result.get()
    }

    private func made(
        _ entry: RecordPage.Entry, _ head: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws(OutboxFault) -> OutboxEntry? {
        guard let view = RecordFrameView(head) else {
            leave(entry.sequence, RouteBalance.Ended(bytes: entry.charge, receivedUnixMilliseconds: 0, tenant: ""), .dropped(.damaged))
            return nil
        }
        let tenant = outbox.tenant(of: view, entry.sequence, in: shard)
        let ended = RouteBalance.Ended(bytes: entry.charge, receivedUnixMilliseconds: view.receivedUnixMilliseconds, tenant: tenant)
        if let reason = outbox.reasonToDrop(view) {
            leave(entry.sequence, ended, .dropped(reason))
            return nil
        }
        var record = view.record(value: value)
        var death = view.death
        var schemaName: String?
        if death == nil, let schema = outbox.schema {
            switch schema.convert(value, topic: record.topic) {
            case .converted(let bytes): record.value = bytes
            case .later(let text): throw .unavailable("records wait for the schema registry: \(text)")
            case .unfit(let text, let subject):
                death = ("schema", text)
                schemaName = subject
            }
        }
        if let death {
            guard let dead = outbox.deadLetter(of: record, reason: death.reason, text: death.text, schema: schemaName) else {
                keep(record, entry.sequence, ended, reason: death.reason, text: death.text)
                return nil
            }
            record = dead
        }
        if entry.sequence >= readUpTo { pending.append(Pending(sequence: entry.sequence, ended: ended, death: death?.reason)) }
        return OutboxEntry(sequence: entry.sequence, record: record, bytes: entry.charge)
    }

    /// It leaves without Kafka.
    private func leave(_ sequence: UInt64, _ ended: RouteBalance.Ended, _ ending: RouteBalance.Ending) {
        store([.removeEntry(queue: shard.queue.number, sequence)])
        account(sequence, ended, ending)
    }

    private func keep(_ record: OutboxRecord, _ sequence: UInt64, _ ended: RouteBalance.Ended, reason: String, text: String) {
        store(
            outbox.burial(
                of: record, sequence: sequence, receivedUnixMilliseconds: ended.receivedUnixMilliseconds, in: shard, reason: reason, text: text))
        account(sequence, ended, .dead(reason))
    }

    private func account(_ sequence: UInt64, _ ended: RouteBalance.Ended, _ ending: RouteBalance.Ending) {
        outbox.balance.ended([ended], ending)
        shard.complete(sequence, .fulfilled)
    }

    /// The outbox is larger than it may be, and the transaction takes its time: the oldest that are not in one go.
    func shed() {
        guard outbox.isOverfull, (try? page.read(
            shard.queue, from: readUpTo, below: shard.queue.figures.nextSequence, maxEntries: 1_000, maxBytes: 1 << 20)) != nil
        else { return }
        var changes: [StoreChange] = []
        for entry in page.entries where outbox.isOverfull {
            changes.append(.removeEntry(queue: shard.queue.number, entry.sequence))
            account(entry.sequence, RouteBalance.Ended(bytes: entry.charge, receivedUnixMilliseconds: 0, tenant: ""), .dropped(.full))
            readUpTo = entry.sequence + 1
        }
        if !changes.isEmpty { store(changes) }
    }

    /// Waits until it is as durable as the store makes it.
    private func store(_ changes: [StoreChange]) {
        let done = DispatchSemaphore(value: 0)
        shard.store.commit(changes) { done.signal() }
        done.wait()
    }

    func remove(below sequence: UInt64) throws(OutboxFault) {
        // Entries that Kafka had before this life of the process, and nobody has read in it.
        if sequence > readUpTo { try accountUnread(below: sequence) }
        shard.store.commit([.removeEntries(queue: shard.queue.number, upTo: sequence - 1)]) {}
    }

    private func accountUnread(below end: UInt64) throws(OutboxFault) {
        while readUpTo < end {
            do throws(PluginStoreError) {
                try page.read(shard.queue, from: readUpTo, below: end, maxEntries: 1_000, maxBytes: 1 << 20)
            } catch {
                throw .unavailable(error.description)
            }
            let ended = page.entries.map { RouteBalance.Ended(bytes: $0.charge, receivedUnixMilliseconds: .max, tenant: "") }
            outbox.balance.ended(ended, .sent(nowUnixMilliseconds: 0))
            guard let last = page.entries.last, page.entries.count == 1_000 else {
                readUpTo = end
                return
            }
            readUpTo = last.sequence + 1
        }
    }

    func moveToDeadLetters(_ sequence: UInt64, because failure: FailedRecord) throws(OutboxFault) {
        guard let (record, received) = original(sequence) else { return }
        dying[sequence] = nil
        let index = pending.firstIndex { $0.sequence == sequence }
        let ended = index.map { pending[$0].ended } ?? RouteBalance.Ended(bytes: 0, receivedUnixMilliseconds: received, tenant: "")
        if let index { pending.remove(at: index) }
        keep(record, sequence, ended, reason: failure.failure.rawValue, text: failure.text)
    }

    /// A record as it was stored.
    func original(_ sequence: UInt64) -> (record: OutboxRecord, receivedUnixMilliseconds: Int64)? { shard.queue.record(sequence) }

    // MARK: What the shipper says

    /// These go to the dead-letter topic from now on.
    func refused(_ failures: [FailedRecord]) {
        for failure in failures { dying[failure.sequence] = failure.failure.rawValue }
    }

    /// Everything below the cursor is in Kafka.
    func shipped(below cursor: UInt64) {
        let end = pending.firstIndex { $0.sequence >= cursor } ?? pending.count
        guard end > 0 else { return }
        var sent: [RouteBalance.Ended] = []
        sent.reserveCapacity(end)
        for entry in pending[..<end] {
            if let reason = dying.removeValue(forKey: entry.sequence) ?? entry.death {
                outbox.balance.ended([entry.ended], .dead(reason))
            } else {
                sent.append(entry.ended)
            }
            shard.complete(entry.sequence, .fulfilled)
        }
        pending.removeFirst(end)
        outbox.balance.ended(sent, .sent(nowUnixMilliseconds: MessageClock.now.unixMilliseconds))
    }
}
