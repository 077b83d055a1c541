import BrokerTestKit
import Foundation
import Headwater
import MQTTModel
import MQTTWire
import Testing

/// The real program under ten thousand connections. HEADWATER_TEST_CONNECTIONS makes it smaller or larger.
@Suite("Scale", .serialized)
struct ScaleTests {
    private static let connections = ProcessInfo.processInfo.environment["HEADWATER_TEST_CONNECTIONS"].flatMap { Int($0) } ?? 10_000
    private static let dying = connections / 10
    private static let rounds = 3

    @Test("ten thousand connections, a tenth of them dying at once with wills, and a takeover storm: three times, and the memory is back")
    func rounds() async throws {
        // Nobody else's broker runs meanwhile: this one is measured.
        let turn = await TestTurn.alone()
        var launch = BrokerProcess.Launch(executable: try BrokerProcess.builtExecutable(), arguments: ["--loops", "2", "--log-level", "error"])
        // One arena, without caches of threads: which thread had which page differs from run to run by a tenth, and is no leak.
        launch.environment["MALLOC_CONF"] = "narenas:1,tcache:false"
        let process = try BrokerProcess.launch(launch)
        do {
            #expect(await process.becomesReady(), "\(process.log)")
            var memory: [Int] = []
            for _ in 0..<Self.rounds {
                try await round(process)
                try await process.wait(for: "only the probe") { $0["headwater_connections"] == 0 && $0["headwater_sessions"] == 0 }
                memory.append(try await settledBytes(process))
            }
            #expect(Double(memory[Self.rounds - 1]) <= Double(memory[0]) * 1.1, "resident bytes after each round: \(memory)")
        } catch {
            await process.kill()
            await turn.end()
            throw error
        }
        #expect(await process.terminate() == 0)
        await turn.end()
    }

    /// Resident memory when the allocator has given back what is free, which takes it ten seconds: the least of the last twelve.
    private func settledBytes(_ process: BrokerProcess) async throws -> Int {
        let deadline = ContinuousClock.now + .seconds(12)
        var least = process.residentBytes
        while ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(500))
            least = min(least, process.residentBytes)
        }
        return least
    }

    private func round(_ process: BrokerProcess) async throws {
        let watcher = try await process.open()
        try await watcher.connect("watcher")
        try await watcher.subscribe([Subscribe.Entry(filter: "will/#", qos: .atLeastOnce)])

        let clients = try await connectAll(process)
        try await process.wait(for: "everybody") { $0["headwater_connections"] == Double(Self.connections + 1) }

        // A message for each, and one for all.
        let publisher = try await process.open()
        try await publisher.connect("publisher")
        for number in 0..<Self.connections { publisher.send(.publish(message("to/\(number)", "own"))) }
        publisher.send(.publish(message("all", "everybody's")))
        for client in clients { #expect(try await client.receive(2, within: .seconds(30)).map(\.text) == ["own", "everybody's"]) }

        // A tenth dies in one moment.
        await withTaskGroup(of: Void.self) { group in
            for client in clients.prefix(Self.dying) { group.addTask { await client.reset() } }
        }
        let wills = try await watcher.receive(Self.dying, within: .seconds(30))
        #expect(Set(wills.map(\.topic)) == Set((0..<Self.dying).map { "will/\($0)" }))
        try await process.wait(for: "the dead") { $0["headwater_connections"] == Double(Self.connections - Self.dying + 2) }

        // Another tenth is taken over, each by three at once.
        let before = try await process.metrics()["headwater_takeovers_total"] ?? 0
        let heirs = try await withThrowingTaskGroup(of: ScriptedClient.self) { group in
            for number in Self.dying..<2 * Self.dying {
                for _ in 0..<3 {
                    group.addTask {
                        let client = try await process.open()
                        client.send(.connect(Connect(protocolVersion: .v5, clientID: "client-\(number)")))
                        return client
                    }
                }
            }
            return try await group.reduce(into: [ScriptedClient]()) { $0.append($1) }
        }
        let taken = Double(3 * Self.dying)
        try await process.wait(for: "the takeovers") {
            $0["headwater_takeovers_total"] == before + taken && $0["headwater_connections"] == Double(Self.connections - Self.dying + 2)
        }
        try await publisher.ping()

        let figures = try await process.metrics()
        let dropped = figures.filter { $0.key.hasPrefix("headwater_dropped_total") }.values.reduce(0, +)
        let accounted =
            (figures["headwater_delivered_total"] ?? 0) + (figures["headwater_queued_messages"] ?? 0) + (figures["headwater_expired_total"] ?? 0)
            + dropped
        #expect(figures["headwater_deliveries_due_total"] == accounted && dropped == 0)
        #expect(figures["headwater_paused_publishers"] == 0)

        await withTaskGroup(of: Void.self) { group in
            for client in clients + heirs + [publisher] { group.addTask { await client.close() } }
        }
        // The wills of the others come now; the watcher has seen enough.
        await watcher.close()
    }

    private func connectAll(_ process: BrokerProcess) async throws -> [ScriptedClient] {
        // A few hundred at a time: the backlog of a listener is finite.
        var clients: [ScriptedClient] = []
        for start in stride(from: 0, to: Self.connections, by: 250) {
            clients += try await withThrowingTaskGroup(of: (Int, ScriptedClient).self) { group in
                for number in start..<min(start + 250, Self.connections) {
                    group.addTask {
                        let client = try await process.open()
                        var connect = Connect(protocolVersion: .v5, clientID: "client-\(number)")
                        if number < Self.dying { connect.will = Connect.Will(topic: "will/\(number)", payload: [1], qos: .atLeastOnce) }
                        client.send(
                            .connect(connect),
                            .subscribe(Subscribe(packetID: 1, entries: [Subscribe.Entry(filter: "to/\(number)"), Subscribe.Entry(filter: "all")])))
                        _ = try await client.first("SUBACK") { if case .subAck = $0 { true } else { nil } }
                        return (number, client)
                    }
                }
                return try await group.reduce(into: [(Int, ScriptedClient)]()) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
            }
        }
        return clients
    }
}
