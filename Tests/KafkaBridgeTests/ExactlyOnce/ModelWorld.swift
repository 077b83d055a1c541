@testable import KafkaBridge

/// A place at which a run can be disturbed.
enum ModelPoint: Hashable {
    enum Side { case before, after }
    enum StoreCall { case read, remove, move }
    enum Exchange { case storeCommit, pubrec, releaseCommit, pubcomp }
    case producer(ProducerCall, Side)
    case store(StoreCall, Side)
    case mqtt(Exchange, Side)
}

enum ModelFault: CaseIterable {
    case retriable, abortable, fenced, fatal
    /// Not an answer: the instance that called is no more.
    case dead
}

/// What happens at a point.
enum Disturbance: Hashable {
    /// Everything volatile is lost, and a new instance starts.
    case crash
    /// The call fails, without or after its effect.
    case fault(ModelFault)
    /// A new instance starts and takes so many steps; then the old one goes on where it was, and after that call either
    /// beside the new one or only a good while later.
    case zombie(steps: Int, sleeps: Bool)
}

/// One life of the broker.
final class ModelInstance {
    var isAlive = true
    var shipper: ExactlyOnceShipper?
    /// What its shipper asked for. Milliseconds.
    var notBefore: UInt64 = 0
    /// Nobody runs its thread before. Milliseconds.
    var sleepsUntil: UInt64 = 0
}

/// Faults put in on purpose, to see that the enumeration finds them.
enum Mutant: CaseIterable {
    case removesBeforeCommit, ignoresCursor, readsCursorBeforeInit, takesFailedCommitForDone, sendsNoCursor, repeatsAfterAbortableCommit
    case readsUndurable, forgetsSequences, movesWithoutOwnership
}

/// A device, a broker with its store, and Kafka; and one run of them with disturbances at given points.
///
/// The device publishes `messages` messages with QoS 2, one after the other, each with the same packet id, until it has
/// every PUBCOMP. The run ends when all of them are out of the outbox.
final class ModelWorld {
    struct Setting {
        var messages = 3
        var maxEntries = 10
        /// Exchanges of the device between two steps of the shipper.
        var exchangesPerStep = 1
        /// Steps of the shipper between two exchanges of the device.
        var stepsPerExchange = 1
        var isLazy = true
        var poison: Set<Int> = []
        var refusesDeadLetters = false
        var hasDeadLetterTopic = true
        var blamesBatch = false
        /// Whether the second instance finds a Kafka that refuses nothing any more.
        var heals = false
        var mutant: Mutant?
    }

    static let topic = "t"
    static let deadLetterTopic = "dead"

    let setting: Setting
    let kafka = ModelKafka()
    let store: ModelStore
    var mutant: Mutant? { setting.mutant }
    private let plan: [Int: Disturbance]
    /// Points passed so far, by number.
    private(set) var points: [ModelPoint] = []
    private(set) var violation: String?
    private var now: UInt64 = 0
    private var current = ModelInstance()
    private var zombies: [ModelInstance] = []
    private var instances = 0
    /// What `checkAlways` has looked at last.
    private var checked = -1

    // The device.
    private enum DeviceState { case publishing, releasing }
    private var device = DeviceState.publishing
    private var message = 0
    private var acknowledged: Set<Int> = []
    private let packetID = 7

    init(_ setting: Setting, plan: [Int: Disturbance] = [:]) {
        self.setting = setting
        self.plan = plan
        store = ModelStore(
            isLazy: setting.isLazy, readsUndurable: setting.mutant == .readsUndurable,
            forgetsSequences: setting.mutant == .forgetsSequences)
        kafka.poison = setting.poison
        kafka.refusesDeadLetters = setting.refusesDeadLetters
        kafka.blamesBatch = setting.blamesBatch
    }

    static func record(of message: Int, topic: String = ModelWorld.topic) -> OutboxRecord {
        OutboxRecord(topic: topic, partition: nil, key: [UInt8(message % 2)], headers: [], timestamp: 0, value: [UInt8(message)])
    }

    /// - Returns: What was promised and not kept; `nil`: all is well.
    func run() -> String? {
        start()
        var steps = 0
        while violation == nil, !isDone {
            steps += 1
            if steps > 3_000 { return "no end: \(state)" }
            for _ in 0..<setting.exchangesPerStep where current.isAlive { exchange(current) }
            if !current.isAlive { restart() }
            for _ in 0..<setting.stepsPerExchange { for instance in [current] + zombies where instance.isAlive { step(instance) } }
            zombies.removeAll { !$0.isAlive }
            if !current.isAlive { restart() }
            now += 50
            if message == setting.messages, let next = ([current] + zombies).map({ max($0.notBefore, $0.sleepsUntil) }).min() { now = max(now, next) }
        }
        checkAlways()
        if violation == nil { checkEnd() }
        return violation
    }

    private var isDone: Bool { message == setting.messages && store.pending == nil && store.live(from: 0).isEmpty }

    // MARK: - Disturbances

    /// - Returns: The fault that the call at this point has to throw.
    func point(_ point: ModelPoint, of instance: ModelInstance) -> ModelFault? {
        guard instance.isAlive else { return .dead }
        checkAlways()
        points.append(point)
        switch plan[points.count - 1] {
        case nil: return nil
        case .crash:
            instance.isAlive = false
            return .dead
        case .fault(let fault): return fault
        case .zombie(let steps, let sleeps):
            guard instance === current else { return nil }
            if sleeps { instance.sleepsUntil = now + 2_000 }
            zombies.append(instance)
            start()
            for _ in 0..<steps where current.isAlive { step(current) }
            return nil
        }
    }

    private func restart() {
        store.crash()
        zombies = []
        start()
    }

    private func start() {
        instances += 1
        if setting.heals, instances == 2 { kafka.poison = [] }
        let instance = ModelInstance()
        current = instance
        let queue = ModelQueue(world: self, instance: instance)
        instance.shipper = ExactlyOnceShipper(
            outbox: queue, limits: ShipLimits(maxEntries: setting.maxEntries),
            makeProducer: { [unowned self, unowned instance] () throws(ProducerFault) in
                let producer = ModelProducer(world: self, instance: instance)
                switch point(.producer(.open, .before), of: instance) {
                case nil: break
                case .dead?: throw .fatal("dead")
                default: throw .fatal("no memory")
                }
                guard let mutant else { return producer }
                return MutantProducer(producer, mutant, queue)
            },
            deadLetterRecord: { [setting] entry, _ in
                setting.hasDeadLetterTopic ? Self.record(of: Int(entry.record.value[0]), topic: Self.deadLetterTopic) : nil
            })
    }

    private func step(_ instance: ModelInstance) {
        // Taken out meanwhile: the step may start the successor, which steps inside it.
        guard now >= max(instance.notBefore, instance.sleepsUntil), var shipper = instance.shipper else { return }
        instance.shipper = nil
        if case .trouble(_, let retryAt) = shipper.step(now: now) { instance.notBefore = retryAt }
        instance.shipper = shipper
    }

    // MARK: - The device and the broker's answers

    private func exchange(_ broker: ModelInstance) {
        guard message < setting.messages else { return }
        func passes(_ exchange: ModelPoint.Exchange, _ side: ModelPoint.Side) -> Bool { point(.mqtt(exchange, side), of: broker) == nil }
        switch device {
        case .publishing:
            if !store.durable.unreleased.contains(packetID) {
                guard store.pending != nil else { return store.write(message: message, packetID: packetID) }
                guard passes(.storeCommit, .before), broker === current else { return }
                store.commit()
                guard passes(.storeCommit, .after) else { return }
            }
            guard passes(.pubrec, .before) else { return }
            acknowledged.insert(message)
            device = .releasing
            _ = passes(.pubrec, .after)
        case .releasing:
            guard passes(.releaseCommit, .before) else { return }
            store.release(packetID: packetID)
            guard passes(.releaseCommit, .after), passes(.pubcomp, .before) else { return }
            device = .publishing
            message += 1
            _ = passes(.pubcomp, .after)
        }
    }

    // MARK: - What must hold

    private var committed: [ModelKafka.Record] { kafka.committed(topic: Self.topic) }
    private var committedDead: [ModelKafka.Record] { kafka.committed(topic: Self.deadLetterTopic) }

    private func checkAlways() {
        guard violation == nil, checked != kafka.changes + store.changes else { return }
        checked = kafka.changes + store.changes
        var times = [Int](repeating: 0, count: setting.messages)
        var last: [UInt8: Int] = [:]
        for record in kafka.log where kafka.committedTransactions.contains(record.transaction) {
            times[record.message] += 1
            guard record.topic == Self.topic else { continue }
            if let before = last.updateValue(record.message, forKey: record.key), before > record.message {
                fail("\(record.message) comes after \(before)")
            }
        }
        for message in store.durable.deadLetters.values { times[message] += 1 }
        if let twice = times.firstIndex(where: { $0 > 1 }) { return fail("message \(twice) is there \(times[twice]) times") }
        let live = store.live(from: 0)
        for entry in store.history where times[entry.message] == 0 {
            if !live.contains(where: { $0.message == entry.message }) {
                return fail("message \(entry.message) is neither in the outbox nor anywhere else")
            }
            if let cursor = kafka.cursor, cursor.storeID == store.storeID, cursor.sequence > entry.sequence {
                return fail("the cursor has passed \(entry.message)")
            }
        }
    }

    private func checkEnd() {
        let sent = Set(committed.map(\.message))
        let dead = Set(committedDead.map(\.message))
        let local = Set(store.durable.deadLetters.values)
        if acknowledged != Set(0..<setting.messages) { fail("not all are acknowledged") }
        if sent.union(dead).union(local) != acknowledged { fail("an acknowledged message is nowhere") }
        if setting.heals { return }
        if sent != acknowledged.subtracting(setting.poison) { fail("not exactly the good ones were sent") }
        let toTopic = setting.hasDeadLetterTopic && !setting.refusesDeadLetters
        if dead != (toTopic ? setting.poison : []) { fail("not exactly the poison is in the dead-letter topic") }
        if local != (toTopic ? [] : setting.poison) { fail("not exactly the poison is in the local dead letters") }
    }

    private func fail(_ text: String) { if violation == nil { violation = "\(text); \(state)" } }

    private var state: String {
        let places = plan.keys.sorted().map { $0 < points.count ? "\(points[$0])" : "never" }
        return """
            log \(committed.map(\.message)) dead \(committedDead.map(\.message)) local \(store.durable.deadLetters) \
            outbox \(store.live(from: 0)) cursor \(String(describing: kafka.cursor)) plan \(plan) at \(places)
            """
    }
}

/// A producer with one fault.
final class MutantProducer: TransactionalProducer {
    private let sound: ModelProducer
    private let mutant: Mutant
    private let queue: ModelQueue
    private var early: Cursor?
    private var records: [(OutboxRecord, UInt64)] = []
    private var lastCursor: Cursor?

    init(_ sound: ModelProducer, _ mutant: Mutant, _ queue: ModelQueue) { (self.sound, self.mutant, self.queue) = (sound, mutant, queue) }

    func initTransactions() throws(ProducerFault) {
        if mutant == .readsCursorBeforeInit { early = try sound.committedCursor() } else { try sound.initTransactions() }
    }
    func committedCursor() throws(ProducerFault) -> Cursor? {
        switch mutant {
        case .readsCursorBeforeInit:
            try sound.initTransactions()
            return early
        case .ignoresCursor: return nil
        default: return try sound.committedCursor()
        }
    }
    func begin() throws(ProducerFault) {
        records = []
        try sound.begin()
    }
    func produce(_ record: OutboxRecord, sequence: UInt64) throws(ProducerFault) {
        records.append((record, sequence))
        try sound.produce(record, sequence: sequence)
    }
    func flush() throws(ProducerFault) -> [FailedRecord] { try sound.flush() }
    func send(_ cursor: Cursor) throws(ProducerFault) {
        lastCursor = cursor
        if mutant == .sendsNoCursor { return }
        try sound.send(cursor)
        if mutant == .removesBeforeCommit { try? queue.remove(below: cursor.sequence) }
    }
    func commit() throws(ProducerFault) {
        do { try sound.commit() } catch {
            if mutant == .takesFailedCommitForDone, case .retriable = error { return }
            guard mutant == .repeatsAfterAbortableCommit, case .abortable = error, let lastCursor else { throw error }
            try? sound.abort()
            try sound.begin()
            for (record, sequence) in records { try sound.produce(record, sequence: sequence) }
            try sound.send(lastCursor)
            try sound.commit()
        }
    }
    func abort() throws(ProducerFault) { try sound.abort() }
    func poll() {}
    func close() { sound.close() }
}
