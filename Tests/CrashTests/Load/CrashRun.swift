import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire

/// A broker under load that dies again and again, and at the end the question whether it has kept its word.
final class CrashRun: Sendable {
    private let options: CrashOptions
    private let journal = Journal()
    private let site = BrokerSite()
    private let lives: BrokerLives
    private let clients: [LoadClient]
    /// Called between a death and the next start.
    private let betweenLives: @Sendable (BrokerLives) async throws -> Void

    private let expectsFaults: Bool

    static let patience = Duration.seconds(60)

    init(
        _ options: CrashOptions, cast: [ClientPlan] = ClientPlan.cast, expectsFaults: Bool = false,
        betweenLives: @escaping @Sendable (BrokerLives) async throws -> Void = { _ in }
    ) throws {
        self.options = options
        self.betweenLives = betweenLives
        self.expectsFaults = expectsFaults
        lives = try BrokerLives(options, name: "crash")
        let (site, journal, seed) = (site, journal, options.seed &+ UInt64(options.number) &* 7_919)
        clients = cast.map { LoadClient($0, site: site, journal: journal, seed: seed) }
    }

    /// Runs, checks and prints a line.
    ///
    /// - Returns: The model's verdict, and a text that says everything about each fault.
    func perform() async throws -> (model: CrashModel, report: String) {
        do {
            let model = try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients { group.addTask { await client.live() } }
                do {
                    let model = try await run()
                    await end()
                    return model
                } catch {
                    await end()
                    throw error
                }
            }
            let report = report(model)
            print("\(options): \(model.tally)\(report.isEmpty || expectsFaults ? "" : "\n\(report)")")
            await lives.tearDown(keepingFiles: !model.faults.isEmpty && !expectsFaults)
            return (model, report)
        } catch {
            await lives.tearDown(keepingFiles: true)
            throw BrokerLives.Death(description: "\(options): \(error)\nfiles: \(lives.directory.path)")
        }
    }

    private func end() async {
        site.end()
        for client in clients { await client.finish() }
    }

    // MARK: The course of a run

    private func run() async throws -> CrashModel {
        var random = SeededRandom(options.seed, "kills of run \(options.number)")
        var process = try await lives.startReady()
        site.open(process.address)
        try await everybody("subscribed", within: Self.patience) { await $0.isReady }
        for client in clients { await client.begin() }
        for number in 0..<options.kills {
            try await die(number + 1, process, &random)
            process = try await rise(number + 1, &random)
        }
        try await Task.sleep(for: options.lastLoad)
        return try await drain(process)
    }

    /// The broker is killed, or kills itself.
    private func die(_ number: Int, _ process: BrokerProcess, _ random: inout SeededRandom) async throws {
        if let fault = armed.get() {
            // The point may lie beyond what this load reaches.
            if let ending = await process.end(within: .milliseconds(1_500)) {
                site.close()
                guard ending == .signal(SIGKILL) else { throw BrokerLives.Death(description: "it died with \(ending):\n\(lives.logTail)") }
                journal.note(.killed(number: number, how: fault, isByItself: true))
                return
            }
        } else {
            // Short times are the interesting ones: the first packets after a start.
            let limit = random.oneIn(2) ? 40 : 300
            try await Task.sleep(for: .milliseconds(Int.random(in: 2...limit, using: &random)))
            if options.breaksDisk { try await breakDisk(&random) }
        }
        if let ending = process.ending { throw BrokerLives.Death(description: "it died by itself, \(ending):\n\(lives.logTail)") }
        journal.note(.killed(number: number, how: "SIGKILL", isByItself: false))
        site.close()
        await process.kill()
        if options.breaksDisk { try mendDisk() }
    }

    /// The disk fails from some call on, for a while or until the kill.
    private func breakDisk(_ random: inout SeededRandom) async throws {
        guard let shim = lives.shim else { return }
        let kinds: [(StoreShim.Calls, Int32)] = [(.all, ENOSPC), ([.write, .short], ENOSPC), (.sync, EIO), (.write, EIO), (.all, EROFS)]
        let (calls, error) = kinds[Int.random(in: 0..<kinds.count, using: &random)]
        journal.note(.diskFails(true))
        try shim.fail(calls, with: error, after: Int.random(in: 0...20, using: &random))
        try await Task.sleep(for: .milliseconds(Int.random(in: 20...700, using: &random)))
        if random.oneIn(2) {
            try mendDisk()
            try await Task.sleep(for: .milliseconds(Int.random(in: 20...900, using: &random)))
        }
    }

    private func mendDisk() throws {
        journal.note(.diskFails(false))
        try lives.shim?.heal()
    }

    /// The fault that the present life has been started with.
    private let armed = FaultBox()

    private func rise(_ number: Int, _ random: inout SeededRandom) async throws -> BrokerProcess {
        try await buried()
        if random.oneIn(8) { try await stillbirth(number, &random) }
        // The last life is for the end.
        let fault = number < options.kills ? faultForNextLife(&random) : nil
        armed.set(fault)
        let process = try await lives.start(fault: fault)
        if await process.becomesReady(within: Self.patience) { return try await opened(process, number, &random) }
        guard fault != nil, process.ending == .signal(SIGKILL) else {
            let ending = process.ending.map { "\($0)" } ?? "still running"
            throw BrokerLives.Death(description: "it did not become ready after kill \(number) (\(ending)):\n\(lives.logTail)")
        }
        // The point lay in the start itself.
        journal.note(.killed(number: number, how: "\(fault ?? "") during the start", isByItself: true))
        armed.set(nil)
        try await buried()
        return try await opened(try await lives.startReady(), number, &random)
    }

    /// What happens to the store between a death and the next start.
    private func buried() async throws {
        if options.cutsPower { try await lives.cutPower() }
        try await betweenLives(lives)
    }

    /// A kill between start and readiness.
    private func stillbirth(_ number: Int, _ random: inout SeededRandom) async throws {
        let process = try await lives.start()
        try await Task.sleep(for: .milliseconds(Int.random(in: 1...150, using: &random)))
        if let ending = process.ending { throw BrokerLives.Death(description: "it died while starting, \(ending):\n\(lives.logTail)") }
        journal.note(.killed(number: number, how: "SIGKILL during the start", isByItself: false))
        await process.kill()
        try await buried()
    }

    private func faultForNextLife(_ random: inout SeededRandom) -> String? {
        guard !options.faultPoints.isEmpty, !random.oneIn(3) else { return nil }
        let point = options.faultPoints[Int.random(in: 0..<options.faultPoints.count, using: &random)]
        let most = point == "operation-applied" ? 300 : ["page-read", "checkpoint-written", "restored"].contains(point) ? 3 : 60
        return "\(point):\(random.oneIn(3) ? 1 : Int.random(in: 1...most, using: &random))"
    }

    /// Looks at the fresh broker before the clients do, and lets them in.
    private func opened(_ process: BrokerProcess, _ number: Int, _ random: inout SeededRandom) async throws -> BrokerProcess {
        // An armed process may die under the questions too.
        if armed.get() == nil {
            try await noteBalance(process, "after kill \(number)")
            if random.oneIn(3) { try await lookAtRetained(process) }
        }
        journal.note(.restarted(number: number))
        site.open(process.address)
        return process
    }

    // MARK: The end

    private func drain(_ process: BrokerProcess) async throws -> CrashModel {
        for client in clients { await client.drain() }
        var delay: String?
        do {
            try await everybody("settled", within: Self.patience) { await $0.isSettled }
            try await process.wait(for: "empty queues", within: Self.patience) {
                $0["headwater_queued_messages"] == 0 && $0["headwater_inflight_messages"] == 0
            }
        } catch {
            guard process.isRunning else { throw BrokerLives.Death(description: "it died while draining:\n\(lives.logTail)") }
            delay = "\(error)"
        }
        try await lookAtRetained(process)
        try await noteBalance(process, "at the end")
        // What is still on its way, delayed wills above all, has its time.
        let deadline = ContinuousClock.now + .seconds(expectsFaults ? 0 : 20)
        while true {
            let model = CrashModel.check(journal.history)
            let mayComeYet = model.faults.allSatisfy { [.lost, .will, .subscriptionLost].contains($0.kind) }
            if model.faults.isEmpty || !mayComeYet || ContinuousClock.now > deadline {
                if model.faults.isEmpty, let delay { throw BrokerLives.Death(description: "nothing is lost, but \(delay)") }
                return model
            }
            try await Task.sleep(for: .milliseconds(250))
        }
    }

    private func everybody(_ state: String, within time: Duration, _ condition: (LoadClient) async -> Bool) async throws {
        let deadline = ContinuousClock.now + time
        while true {
            var missing: [LoadClient] = []
            for client in clients where await !condition(client) { missing.append(client) }
            if missing.isEmpty { return }
            guard ContinuousClock.now < deadline else {
                var conditions: [String] = []
                for client in missing { conditions.append(await client.condition) }
                throw BrokerLives.Death(description: "not \(state) within \(time): \(conditions.joined(separator: "; "))")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    // MARK: Questions to the broker

    private func noteBalance(_ process: BrokerProcess, _ when: String) async throws {
        // Figures of several loops are read one after the other: they close when nothing moves.
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            let unaccounted = Self.unaccounted(try await process.metrics())
            if unaccounted == 0 || ContinuousClock.now > deadline {
                journal.note(.balance(unaccounted: unaccounted, when: when))
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    static func unaccounted(_ figures: [String: Double]) -> Int {
        let dropped = figures.filter { $0.key.hasPrefix("headwater_dropped_total") }.values.reduce(0, +)
        func figure(_ name: String) -> Double { figures["headwater_\(name)"] ?? 0 }
        return Int(
            figure("deliveries_due_total") - figure("delivered_total") - figure("queued_messages") - figure("expired_total") - dropped)
    }

    private func lookAtRetained(_ process: BrokerProcess) async throws {
        let probe = RetainedProbe(process: process, journal: journal, patience: .seconds(expectsFaults ? 1 : 15))
        try await probe.look("keep/#")
    }

    // MARK: The report

    private func report(_ model: CrashModel) -> String {
        guard !model.faults.isEmpty else { return "" }
        let history = journal.history
        if !expectsFaults { try? history.text.write(to: lives.directory.appendingPathComponent("history.txt"), atomically: true, encoding: .utf8) }
        var lines = ["\(model.faults.count) faults in \(options); files: \(lives.directory.path)"]
        for kind in Set(model.faults.map(\.kind.rawValue)).sorted() {
            lines.append("  \(kind): \(model.faults.count { $0.kind.rawValue == kind })")
        }
        // Two of each kind are enough to read; history.txt has everything.
        let byKind = Dictionary(grouping: model.faults, by: \.kind)
        for fault in byKind.values.flatMap({ $0.prefix(2) }) {
            lines.append("  \(fault)")
            lines.append(history.story(of: fault.message, at: fault.client))
        }
        return lines.joined(separator: "\n")
    }
}
