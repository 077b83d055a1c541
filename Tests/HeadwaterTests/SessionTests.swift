import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Sessions that outlive their connections")
struct SessionTests {
    @Test("a kept session has its subscriptions and its messages, in order", arguments: loopCounts, ProtocolVersion.allCases)
    func kept(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("kept", "t/#", qos: .exactlyOnce, version: version, cleanStart: false) {
                $0.sessionExpirySeconds = 100
            }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...20 {
                try await publisher.publish(message("t/\(number % 3)", "\(number)", qos: number % 2 == 0 ? .atLeastOnce : .exactlyOnce, id: number))
            }
            let second = try await harness.open(version: version)
            let answer = try await second.connect("kept", cleanStart: false) { $0.sessionExpirySeconds = 100 }
            // MQTT 3.1 has no Session Present.
            #expect(answer.sessionPresent == (version != .v3_1))
            #expect(try await second.receive(20).map(\.text) == (1...20).map(String.init))
            try await publisher.publish(message("t/9", "live", qos: .atLeastOnce))
            #expect(try await second.receive(1).first?.text == "live")
        }
    }

    @Test("a clean session ends with its connection", arguments: loopCounts, ProtocolVersion.allCases)
    func clean(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("clean", "t", qos: .atLeastOnce, version: version)
            await first.close()
            let statistics = try await harness.wait(for: "no session") { $0.sessions == 0 && $0.connections == 0 }
            #expect(statistics.subscriptions == 0 && statistics.sessionsOffline == 0)
            #expect(try await harness.open(version: version).connect("clean", cleanStart: false).sessionPresent == false)
        }
    }

    @Test("Clean Start discards what a kept session had", arguments: loopCounts, [ProtocolVersion.v3_1_1, .v5])
    func discarded(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("kept", "t", qos: .atLeastOnce, version: version, cleanStart: false) {
                $0.sessionExpirySeconds = 100
            }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "old", qos: .atLeastOnce))
            let second = try await harness.open(version: version)
            #expect(try await second.connect("kept", cleanStart: true).sessionPresent == false)
            try await second.ping()
            try await second.expectNothing()
            #expect(await harness.broker.statistics().dropped == [.sessionEnded: 1])
        }
    }

    @Test("a session ends when its expiry interval has passed", arguments: loopCounts)
    func expiry(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("short", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 1 }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "x", qos: .atLeastOnce))
            try await harness.wait(for: "the session's end") { $0.sessions == 1 && $0.subscriptions == 0 && $0.dropped == [.sessionEnded: 1] }
            #expect(try await harness.open().connect("short", cleanStart: false).sessionPresent == false)
        }
    }

    @Test("a reconnect stops the expiry, and the next disconnect begins it anew", arguments: loopCounts)
    func expiryRestarts(loops: Int) async throws {
        try await withBroker(loops) { harness in
            for round in 0..<4 {
                let client = try await harness.open()
                let isPresent = try await client.connect("short", cleanStart: false) { $0.sessionExpirySeconds = 2 }.sessionPresent
                #expect(isPresent == (round > 0))
                try await elapse(.milliseconds(700))
                await client.close()
                try await harness.waitForOffline(1)
                try await elapse(.milliseconds(500))
            }
        }
    }

    @Test("the server cuts longer wishes and tells MQTT 5", arguments: loopCounts)
    func cap(loops: Int) async throws {
        try await withBroker(loops, configure: { $0.sessions.maxExpirySeconds = 1 }) { harness in
            let five = try await harness.open()
            #expect(try await five.connect("five") { $0.sessionExpirySeconds = .max }.sessionExpirySeconds == 1)
            let three = try await harness.connect("three", version: .v3_1_1, cleanStart: false)
            await five.close()
            await three.close()
            try await harness.wait(for: "two sessions offline, then none") { $0.sessions == 0 }
        }
    }

    @Test("a wish within the limit is not echoed")
    func noEcho() async throws {
        try await withBroker(1) { harness in
            let answer = try await harness.open().connect("client") { $0.sessionExpirySeconds = 5 }
            #expect(answer.sessionExpirySeconds == nil)
        }
    }

    @Test("DISCONNECT may shorten or end the session, but not begin one", arguments: loopCounts)
    func disconnectExpiry(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let ending = try await harness.connect("ending") { $0.sessionExpirySeconds = 100 }
            try await ending.disconnect(sessionExpirySeconds: 0)
            try await harness.wait(for: "its end") { $0.sessions == 0 }

            let lengthened = try await harness.connect("lengthened") { $0.sessionExpirySeconds = 1 }
            try await lengthened.disconnect(sessionExpirySeconds: 100)
            try await elapse(.milliseconds(1_300))
            #expect(await harness.broker.statistics().sessions == 1)

            let raised = try await harness.connect("raised")
            var disconnect = Disconnect()
            disconnect.sessionExpirySeconds = 5
            raised.send(.disconnect(disconnect))
            try await raised.expectEnd(.protocolError)
        }
    }

    @Test("QoS 0 is not kept for who is away, unless the operator says so", arguments: loopCounts, [true, false])
    func qosZeroOffline(loops: Int, isQueued: Bool) async throws {
        try await withBroker(loops, configure: { $0.sessions.queuesQoS0WhenOffline = isQueued }) { harness in
            let first = try await harness.subscriber("kept", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "zero"))
            try await publisher.publish(message("t", "one", qos: .atLeastOnce))
            let second = try await harness.open()
            try await second.connect("kept", cleanStart: false)
            #expect(try await second.receive(isQueued ? 2 : 1).map(\.text) == (isQueued ? ["zero", "one"] : ["one"]))
            #expect(await harness.broker.statistics().dropped == (isQueued ? [:] : [.offline: 1]))
        }
    }

    @Test("client identifiers are compared byte by byte", arguments: loopCounts)
    func exactIdentifiers(loops: Int) async throws {
        try await withBroker(loops) { harness in
            // One character in two normal forms, and the same letters in another case.
            let ids = ["caf\u{E9}", "cafe\u{301}", "Cafe", "cafe"]
            let clients = try await ids.asyncMap { try await harness.connect($0) }
            for client in clients { try await client.ping() }
            #expect(await harness.broker.statistics().sessions == 4)
        }
    }
}

extension Array {
    func asyncMap<Result>(_ transform: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
