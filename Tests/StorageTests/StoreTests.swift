import Foundation
import LMDB
import MQTTModel
import Synchronization
import Testing

@testable import Storage

@Suite struct StoreTests {
    static let session = SessionRecord(number: 1, tenant: "", clientID: "device", expirySeconds: 60)

    @Test("a transaction that fails changes nothing, and goes through when it can")
    func retries() async throws {
        let scratch = Scratch()
        let witness = Witness()
        var options = StoreOptions.test
        options.maxBytes = 4 << 20
        options.reserveBytes = 0
        // Not `relaxed`: its checkpoint would hold on to pages as well, for as long as there is no synchronisation.
        options.durability = .sync
        let opened = try Store.open(path: scratch.directory, options: options, observer: witness)
        let writer = opened.store.writer
        await writer.store([.putSession(Self.session)])
        // As long as somebody reads, pages that become free can't be used again: the map fills up.
        var reading: ReadTransaction? = try opened.store.environment.current.beginRead()
        let done = Counter()
        var sequence: UInt64 = 0
        while !witness.conditions.contains(.failed), sequence < 100 {
            sequence += 1
            let batch = StoreBatch(number: sequence)
            let message = try message(bytes: 300_000, fill: UInt8(sequence))
            if sequence > 1 {
                batch.append(.remove(session: 1, sequence: sequence - 1, messageBytes: message.byteCount, bytes: message.byteCount + 64))
            }
            batch.append(enqueue(message, 1, sequence))
            writer.submit(batch) { _ in done.add() }
            while done.value < Int(sequence), witness.conditions.last != .failed { try await Task.sleep(for: .milliseconds(1)) }
        }
        #expect(witness.conditions == [.failed])
        try await Task.sleep(for: .milliseconds(50))
        #expect(done.value == Int(sequence) - 1, "a batch was reported that is not stored")
        let audit = try opened.store.audit()
        #expect(audit.isSound && audit.records["queue"] == 1)
        let page = try #require(await opened.store.reader.page(1, above: 0))
        #expect(page.entries.map(\.sequence) == [sequence - 1])

        _ = reading.take()
        await writer.store([])
        #expect(done.value == Int(sequence))
        #expect(witness.conditions.last != .failed)
        #expect(try #require(await opened.store.reader.page(1, above: 0)).entries.map(\.sequence) == [sequence])
        #expect(await opened.store.close())
    }

    @Test("a queue is read page by page, by number and by bytes")
    func pages() async throws {
        let scratch = Scratch()
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        let (short, long) = (try message(bytes: 100), try message(bytes: 2_000))
        await opened.store.writer.store(
            [.putSession(Self.session)] + (1...100).map { enqueue($0 % 10 == 0 ? long : short, 1, $0 * 2) } + [enqueue(short, 2, 1)])
        var read: [UInt64] = []
        var pages = 0
        var isEnd = false
        while !isEnd {
            let page = try #require(await opened.store.reader.page(1, above: read.last ?? 0, maxMessages: 30))
            #expect(page.session == 1 && page.entries.count <= 30)
            read += page.entries.map(\.sequence)
            pages += 1
            isEnd = page.isEnd
        }
        #expect(read == (1...100).map { $0 * 2 })
        #expect(pages == 4)
        let page = try #require(await opened.store.reader.page(1, above: 0, maxBytes: 5_000))
        #expect((1...3).contains(page.entries.filter { $0.message?.byteCount ?? 0 > 1_000 }.count) && !page.isEnd)
        let none = try #require(await opened.store.reader.page(9, above: 0))
        #expect(none.entries.isEmpty && none.isEnd)
        #expect(await opened.store.close())
    }

    @Test("an entry that is damaged is left out and told, with its number; the others are read")
    func damagedEntries() async throws {
        let scratch = Scratch()
        var opened: OpenStore? = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        let (short, long) = (try message(bytes: 100), try message(bytes: 2_000))
        await opened?.store.writer.store([
            .putSession(Self.session), enqueue(short, 1, 1), enqueue(short, 1, 2), enqueue(long, 1, 3), enqueue(short, 1, 4),
        ])
        #expect(await opened?.store.close() == true)
        opened = nil
        try withEnvironment(scratch.directory) { transaction, databases in
            try transaction.seal(numberKey(1, 2), [0xFF], in: databases["queue"]!)
            try transaction.remove(numberKey(1) + [1], in: databases["messages"]!)
        }
        let witness = Witness()
        opened = try Store.open(path: scratch.directory, options: .test, observer: witness)
        let page = try #require(await opened?.store.reader.page(1, above: 0))
        #expect(page.entries.map(\.sequence) == [1, 4])
        #expect(page.damaged == [2, 3])
        #expect(witness.damaged == 2)
        #expect(await opened?.store.close() == true)
    }

    @Test("a store of a later version is refused and left as it is")
    func later() async throws {
        let scratch = Scratch()
        #expect(await (try Store.open(path: scratch.directory, options: .test, observer: Witness())).store.close())
        try withEnvironment(scratch.directory) { transaction, databases in
            try transaction.seal(Schema.formatKey, [UInt8(Schema.format) + 1, 0, 0, 0], in: databases["meta"]!)
        }
        var options = StoreOptions.test
        options.onDamage = .empty
        let fault = #expect(throws: StoreFault.self) { _ = try Store.open(path: scratch.directory, options: options, observer: Witness()) }
        guard case .tooNew(let text) = fault else { return #expect(Bool(false), "\(String(describing: fault))") }
        #expect(text.contains("format \(Schema.format + 1)"))
        #expect(fault?.isFinal == true)
        #expect(!scratch.entries.contains { $0.hasPrefix("damaged-") })
        let report = try StoreMaintenance(directory: scratch.directory).check()
        #expect(report.faults.first?.contains("a later version") == true)
    }

    @Test("a directory is for one broker at a time, and the fault says who has it")
    func twoOpens() async throws {
        let scratch = Scratch()
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        let fault = #expect(throws: StoreFault.self) { _ = try Store.open(path: scratch.directory, options: .test, observer: Witness()) }
        #expect(fault?.description.contains("another broker (process \(getpid()))") == true)
        #expect(fault?.isFinal == false)
        #expect(StoreDirectory.user(of: scratch.directory) == "process \(getpid())")
        #expect(await opened.store.close())
    }

    @Test("no bytes at the end of the store: everything is where it was, and the checkpoint is gone")
    func orderlyEnd() async throws {
        let scratch = Scratch()
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        #expect(scratch.entries.contains("checkpoint"))
        await opened.store.writer.store([.putSession(Self.session)])
        #expect(await opened.store.close())
        #expect(!scratch.entries.contains("checkpoint"))
    }
}

final class Counter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add() { count.withLock { $0 += 1 } }
}
