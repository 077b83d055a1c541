import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Queues in the store")
struct StoredQueueTests {
    private static func numbers(_ range: ClosedRange<Int>) -> [String] { range.map(String.init) }

    /// Publishes numbers as fast as they are acknowledged.
    private func publish(_ range: ClosedRange<Int>, to topic: String, qos: QoS = .atLeastOnce, by client: ScriptedClient) async throws {
        for first in stride(from: range.lowerBound, through: range.upperBound, by: 500) {
            let part = first...min(first + 499, range.upperBound)
            client.send(part.map { .publish(message(topic, "\($0)", qos: qos, id: UInt16($0 - first + 1))) })
            for number in part {
                let id = UInt16(number - first + 1)
                if qos == .exactlyOnce {
                    try await client.expect(.pubRec(Acknowledgement(packetID: id)))
                    client.send(.pubRel(Acknowledgement(packetID: id)))
                } else {
                    try await client.expect(.pubAck(Acknowledgement(packetID: id)))
                }
            }
            if qos == .exactlyOnce {
                for number in part { try await client.expect(.pubComp(Acknowledgement(packetID: UInt16(number - first + 1)))) }
            }
        }
    }

    @Test("a backlog comes whole and in order, while more is published", arguments: loopCounts, [QoS.atLeastOnce, .exactlyOnce])
    func backlog(loops: Int, qos: QoS) async throws {
        let store = StoreScenario(loops)
        try await store.life { harness in
            let first = try await harness.subscriber("reader", "t", qos: qos, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            try await publish(1...3_000, to: "t", qos: qos, by: publisher)
            let reader = try await harness.connect("reader", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            async let more: Void = publish(3_001...5_000, to: "t", qos: qos, by: publisher)
            #expect(try await reader.receive(5_000).map(\.text) == Self.numbers(1...5_000))
            try await more
            // Caught up: what comes now comes live.
            try await publish(5_001...5_010, to: "t", qos: qos, by: publisher)
            #expect(try await reader.receive(10).map(\.text) == Self.numbers(5_001...5_010))
            try await harness.wait(for: "an empty queue") { $0.queuedMessages == 0 && $0.queuedBytes == 0 }
        }
    }

    @Test("a client that leaves in the middle gets the rest later, each message once", arguments: loopCounts)
    func interrupted(loops: Int) async throws {
        let store = StoreScenario(loops)
        try await store.life { harness in
            let first = try await harness.subscriber("reader", "t", qos: .exactlyOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            try await publish(1...1_000, to: "t", qos: .exactlyOnce, by: publisher)
        }
        var received: [String] = []
        for _ in 0..<4 {
            try await store.life { harness in
                let reader = try await harness.connect("reader", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
                received += try await reader.receive(250).map(\.text)
                // Every exchange that has begun is over when the answer comes.
                try await reader.ping()
                try await reader.disconnect()
            }
        }
        #expect(received.count == 1_000)
        #expect(received == Self.numbers(1...1_000))
    }

    @Test("large messages are stored once for all queues, and gone with the last", arguments: loopCounts)
    func large(loops: Int) async throws {
        let store = StoreScenario(loops)
        let payload = String(repeating: "x", count: 100_000)
        try await store.life { harness in
            for number in 0..<10 {
                let client = try await harness.subscriber("reader-\(number)", "t", qos: .atLeastOnce, cleanStart: false) {
                    $0.sessionExpirySeconds = 10_000
                }
                await client.close()
            }
            try await harness.waitForOffline(10)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...5 { try await publisher.publish(message("t", "\(number)" + payload, qos: .atLeastOnce, id: number)) }
            let written = try #require(await harness.broker.statistics().store).bytesWritten
            #expect(written < loops * 5 * 100_000 + 300_000)
        }
        try await store.life { harness in
            for number in 0..<10 {
                let client = try await harness.connect("reader-\(number)", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
                let received = try await client.receive(5).map(\.text)
                #expect(received == (1...5).map { "\($0)" + payload })
            }
            try await harness.wait(for: "empty queues") { $0.queuedMessages == 0 }
        }
    }

    @Test("a full queue drops by its policy, in the store as in memory", arguments: loopCounts, [BrokerConfiguration.OverflowPolicy.dropOldest, .dropNewest])
    func overflow(loops: Int, policy: BrokerConfiguration.OverflowPolicy) async throws {
        let store = StoreScenario(loops) {
            $0.sessions.maxQueuedMessages = 100
            $0.sessions.overflow = policy
        }
        try await store.life { harness in
            let client = try await harness.subscriber("reader", "t", qos: .atLeastOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            await client.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            try await publish(1...300, to: "t", by: publisher)
            let statistics = await harness.broker.statistics()
            #expect(statistics.queuedMessages == 100 && statistics.dropped == [.queueFull: 200])
            let reader = try await harness.connect("reader", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            let expected = policy == .dropOldest ? 201...300 : 1...100
            #expect(try await reader.receive(100).map(\.text) == Self.numbers(expected))
            try await harness.wait(for: "an empty queue") { $0.queuedMessages == 0 && $0.queuedBytes == 0 }
        }
    }

    @Test("a store that has its largest size refuses, and takes again when there is room", arguments: loopCounts)
    func full(loops: Int) async throws {
        let store = StoreScenario(loops) { $0.store.maxBytes = 1 << 20 }
        let payload = String(repeating: "x", count: 20_000)
        try await store.life { harness in
            let away = try await harness.subscriber("away", "t", qos: .atLeastOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            await away.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            var accepted = 0
            while try await publisher.publish(message("t", payload, qos: .atLeastOnce)) == .success, accepted < 10_000 { accepted += 1 }
            #expect(accepted > 10 && accepted < 1_000)
            #expect(harness.broker.readiness().contains { $0.hasPrefix("store:") })
            // What needs no store goes on.
            let live = try await harness.subscriber("live", "live", qos: .atLeastOnce)
            try await publisher.publish(message("live", "yes", qos: .atLeastOnce))
            #expect(try await live.receive(1).first?.text == "yes")
            #expect(try await harness.open().connect("kept", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }.reason == .quotaExceeded)
            // MQTT 3 has no word for it: its message waits.
            let old = try await harness.connect("old", version: .v3_1_1)
            old.send(.publish(message("t", "late", qos: .atLeastOnce, id: 5)))
            try await old.expectNothing()
            let reader = try await harness.connect("away", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            #expect(try await reader.receive(accepted).count == accepted)
            try await old.expect(.pubAck(Acknowledgement(packetID: 5)))
            #expect(try await reader.receive(1).first?.text == "late")
            #expect(harness.broker.readiness().isEmpty)
        }
    }
}
