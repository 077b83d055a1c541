import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Session takeover")
struct TakeoverTests {
    @Test("a second connection with the same client identifier ends the first", arguments: loopCounts, ProtocolVersion.allCases)
    func takeover(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.connect("same", version: version)
            let second = try await harness.connect("same", version: version)
            try await first.expectEnd(.sessionTakenOver)
            try await second.ping()
            let third = try await harness.connect("same", version: version)
            try await second.expectEnd(.sessionTakenOver)
            try await third.ping()
            #expect(await harness.broker.statistics().takeovers == 2)
        }
    }

    @Test("the session goes on with what was in flight and queued", arguments: loopCounts)
    func resumed(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("same", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...5 { try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            let flying = try await first.nextPublish()
            let second = try await harness.open()
            #expect(try await second.connect("same", cleanStart: false) { $0.sessionExpirySeconds = 100 }.sessionPresent)
            try await first.expectEnd(.sessionTakenOver)
            let again = try await second.receive(5)
            #expect(again.map(\.text) == ["1", "2", "3", "4", "5"])
            #expect(again[0].dup && again[0].packetID == flying.packetID)
        }
    }

    @Test("a takeover with Clean Start discards the session", arguments: loopCounts)
    func discarded(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("same", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            let second = try await harness.open()
            #expect(try await second.connect("same", cleanStart: true).sessionPresent == false)
            try await first.expectEnd(.sessionTakenOver)
            let publisher = try await harness.connect("publisher")
            #expect(try await publisher.publish(message("t", "x", qos: .atLeastOnce)) == .noMatchingSubscribers)
            let statistics = await harness.broker.statistics()
            #expect(statistics.sessions == 2 && statistics.subscriptions == 0)
        }
    }

    @Test("of a thousand connections with one client identifier exactly one survives", arguments: loopCounts, [true, false])
    func storm(loops: Int, cleanStart: Bool) async throws {
        try await withBroker(loops) { harness in
            let clients = try await withThrowingTaskGroup(of: ScriptedClient.self) { group in
                for number in 0..<1_000 {
                    group.addTask {
                        let client = try await harness.open()
                        var connect = Connect(protocolVersion: .v5, clientID: "storm")
                        connect.cleanStart = cleanStart
                        connect.sessionExpirySeconds = cleanStart ? (number % 2 == 0 ? nil : 100) : 100
                        client.send(.connect(connect))
                        return client
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let statistics = try await harness.wait(for: "one survivor") { $0.connections == 1 && $0.takeovers == 999 }
            #expect(statistics.sessions == 1 && statistics.sessionsOffline == 0)
            #expect(statistics.disconnects["taken_over"] == 999)
            var survivors = 0
            for client in clients where (try? await client.ping()) != nil { survivors += 1 }
            #expect(survivors == 1)
            try await harness.expectHealthy()
        }
    }

    @Test("takeovers while the session ends on its own leave one session", arguments: loopCounts)
    func takeoverAndEnd(loops: Int) async throws {
        try await withBroker(loops) { harness in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<8 {
                    group.addTask {
                        for round in 0..<25 {
                            let client = try await harness.open()
                            _ = try? await client.connect("same", cleanStart: (worker + round) % 3 == 0)
                            if round % 2 == 0 { client.send(.disconnect(Disconnect())) } else { await client.reset() }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let last = try await harness.connect("same", cleanStart: false)
            try await harness.wait(for: "only the last one") { $0.connections == 1 }
            let statistics = await harness.broker.statistics()
            #expect(statistics.sessions == 1 && statistics.sessionsOffline == 0)
            try await last.ping()
        }
    }
}
