import MQTTModel
import Testing

@testable import Storage

/// The store against the simplest thing that could be right: dictionaries.
@Suite struct ModelTests {
    struct Entry {
        var message: Message?
        let qos: QoS
        let share: String?
        let identifiers: [UInt32]?
        var bytes: Int { 64 + (message?.byteCount ?? 0) }
    }

    struct Session {
        var record: SessionRecord
        var queue: [(sequence: UInt64, entry: Entry)] = []
        var last: UInt64 = 0
        var subscriptions: [String: SubscriptionRecord] = [:]
        var inbound: Set<UInt16> = []
    }

    struct Model {
        var sessions: [UInt64: Session] = [:]
        var retained: [UInt64: Message] = [:]
        var nextSession: UInt64 = 1
        /// Batches that `trim` has an answer in, as they should be.
        var trims: [(messages: Int, bytes: Int)] = []
    }

    /// One change, to the model and as an operation.
    static func step(_ model: inout Model, _ random: inout SeededGenerator) throws -> [StoreOperation] {
        let number = model.sessions.keys.sorted().randomElement(using: &random)
        guard let number, Int.random(in: 0..<20, using: &random) > 0 else {
            guard model.sessions.count < 8 else { return [] }
            let record = SessionRecord(number: model.nextSession, tenant: "", clientID: "c\(model.nextSession)", expirySeconds: 60)
            model.sessions[record.number] = Session(record: record)
            model.nextSession += 1
            return [.putSession(record)]
        }
        var session = model.sessions[number]!
        defer { if model.sessions[number] != nil { model.sessions[number] = session } }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<40:
            // To some sessions, as a fan-out: a long message is stored once for all of them.
            let isLong = Bool.random(using: &random)
            let message = try message(
                bytes: isLong ? .random(in: 1_000...9_000, using: &random) : .random(in: 0...1_000, using: &random),
                fill: .random(in: 0...255, using: &random), qos: .exactlyOnce)
            model.sessions[number] = session
            defer { session = model.sessions[number]! }
            return model.sessions.keys.sorted().filter { $0 == number || Bool.random(using: &random) }.map { target in
                let last = model.sessions[target]!.last + UInt64.random(in: 1...3, using: &random)
                let entry = Entry(
                    message: message, qos: Bool.random(using: &random) ? .atLeastOnce : .exactlyOnce,
                    share: Int.random(in: 0..<5, using: &random) == 0 ? "$share/g/a" : nil,
                    identifiers: Int.random(in: 0..<5, using: &random) == 0 ? [1, 2] : nil)
                model.sessions[target]!.queue.append((last, entry))
                model.sessions[target]!.last = last
                return .enqueue(
                    message, session: target, sequence: last, qos: entry.qos, retain: false, bytes: entry.bytes,
                    subscriptionIDs: entry.identifiers, share: entry.share)
            }
        case 40..<65:
            guard let place = session.queue.indices.randomElement(using: &random) else { return [] }
            let (sequence, entry) = session.queue.remove(at: place)
            return [.remove(session: number, sequence: sequence, messageBytes: entry.message?.byteCount ?? 0, bytes: entry.bytes)]
        case 65..<75:
            let candidates = session.queue.indices.filter {
                session.queue[$0].entry.qos == .exactlyOnce && session.queue[$0].entry.message != nil
            }
            guard let place = candidates.randomElement(using: &random), let bytes = session.queue[place].entry.message?.byteCount else {
                return []
            }
            session.queue[place].entry.message = nil
            return [.release(session: number, sequence: session.queue[place].sequence, messageBytes: bytes, bytes: bytes)]
        case 75..<82:
            let above = session.queue.isEmpty ? 0 : session.queue[Int.random(in: 0..<session.queue.count, using: &random) / 2].sequence
            let spared = Bool.random(using: &random) ? above + 3 : 0
            let place = session.queue.firstIndex { $0.sequence > above && !($0.sequence <= spared && $0.entry.qos == .exactlyOnce) }
            let gone = place.map { session.queue.remove(at: $0).entry }
            model.trims.append((gone == nil ? 0 : 1, gone?.bytes ?? 0))
            return [.trim(session: number, above: above, sparing: spared, estimatedBytes: 100)]
        case 82..<86:
            let packetID = UInt16.random(in: 1...50, using: &random)
            if session.inbound.remove(packetID) != nil { return [.forget(packetID, session: number)] }
            session.inbound.insert(packetID)
            return [.remember(packetID, session: number)]
        case 86..<91:
            let filter =
                "f/" + String(repeating: "x", count: Bool.random(using: &random) ? 5 : 500) + "\(Int.random(in: 0..<5, using: &random))"
            if session.subscriptions.removeValue(forKey: filter) != nil, Bool.random(using: &random) {
                return [.removeSubscription(filter, session: number)]
            }
            let record = SubscriptionRecord(filter: filter, qos: .atLeastOnce, noLocal: true, retainAsPublished: false, subscriptionID: 1)
            session.subscriptions[filter] = record
            return [.putSubscription(record, session: number)]
        case 91..<93:
            session.record.disconnectedAt = .random(in: 1...1_000, using: &random)
            return [.putSession(session.record)]
        case 93..<95:
            model.sessions[number] = nil
            return [.endSession(number)]
        default:
            let number = UInt64.random(in: 1...10, using: &random)
            if model.retained.removeValue(forKey: number) != nil { return [.clearRetained(number: number)] }
            let message = try message("r/\(number)", bytes: .random(in: 0...5_000, using: &random))
            model.retained[number] = message
            return [.retain(message, number: number, tenant: number % 3 == 0 ? "tenant" : "")]
        }
    }

    static func compare(_ state: StoredState, _ model: Model) {
        #expect(Set(state.sessions.map(\.record.number)) == Set(model.sessions.keys))
        for session in state.sessions {
            guard let wanted = model.sessions[session.record.number] else { continue }
            #expect(session.record == wanted.record)
            #expect(Dictionary(uniqueKeysWithValues: session.subscriptions.map { ($0.filter, $0) }) == wanted.subscriptions)
            #expect(Set(session.inbound) == wanted.inbound)
            #expect(session.queuedMessages == wanted.queue.count)
            #expect(session.queuedBytes == wanted.queue.reduce(0) { $0 + $1.entry.bytes })
            #expect(session.lastSequence == wanted.last)
        }
        #expect(Set(state.retained.map(\.number)) == Set(model.retained.keys))
        for (number, message) in state.retained { #expect(areEqual(message, model.retained[number])) }
        #expect(state.nextSession > (model.sessions.keys.max() ?? 0))
        #expect(state.nextRetained > (model.retained.keys.max() ?? 0))
    }

    static func compareQueues(_ store: Store, _ model: Model) async throws {
        for (number, session) in model.sessions {
            let page = try #require(await store.reader.page(number, above: 0))
            #expect(page.isEnd && page.damaged.isEmpty)
            #expect(page.entries.map(\.sequence) == session.queue.map(\.sequence))
            for (found, wanted) in zip(page.entries, session.queue) {
                #expect(areEqual(found.message, wanted.entry.message))
                #expect(found.qos == wanted.entry.qos)
                guard wanted.entry.message != nil else { continue }
                #expect(found.share == wanted.entry.share && found.subscriptionIDs == wanted.entry.identifiers)
            }
        }
    }

    @Test(
        "after any batches the store is sound and holds what was given to it, also after it was opened anew",
        arguments: 1...8 as ClosedRange<UInt64>)
    func random(seed: UInt64) async throws {
        let scratch = Scratch()
        var random = SeededGenerator(seed: seed)
        var model = Model()
        var options = StoreOptions.test
        // With checkpoints that follow the commits, too.
        if seed > 2 { options.syncIntervalMilliseconds = 1 }
        var opened: OpenStore? = try Store.open(path: scratch.directory, options: options, observer: Witness())
        for round in 0..<60 {
            var operations: [StoreOperation] = []
            for _ in 0..<Int.random(in: 1...60, using: &random) { operations += try Self.step(&model, &random) }
            let store = try #require(opened?.store)
            let report = await store.writer.store(operations, number: UInt64(round))
            #expect(report.batch == UInt64(round))
            #expect(report.trims.map(\.messages) == model.trims.map(\.messages))
            #expect(report.trims.map(\.bytes) == model.trims.map(\.bytes))
            model.trims = []
            let audit = try store.audit()
            #expect(audit.faults == [])
            guard round % 10 == 9 else { continue }
            try await store.settle()
            try await Self.compareQueues(store, model)
            #expect(await store.close())
            opened = nil
            _ = consume store
            opened = try Store.open(path: scratch.directory, options: options, observer: Witness())
            if let state = opened?.state { Self.compare(state, model) }
        }
        #expect(await opened?.store.close() == true)
        opened = nil
        #expect(try StoreMaintenance(directory: scratch.directory).check().faults == [])
    }

    @Test("an ended session's long queue is removed in slices, and by the next start if the broker ends meanwhile")
    func purge() async throws {
        let scratch = Scratch()
        let count = StoreTransaction.purgeSlice * 2 + 100
        var opened: OpenStore? = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        let short = try message(bytes: 3)
        await opened?.store.writer.store(
            [.putSession(SessionRecord(number: 1, tenant: "", clientID: "a", expirySeconds: 1))]
                + (1...UInt64(count)).map { enqueue(short, 1, $0) })
        #expect(await opened?.store.close() == true)
        opened = nil
        // What a crash after the session's end leaves: the session is gone, its queue is not.
        try withEnvironment(scratch.directory) { transaction, databases in try transaction.remove(numberKey(1), in: databases["sessions"]!)
        }
        #expect(try StoreMaintenance(directory: scratch.directory).check().leftoverMessages == count)

        opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        #expect(opened?.state.sessions.isEmpty == true)
        #expect(opened?.state.nextSession == 2)
        try await opened?.store.settle()
        let audit = try #require(try opened?.store.audit())
        #expect(audit.isSound && audit.leftoverMessages == 0)
        #expect(audit.records["queue"] == nil && audit.records["counts"] == nil)
        #expect(await opened?.store.close() == true)
    }
}
