import Foundation
import LMDB
import MQTTModel
import Testing

@testable import Storage

@Suite struct MaintenanceTests {
    static func make(_ directory: String, messages: UInt64 = 10) async throws {
        let opened = try Store.open(path: directory, options: .test, observer: Witness())
        let (short, long) = (try message(bytes: 100), try message(bytes: 5_000))
        var operations: [StoreOperation] = []
        for session in 1...3 as ClosedRange<UInt64> {
            operations.append(.putSession(DamageTests.session(session)))
            operations.append(
                .putSubscription(
                    SubscriptionRecord(filter: "a/#", qos: .atLeastOnce, noLocal: false, retainAsPublished: false, subscriptionID: 0),
                    session: session))
            operations.append(.remember(9, session: session))
            for sequence in 1...messages * session { operations.append(enqueue(sequence == 1 ? long : short, session, sequence)) }
        }
        operations.append(.retain(short, number: 1, tenant: ""))
        await opened.store.writer.store(operations)
        #expect(await opened.store.close())
    }

    static func faults(_ directory: String, _ spoil: (inout WriteTransaction, [String: Database]) throws -> Void) throws -> [String] {
        try withEnvironment(directory, spoil)
        return try StoreMaintenance(directory: directory).check().faults
    }

    @Test("check names what does not agree: counts, references, sessions, forms and checksums")
    func check() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory)
        let sound = try StoreMaintenance(directory: scratch.directory).check()
        #expect(sound.faults == [] && sound.pages != nil)
        #expect(sound.records["queue"] == 60 && sound.records["messages"] == 2)

        var faults = try Self.faults(scratch.directory) { transaction, databases in
            try transaction.seal(numberKey(2), QueueCounts().encoded(), in: databases["counts"]!)
        }
        #expect(faults.count == 3 && faults[0] == "session 2 (c2): 0 messages counted, 20 in the queue")
        faults = try Self.faults(scratch.directory) { transaction, databases in
            try transaction.remove(numberKey(2), in: databases["sessions"]!)
            try transaction.remove(numberKey(2), in: databases["counts"]!)
        }
        #expect(
            faults == [
                "queue: 20 messages belong to no session (2)", "subscriptions: 1 belong to no session (2)",
                "inbound: 1 belong to no session (2)",
            ])
        faults = try Self.faults(scratch.directory) { transaction, databases in
            try transaction.seal(numberKey(1) + [0], [7, 0, 0, 0], in: databases["messages"]!)
        }
        #expect(faults.contains("message 1: 7 references counted, 3 there"))
        faults = try Self.faults(scratch.directory) { transaction, databases in
            try transaction.remove(numberKey(1) + [1], in: databases["messages"]!)
            try transaction.seal(numberKey(9) + [0], [1, 0, 0, 0], in: databases["messages"]!)
            try transaction.seal(numberKey(1), [1, 2], in: databases["retained"]!)
            try transaction.seal(numberKey(3) + [1], QueueCounts().encoded(), in: databases["subscriptions"]!)
        }
        #expect(faults.contains("message 1: missing, though 3 queue entries refer to it"))
        #expect(faults.contains { $0.hasPrefix("message 9: missing") })
        #expect(faults.contains("retained 1: can't be read although its checksum is right"))
        #expect(faults.contains("subscriptions 3/01: can't be read although its checksum is right"))
    }

    @Test("check names a page, and never dies of one")
    func pages() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory)
        try DamageTests.spoil(scratch.path("data.mdb"))
        let report = try StoreMaintenance(directory: scratch.directory).check()
        #expect(report.faultCount == 1 && report.faults[0].contains("page"))
        #expect(throws: StoreFault.self) { _ = try StoreMaintenance(directory: scratch.directory).figures() }
    }

    @Test("the list of faults is limited, their number is not")
    func limit() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory)
        let report = try {
            try withEnvironment(scratch.directory) { transaction, databases in
                for number in 100..<500 as Range<UInt64> { try transaction.seal(numberKey(number), [1], in: databases["retained"]!) }
            }
            return try StoreMaintenance(directory: scratch.directory).check()
        }()
        #expect(report.faultCount == 400 && report.faults.count == StoreCheckReport.maxFaults)
    }

    @Test("figures: what is in it, and the longest queues first")
    func figures() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory)
        let figures = try StoreMaintenance(directory: scratch.directory).figures(backlogs: 2)
        #expect(figures.format == 1 && figures.usedBy == nil && figures.endedSessions == 0)
        #expect((figures.sessions, figures.subscriptions, figures.queuedMessages) == (3, 3, 60))
        #expect(figures.queuedBytes == 57 * (64 + 103) + 3 * (64 + 5_003))
        #expect((figures.retainedMessages, figures.messagesStoredOnce, figures.unfinishedExactlyOnce) == (1, 1, 3))
        #expect(figures.backlogs.map(\.clientID) == ["c3", "c2"] && figures.backlogs.map(\.messages) == [30, 20])
        #expect(figures.checkpointAgeSeconds == nil && figures.fileBytes > 0 && figures.usedPages > 2)
    }

    @Test("a backup is checked before it takes the place of the one before, which stays if it is not good")
    func backup() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory)
        let store = try StoreMaintenance(directory: scratch.directory)
        let made = try store.backup(to: nil) { _ in }
        #expect(made.file == scratch.path("backup.mdb") && made.faults.isEmpty)
        #expect(try StoreMaintenance.check(file: made.file).isSound)
        let good = try Data(contentsOf: URL(fileURLWithPath: made.file))
        try withEnvironment(scratch.directory) { transaction, databases in
            try transaction.seal(numberKey(1), [1, 2], in: databases["retained"]!)
        }
        let fault = #expect(throws: StoreFault.self) { _ = try store.backup(to: nil) { _ in } }
        #expect(fault?.description.contains("was left as it was") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: made.file)) == good)
        #expect(!scratch.entries.contains("backup.mdb.new"))
        #expect(throws: StoreFault.self) { _ = try store.backup(to: scratch.path("data.mdb")) { _ in } }
        #expect(throws: StoreFault.self) { _ = try store.backup(to: scratch.directory) { _ in } }
        #expect(throws: StoreFault.self) { _ = try store.backup(to: "/nonexistent/backup") { _ in } }
    }

    @Test("compact makes the file smaller and keeps everything; a checkpoint of the old file does not outlive it")
    func compact() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory, messages: 3_000)
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        for session in 1...3 as ClosedRange<UInt64> { await opened.store.writer.store([.endSession(session)]) }
        try await opened.store.settle()
        let fault = #expect(throws: StoreFault.self) { _ = try StoreMaintenance(directory: scratch.directory).compact { _ in } }
        #expect(fault?.description.contains("process \(getpid()) uses the store") == true)
        #expect(await opened.store.close())
        _ = consume opened
        try Data("left by a crash".utf8).write(to: URL(fileURLWithPath: scratch.path("data.mdb.new")))

        let done = try StoreMaintenance(directory: scratch.directory).compact { _ in }
        #expect(done.before > 10 * done.after)
        #expect(scratch.entries == ["data.mdb", "lock"])
        let report = try StoreMaintenance(directory: scratch.directory).check()
        #expect(report.isSound && report.records["retained"] == 1)
        let again = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        #expect(again.state.retained.count == 1)
        await again.store.writer.store([.putSession(DamageTests.session(9))])
        #expect(await again.store.close())
    }

    @Test("restore sets aside what was there, and refuses what is no backup")
    func restore() async throws {
        let scratch = Scratch()
        try await DamageTests.make(scratch.directory, hasBackup: true)
        try Data("no backup".utf8).write(to: URL(fileURLWithPath: scratch.path("other")))
        #expect(throws: StoreFault.self) { _ = try StoreMaintenance.restore(from: scratch.path("other"), in: scratch.directory) }
        #expect(throws: StoreFault.self) { _ = try StoreMaintenance.restore(from: scratch.path("missing"), in: scratch.directory) }
        #expect(!scratch.entries.contains { $0.hasPrefix("replaced-") })

        let place = try StoreMaintenance.restore(from: nil, in: scratch.directory)
        #expect(try StoreMaintenance.check(file: place + "/data.mdb").records["sessions"] == 2)
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        #expect(opened.state.sessions.count == 1 && opened.store.alarms.isEmpty)
        #expect(await opened.store.close())
    }

    @Test("restore works where there is no store yet")
    func restoreIntoNothing() async throws {
        let (scratch, fresh) = (Scratch(), Scratch())
        try await DamageTests.make(scratch.directory, hasBackup: true)
        _ = try StoreMaintenance.restore(from: scratch.path("backup.mdb"), in: fresh.directory)
        #expect(try StoreMaintenance(directory: fresh.directory).check().isSound)
    }

    @Test("no store: the fault says what to do")
    func nothing() {
        let scratch = Scratch()
        let fault = #expect(throws: StoreFault.self) { _ = try StoreMaintenance(directory: scratch.directory) }
        #expect(fault?.description.contains("store.directory") == true)
        #expect(scratch.entries.isEmpty)
    }
}
