import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@testable import KafkaBridge

/// Devices at QoS 2, the broker, and a transactional route: what a development Kafka can show of it, and with HEADWATER_TEST_KAFKA the
/// whole, since a real cluster isolates and fences.
@Suite("The exactly-once route")
struct OutboxExactlyOnceTests {
    private static func made(_ deadLetterTopic: String? = nil) throws -> OutboxUnderTest {
        try OutboxUnderTest(RouteDelivery(level: .exactlyOnce, deadLetterTopic: deadLetterTopic))
    }

    @Test("messages of every QoS arrive in order, and leave the outbox")
    func everyQoS() async throws {
        let test = try Self.made()
        try await test.start()
        let device = try await test.device()
        for number in 0..<200 { try await device.publish(OutboxUnderTest.reading(number, qos: QoS(rawValue: UInt8(number % 3)) ?? .atMostOnce)) }
        try await eventually("all are taken") { test.figures.received == 200 }
        try await test.drained()
        #expect(try test.records().map(\.payload) == (0..<200).map(String.init))
        #expect(test.figures.sent == 200)
        await test.stop()
    }

    @Test("what was stored while Kafka was away is there once after the broker was started again", .enabled(if: BridgeUnderTest.isEmbedded))
    func restarted() async throws {
        let test = try Self.made()
        test.kafka?.setDown()
        try await test.start()
        let device = try await test.device()
        for number in 0..<300 { try await device.publish(OutboxUnderTest.reading(number, qos: .exactlyOnce)) }
        await test.stop()
        test.kafka?.setUp()
        try await test.start()
        try await test.drained()
        #expect(try test.records().map(\.payload) == (0..<300).map(String.init))
        await test.stop()
    }

    @Test("restarts in the middle of a stream repeat nothing and lose nothing")
    func restartsInTheStream() async throws {
        let test = try Self.made()
        var next = 0
        for _ in 0..<3 {
            try await test.start()
            let device = try await test.device()
            for _ in 0..<200 {
                try await device.publish(OutboxUnderTest.reading(next, qos: .exactlyOnce))
                next += 1
            }
            await test.stop()
        }
        try await test.start()
        try await test.drained()
        let payloads = try test.records().map(\.payload)
        // The development Kafka does not keep the cursor of a transaction, but the broker has stopped in order each time.
        #expect(payloads == (0..<next).map(String.init))
        await test.stop()
    }

    @Test("a poison record goes to the dead-letter topic in its transaction, and those behind it go on", .enabled(if: BridgeUnderTest.isEmbedded))
    func poison() async throws {
        let dead = BridgeUnderTest.freshTopic()
        let test = try Self.made(dead)
        let prefix = test.topic
        test.route = {
            $0.topic = try RecordTemplate("\(prefix).${topic[2]}")
            $0.delivery.cursorTopic = dead
        }
        try await test.start()
        let device = try await test.device()
        try await device.publish(OutboxUnderTest.reading(1, of: "good", qos: .exactlyOnce))
        try await device.publish(OutboxUnderTest.reading(2, of: "bad name", qos: .exactlyOnce))
        try await device.publish(OutboxUnderTest.reading(3, of: "good", qos: .exactlyOnce))
        try await test.drained()
        #expect(try test.records(of: "\(prefix).good").map(\.payload) == ["1", "3"])
        #expect(try test.records(of: dead).map { $0.header("dead-letter.reason") } == ["illegal_topic"])
        #expect(test.figures.dead == ["illegal_topic": 1] && test.figures.sent == 2)
        await test.stop()
    }

    @Test("a route without a place for its cursor is refused, with what to do")
    func cursorTopic() throws {
        var route = KafkaRoute(name: "r", filters: [try TopicFilter("#")], cluster: "c", topic: try RecordTemplate("a.${topic[1]}"))
        route.delivery.level = .exactlyOnce
        func faults() -> [String] {
            KafkaConfiguration(clusters: [KafkaCluster(name: "c", bootstrapServers: "127.0.0.1:9")], routes: [route]).validate().map(\.description)
        }
        #expect(faults().contains { $0.contains("cursor_topic") })
        route.delivery.deadLetterTopic = "dead"
        #expect(faults().isEmpty)
        route.delivery.properties = ["enable.idempotence": "false"]
        #expect(faults().contains { $0.contains("enable.idempotence") })
    }
}
