import Testing

@testable import KafkaBridge

/// Every way in which a run of device, broker and Kafka can be disturbed at one point and, bounded, at two.
@Suite("Exactly once, in the model")
struct ExactlyOnceModelTests {
    static let settings: [ModelWorld.Setting] = {
        var settings: [ModelWorld.Setting] = []
        for maxEntries in [1, 2, 10] {
            for exchanges in [1, 4, 100] {
                settings.append(ModelWorld.Setting(maxEntries: maxEntries, exchangesPerStep: exchanges, isLazy: maxEntries != 10))
            }
        }
        // Time enough to ship each message before the next, and before a slow store has committed.
        settings.append(ModelWorld.Setting(stepsPerExchange: 9, isLazy: false))
        return settings
    }()

    static let poisonSettings: [ModelWorld.Setting] = {
        var settings: [ModelWorld.Setting] = []
        for poison: Set<Int> in [[0], [1], [2], [0, 1], [0, 1, 2]] {
            for (hasTopic, refuses) in [(true, false), (true, true), (false, false)] {
                for blamesBatch in [false, true] {
                    var setting = ModelWorld.Setting(exchangesPerStep: poison.count == 1 ? 1 : 100, poison: poison)
                    (setting.hasDeadLetterTopic, setting.refusesDeadLetters) = (hasTopic, refuses)
                    (setting.blamesBatch, setting.heals) = (blamesBatch, poison == [0])
                    settings.append(setting)
                }
            }
        }
        return settings
    }()

    @Test("without disturbance each message arrives once and in order")
    func undisturbed() {
        for setting in Self.settings + Self.poisonSettings { #expect(ModelWorld(setting).run() == nil) }
    }

    @Test("after a crash at any point each message is there exactly once")
    func oneCrash() {
        let runs = enumerate(Self.settings + Self.poisonSettings) { _ in [.crash] }
        #expect(runs > 3_000)
    }

    @Test("after two crashes at any two points each message is there exactly once")
    func twoCrashes() {
        let short = Self.settings.map { setting in
            var setting = setting
            setting.messages = 2
            return setting
        }
        let runs = enumerate(short + [Self.settings[4]], first: { _ in [.crash] }, second: { _ in [.crash] })
        #expect(runs > 15_000)
    }

    @Test("any fault of any call, before or after its effect, and a crash anywhere behind it double and lose nothing")
    func faults() {
        var runs = enumerate(Self.settings + Self.poisonSettings, first: Self.faults)
        runs += enumerate([Self.settings[4]], first: Self.faults, second: { _ in [.crash] })
        #expect(runs > 10_000)
    }

    @Test("an old instance that goes on beside its successor, wherever it was, doubles and loses nothing")
    func zombies() {
        let awake = [0, 2, 3, 5, 8, 30].map { Disturbance.zombie(steps: $0, sleeps: false) }
        let zombies = awake + [2, 8].map { .zombie(steps: $0, sleeps: true) }
        var runs = enumerate(Self.settings + Self.poisonSettings, first: { $0.isOfShipper ? zombies : [] })
        let some = [awake[1], awake[3], zombies[7]]
        runs += enumerate([Self.settings[4]], first: { $0.isOfShipper ? some : [] }, second: { _ in [.crash] })
        #expect(runs > 10_000)
    }

    @Test("the enumeration finds each fault that is put in on purpose", arguments: Mutant.allCases)
    func mutants(mutant: Mutant) {
        let zombies = (0...8).flatMap { [Disturbance.zombie(steps: $0, sleeps: false), .zombie(steps: $0, sleeps: true)] }
        var settings = Self.settings + Self.poisonSettings.filter { !$0.hasDeadLetterTopic }
        for index in settings.indices { settings[index].mutant = mutant }
        for setting in settings {
            let world = ModelWorld(setting)
            if world.run() != nil { return }
            for (index, point) in world.points.enumerated() {
                for disturbance in [.crash] + Self.faults(point) + (point.isOfShipper ? zombies : []) {
                    if ModelWorld(setting, plan: [index: disturbance]).run() != nil { return }
                }
            }
        }
        Issue.record("nothing shows that \(mutant) is wrong")
    }

    @Test("a cursor of another store is ignored")
    func foreignStore() {
        let world = ModelWorld(ModelWorld.Setting())
        world.kafka.cursor = Cursor(sequence: 1_000, storeID: "another")
        #expect(world.run() == nil)
        let mistaken = ModelWorld(ModelWorld.Setting())
        mistaken.kafka.cursor = Cursor(sequence: 1_000, storeID: mistaken.store.storeID)
        #expect(mistaken.run() != nil)
    }

    @Test("an instance that is fenced again and again tries ever more seldom, and never gives up")
    func fencedAgain() {
        final class Fenced: TransactionalProducer {
            func initTransactions() throws(ProducerFault) {}
            func committedCursor() throws(ProducerFault) -> Cursor? { nil }
            func begin() throws(ProducerFault) { throw .fenced("model") }
            func produce(_ record: OutboxRecord, sequence: UInt64) throws(ProducerFault) {}
            func flush() throws(ProducerFault) -> [FailedRecord] { [] }
            func send(_ cursor: Cursor) throws(ProducerFault) {}
            func commit() throws(ProducerFault) {}
            func abort() throws(ProducerFault) {}
            func poll() {}
            func close() {}
        }
        var shipper = ExactlyOnceShipper(
            outbox: MemoryQueue([ModelWorld.record(of: 0)]), makeProducer: { () throws(ProducerFault) in Fenced() },
            deadLetterRecord: { _, _ in nil })
        var now: UInt64 = 0
        var waits: [UInt64] = []
        while waits.count < 11 {
            guard case .trouble(let trouble, let retryAt) = shipper.step(now: now) else { continue }
            #expect(trouble == .fenced("model", during: .begin, times: waits.count + 1))
            waits.append((retryAt - now) / 1_000)
            now = retryAt
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    }

    /// The faults that a call may answer with at that point.
    private static func faults(_ point: ModelPoint) -> [Disturbance] {
        switch point {
        case .producer(.produce, .after): [.fault(.abortable), .fault(.fenced), .fault(.fatal)]  // retriable means "not taken"
        case .producer(.open, _), .store: [.fault(.fatal)]
        case .producer: [.fault(.retriable), .fault(.abortable), .fault(.fenced), .fault(.fatal)]
        case .mqtt: []
        }
    }

    /// Runs every setting with each of the disturbances at every point, and for each of these runs, if `second` is there,
    /// with each of the second ones at every later point.
    /// - Returns: Number of runs.
    private func enumerate(
        _ settings: [ModelWorld.Setting], first: (ModelPoint) -> [Disturbance], second: ((ModelPoint) -> [Disturbance])? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> Int {
        var runs = 0
        for setting in settings {
            let undisturbed = ModelWorld(setting)
            if let violation = undisturbed.run() { Issue.record("\(violation); \(setting)", sourceLocation: sourceLocation) }
            for (index, point) in undisturbed.points.enumerated() {
                for disturbance in first(point) {
                    let world = ModelWorld(setting, plan: [index: disturbance])
                    runs += 1
                    if let violation = world.run() {
                        Issue.record("\(violation); \(setting)", sourceLocation: sourceLocation)
                        return runs
                    }
                    guard let second else { continue }
                    for later in world.points.indices where later > index {
                        for disturbanceThen in second(world.points[later]) {
                            runs += 1
                            if let violation = ModelWorld(setting, plan: [index: disturbance, later: disturbanceThen]).run() {
                                Issue.record("\(violation); \(setting)", sourceLocation: sourceLocation)
                                return runs
                            }
                        }
                    }
                }
            }
        }
        return runs
    }

    private func enumerate(
        _ settings: [ModelWorld.Setting], sourceLocation: SourceLocation = #_sourceLocation, _ first: (ModelPoint) -> [Disturbance]
    ) -> Int {
        enumerate(settings, first: first, second: nil, sourceLocation: sourceLocation)
    }
}

extension ModelPoint {
    /// Whether the shipper's thread passes it, which may live on beside a successor.
    fileprivate var isOfShipper: Bool { if case .mqtt = self { false } else { true } }
}
