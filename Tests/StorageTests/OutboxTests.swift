import LMDB
import MQTTModel
import Synchronization
import Testing

@testable import Storage

/// Queues of the outbox: order, restarts, removal, deduplication, and what `db check` says of them.
@Suite struct OutboxTests {
    private func message(_ payload: String) throws -> Message { Message(topic: try TopicName("t"), payload: Array(payload.utf8), qos: .atLeastOnce) }

    private func entry(_ head: String, tail: String = "", value: String? = nil, key: String? = nil, until: Int64 = .max, ticket: (any OutboxTicket)? = nil)
        -> OutboxAppend
    {
        OutboxAppend(
            head: Array(head.utf8), tail: Array(tail.utf8), value: value.map { Array($0.utf8) },
            deduplication: key.map { OutboxAppend.Deduplication(key: Array($0.utf8), untilUnixMilliseconds: until) }, ticket: ticket)
    }

    private func queue(_ name: String, of store: Store) async -> OutboxQueue {
        let operations = Mutex<[StoreOperation]>([])
        let queue = store.outbox.queue(named: name) { operation in operations.withLock { $0.append(operation) } }
        await store.writer.store(operations.withLock { $0 })
        return queue
    }

    private func contents(_ queue: OutboxQueue, of store: Store, from sequence: UInt64 = 0, maxEntries: Int = .max) throws -> [String] {
        var found: [String] = []
        let damaged = try store.outbox.read(queue.number, from: sequence, maxEntries: maxEntries, maxBytes: .max) { _, head, value in
            found.append(String(decoding: head, as: UTF8.self) + "=" + String(decoding: value, as: UTF8.self))
        }
        #expect(damaged.isEmpty)
        return found
    }

    private func sequences(_ queue: OutboxQueue, of store: Store) throws -> [UInt64] {
        var found: [UInt64] = []
        _ = try store.outbox.read(queue.number, from: 0, maxEntries: .max, maxBytes: .max) { sequence, _, _ in found.append(sequence) }
        return found
    }

    @Test("entries keep the order of their commits, in each queue its own, with the payload or a value of their own")
    func order() async throws {
        let scratch = Scratch()
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        let (a, b) = (await queue("a", of: opened.store), await queue("b", of: opened.store))
        await opened.store.writer.store([
            .append(entry("h1"), queue: a.number, message: try message("p1")), .append(entry("h", tail: "2", value: "v2"), queue: b.number, message: nil),
            .append(entry("h3"), queue: a.number, message: try message("")),
        ])
        await opened.store.writer.store([.append(entry("h4"), queue: a.number, message: try message("p4"))])
        #expect(try contents(a, of: opened.store) == ["h1=p1", "h3=", "h4=p4"])
        #expect(try contents(b, of: opened.store) == ["h2=v2"])
        #expect(try contents(a, of: opened.store, maxEntries: 2) == ["h1=p1", "h3="])
        #expect(a.figures.entries == 3 && b.figures.entries == 1)
        let numbers = try sequences(a, of: opened.store)
        await opened.store.writer.store([.removeEntries(queue: a.number, upTo: numbers[1])])
        #expect(try contents(a, of: opened.store) == ["h4=p4"])
        await opened.store.writer.store([.removeEntry(queue: a.number, numbers[2]), .removeEntry(queue: a.number, numbers[2])])
        #expect(try contents(a, of: opened.store).isEmpty)
        #expect(a.figures.entries == 0 && a.figures.bytes == 0 && a.figures.nextSequence == numbers[2] + 1)
        #expect(await opened.store.close())
        #expect(try StoreMaintenance(directory: scratch.directory).check().isSound)
    }

    @Test("sequence numbers never come again: after a restart, and after going back to a backup, they are beyond all earlier ones")
    func sequencesNeverRepeat() async throws {
        let scratch = Scratch()
        var last: UInt64 = 0
        for life in 0..<3 {
            let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
            let queue = await queue("q", of: opened.store)
            #expect(queue.figures.entries == life)
            #expect(queue.figures.nextSequence > last)
            await opened.store.writer.store([.append(entry("h"), queue: queue.number, message: try message("life \(life)"))])
            let all = try sequences(queue, of: opened.store)
            #expect(all == all.sorted() && all.count == life + 1 && all[life] > last)
            last = all[life]
            #expect(await opened.store.close())
        }
        // The clock decides where it can; where it is wrong, the distance does.
        #expect(OutboxQueueRecord.firstSequence(after: 0, unixSeconds: 0) == 1)
        #expect(OutboxQueueRecord.firstSequence(after: 100, unixSeconds: 0) == 100 + (1 << 31))
        #expect(OutboxQueueRecord.firstSequence(after: 100, unixSeconds: 2_000_000_000) == 2_000_000_000 << 31)
        #expect(OutboxQueueRecord.firstSequence(after: 2_000_000_000 << 31, unixSeconds: 1_000) > 2_000_000_000 << 31)
    }

    @Test("a store keeps its identity, and another store has another")
    func identity() async throws {
        let (first, second) = (Scratch(), Scratch())
        var seen: [String] = []
        for scratch in [first, first, second] {
            let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
            seen.append(opened.store.outbox.identity)
            #expect(await opened.store.close())
        }
        #expect(seen[0] == seen[1] && seen[1] != seen[2] && seen[0].utf8.count == 32)
    }

    private final class Ticket: OutboxTicket {
        let told = Mutex<[UInt64?]>([])
        func stored(sequence: UInt64?) { told.withLock { $0.append(sequence) } }
    }

    @Test("a deduplication key stores one entry within its time, also after a restart, and is forgotten afterwards")
    func deduplication() async throws {
        let scratch = Scratch()
        let future = MessageClock.now.unixMilliseconds + 3_600_000
        let ticket = Ticket()
        for life in 0..<2 {
            let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
            let queue = await queue("q", of: opened.store)
            await opened.store.writer.store([
                .append(entry("h", key: "same", until: future, ticket: ticket), queue: queue.number, message: try message("m")),
                .append(entry("h", key: "own \(life)", until: future), queue: queue.number, message: try message("m")),
                .append(entry("h", key: "past", until: 1), queue: queue.number, message: try message("m")),
            ])
            #expect(queue.figures.entries == (life == 0 ? 3 : 5))
            #expect(queue.figures.duplicates == life)
            #expect(await opened.store.close())
        }
        let told = ticket.told.withLock { $0 }
        #expect(told.count == 2 && told[0] != nil && told[1] == nil)
    }

    @Test("old deduplication keys are swept away by new ones")
    func sweep() async throws {
        let scratch = Scratch()
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        let queue = await queue("q", of: opened.store)
        for round in 0..<20 {
            let operations = try (0..<50).map { index in
                StoreOperation.append(entry("h", key: "\(round) \(index)", until: 1), queue: queue.number, message: try message("m"))
            }
            await opened.store.writer.store(operations)
        }
        let left = try opened.store.environment.current.withRead { transaction throws(LMDBError) in
            try transaction.count(in: opened.store.environment.databases.deduplication)
        }
        #expect(left < 100)
        #expect(queue.figures.entries == 1000)
        #expect(await opened.store.close())
    }

    @Test("values are kept, replaced and removed, and an entry and a value of one batch come together")
    func values() async throws {
        let scratch = Scratch()
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        await opened.store.writer.store([.putValue("k", [1, 2]), .putValue("other", [9])])
        #expect(try opened.store.outbox.value("k") == [1, 2])
        await opened.store.writer.store([.putValue("k", [3]), .putValue("other", [])])
        #expect(try opened.store.outbox.value("k") == [3])
        #expect(try opened.store.outbox.value("other") == nil)
        #expect(await opened.store.close())
        #expect(try StoreMaintenance(directory: scratch.directory).check().isSound)
    }

    @Test("db check finds counts that don't agree and entries without a queue")
    func audit() async throws {
        let scratch = Scratch()
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        let queue = await queue("q", of: opened.store)
        await opened.store.writer.store([.append(entry("h"), queue: queue.number, message: try message("m"))])
        let databases = opened.store.environment.databases
        var transaction = try opened.store.environment.current.beginWrite()
        var wrong = OutboxQueueRecord(name: "q", nextSequence: 1)
        wrong.entries = 7
        try Key.number(queue.number) { key throws(LMDBError) in try transaction.putSealed(key, wrong.encoded(), in: databases.outboxes) }
        try Key.queue(99, 1) { key throws(LMDBError) in try transaction.putSealed(key, [0, 0, 0, 0], in: databases.outbox) }
        try transaction.commit()
        #expect(await opened.store.close())
        let report = try StoreMaintenance(directory: scratch.directory).check()
        #expect(report.faults.contains { $0.contains("outbox queue q: 7 entries counted, 1 there") })
        #expect(report.faults.contains { $0.contains("the next entry would be 1") })
        #expect(report.faults.contains { $0.contains("belong to no queue (99)") })
    }

    @Test("a relay names queues, and one without reads as before")
    func relay() throws {
        let origin = "t".utf8.withContiguousStorageIfAvailable { bytes in
            PublishOrigin(session: 1, packetID: 2, topic: UnsafeRawBufferPointer(bytes), payload: UnsafeRawBufferPointer(bytes))
        }
        let base = Relay(origin: try #require(origin), sessions: [3], shares: ["$share/g/t"])
        var with = base
        with.queues = [4, 5]
        for relay in [base, with] {
            let read = try relay.encoded().withUnsafeBytes { try Relay(session: 1, packetID: 2, $0) }
            #expect(read == relay)
        }
        #expect(base.encoded().count + 20 == with.encoded().count)
    }
}
