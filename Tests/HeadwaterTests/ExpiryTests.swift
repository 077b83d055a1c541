import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Message expiry")
struct ExpiryTests {
    @Test("a message that expired in the queue is not delivered, and counted", arguments: loopCounts)
    func queued(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("client", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "short", qos: .atLeastOnce) { $0.expirySeconds = 1 })
            try await publisher.publish(message("t", "long", qos: .atLeastOnce) { $0.expirySeconds = 100 })
            try await publisher.publish(message("t", "for ever", qos: .atLeastOnce))
            try await elapse(.milliseconds(1_200))
            let second = try await harness.connect("client", cleanStart: false)
            let received = try await second.receive(2)
            #expect(received.map(\.text) == ["long", "for ever"])
            // Counted down by the second and more that it waited.
            let left = try #require(received[0].expirySeconds)
            #expect(left < 100 && left > 90)
            #expect(received[1].expirySeconds == nil)
            #expect(await harness.broker.statistics().expired == 1)
        }
    }

    @Test("a live receiver gets the interval that the publisher set", arguments: loopCounts, [UInt32(1), 100, .max])
    func live(loops: Int, seconds: UInt32) async throws {
        try await withBroker(loops) { harness in
            let subscriber = try await harness.subscriber("subscriber", "t")
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "x") { $0.expirySeconds = seconds })
            #expect(try await subscriber.receive(1)[0].expirySeconds == seconds)
        }
    }

    @Test("a retained message that has expired is sent to nobody, and one that has not is counted down", arguments: loopCounts)
    func retained(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("r/short", "x", qos: .atLeastOnce, retain: true) { $0.expirySeconds = 1 })
            try await publisher.publish(message("r/long", "x", qos: .atLeastOnce, retain: true) { $0.expirySeconds = 100 })
            try await elapse(.milliseconds(1_200))
            let subscriber = try await harness.subscriber("subscriber", "r/#")
            let received = try await subscriber.receive(1)[0]
            #expect(received.topic == "r/long")
            let left = try #require(received.expirySeconds)
            #expect(left < 100)
            try await subscriber.expectNothing()
        }
    }

    @Test("a message that is sent again has its interval counted down")
    func resent() async throws {
        try await withBroker(1) { harness in
            let first = try await harness.subscriber("client", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            try await first.publish(message("t", "x", qos: .atLeastOnce) { $0.expirySeconds = 100 })
            #expect(try await first.nextPublish().expirySeconds == 100)
            try await elapse(.milliseconds(1_100))
            await first.close()
            let second = try await harness.connect("client", cleanStart: false)
            let left = try #require(try await second.nextPublish().expirySeconds)
            #expect(left < 100)
        }
    }
}
