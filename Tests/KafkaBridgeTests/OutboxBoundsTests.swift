import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@testable import KafkaBridge

/// Full outboxes, records that can't be sent, and an operator who pauses a route.
@Suite("The outbox's bounds and dead letters", .enabled(if: BridgeUnderTest.isEmbedded))
struct OutboxBoundsTests {
    private static let small = 100_000

    private func full(_ overflow: RouteOutbox.Overflow) async throws -> (OutboxUnderTest, ScriptedClient) {
        let test = try OutboxUnderTest(RouteDelivery(outbox: RouteOutbox(maxBytes: Self.small, overflow: overflow)))
        test.kafka?.setDown()
        try await test.start()
        return (test, try await test.device())
    }

    @Test("slow: publishers are not read while the outbox is full, and go on when there is room; nothing is lost")
    func slow() async throws {
        let (test, device) = try await full(.slow)
        for number in 0..<400 { device.send(.publish(OutboxUnderTest.reading(number, id: UInt16(number + 1), bytes: 1_000))) }
        try await test.harness.wait(for: "the device is slowed") { $0.pausedPublishers == 1 }
        #expect(test.figures.outboxBytes < Self.small + 3_000 && test.figures.outboxBytes >= Self.small)
        let other = try await test.device("other")
        try await other.publish(Publish(topic: "elsewhere", payload: [1], qos: .atLeastOnce, retain: false, packetID: 1))
        test.kafka?.setUp()
        var acknowledged = 0
        while acknowledged < 400 { if case .pubAck = try await device.next(within: .seconds(30)) { acknowledged += 1 } }
        try await test.drained()
        #expect(try test.payloads() == (0..<400).map(String.init))
        await test.stop()
    }

    @Test("refuse: 0x97 while the outbox is full, counted, and everything acknowledged gets there")
    func refuse() async throws {
        let (test, device) = try await full(.refuse)
        var taken: [String] = []
        var refused = 0
        for number in 0..<200 {
            device.send(.publish(OutboxUnderTest.reading(number, id: UInt16(number + 1), bytes: 1_000)))
            guard case .pubAck(let ack) = try await device.next(within: .seconds(30)) else { continue }
            if ack.reason == .quotaExceeded { refused += 1 } else { taken.append("\(number)") }
        }
        #expect(refused > 50 && test.figures.refused == ["outbox_full": refused])
        test.kafka?.setUp()
        try await test.drained()
        #expect(try test.payloads() == taken)
        await test.stop()
    }

    @Test("drop-newest and drop-oldest keep what their names say, and count the rest", arguments: [RouteOutbox.Overflow.dropNewest, .dropOldest])
    func drop(overflow: RouteOutbox.Overflow) async throws {
        let (test, device) = try await full(overflow)
        for number in 0..<400 { try await device.publish(OutboxUnderTest.reading(number, id: UInt16(number + 1), bytes: 1_000)) }
        try await eventually("the outbox is bounded while Kafka is away, not \(test.figures)") { test.figures.outboxBytes < Self.small + 3_000 }
        test.kafka?.setUp()
        try await test.drained()
        let dropped = test.figures.dropped[.full] ?? 0
        let left = try test.payloads()
        #expect(left.count == 400 - dropped && test.figures.sent == left.count)
        if overflow == .dropNewest {
            #expect(dropped > 200 && left == (0..<left.count).map(String.init))
        } else {
            // A quarter is with librdkafka, and stays.
            #expect(dropped > 200 && left.contains("399") && left.contains("350") && !left.contains("150"))
            #expect(left == left.sorted { (Int($0) ?? 0) < (Int($1) ?? 0) })
        }
        await test.stop()
    }

    @Test("a record that the broker refuses goes to the dead-letter topic with its bytes, its headers and the reason; those behind it go on")
    func poison() async throws {
        let dead = BridgeUnderTest.freshTopic()
        let test = try OutboxUnderTest(RouteDelivery(deadLetterTopic: dead, properties: ["linger.ms": "50"]))
        try await test.start()
        let device = try await test.device()
        try await device.publish(OutboxUnderTest.reading(0))
        try await test.drained()
        // The batch, its first group, and the first record alone: the record is to blame.
        test.kafka?.fail(.produce, with: [.messageTooLarge, .messageTooLarge, .messageTooLarge])
        for number in 1...20 { device.send(.publish(OutboxUnderTest.reading(number, id: UInt16(number)))) }
        try await eventually("all are taken") { test.figures.received == 21 }
        try await test.drained()
        #expect(test.figures.dead == ["too_large": 1] && test.figures.sent == 20)
        let letter = try #require(try test.records(of: dead).first)
        #expect(letter.key == "pump-7" && letter.header("mqtt.topic") == "telemetry/pump-7/temperature")
        #expect(letter.header("mqtt.clientid") == "pump-7")
        #expect(letter.header("dead-letter.reason") == "too_large" && letter.header("dead-letter.route") == "telemetry")
        #expect(letter.header("dead-letter.topic") == test.topic && letter.header("dead-letter.error")?.isEmpty == false)
        #expect(letter.header("dead-letter.time") != nil)
        #expect(Set(try test.payloads() + [letter.payload]) == Set((0...20).map(String.init)))
        await test.stop()
    }

    @Test("a value that makes no legal topic goes to the dead letters, never elsewhere")
    func badTemplateValue() async throws {
        let dead = BridgeUnderTest.freshTopic()
        let test = try OutboxUnderTest(RouteDelivery(deadLetterTopic: dead))
        let prefix = test.topic
        test.route = { $0.topic = try RecordTemplate("\(prefix).${topic[2]}") }
        try await test.start()
        let device = try await test.device()
        try await device.publish(OutboxUnderTest.reading(1, of: "good"))
        try await device.publish(OutboxUnderTest.reading(2, of: "bad name"))
        try await device.publish(OutboxUnderTest.reading(3, of: "good"))
        try await test.drained()
        #expect(try test.records(of: "\(prefix).good").map(\.payload) == ["1", "3"])
        let letters = try test.records(of: dead)
        #expect(letters.map(\.payload) == ["2"] && letters[0].header("dead-letter.reason") == "illegal_topic")
        #expect(letters[0].header("mqtt.topic") == "telemetry/bad name/temperature")
        #expect(test.figures.dead == ["illegal_topic": 1] && test.figures.sent == 2)
        await test.stop()
    }

    @Test("without a dead-letter topic, or where it refuses too, records are kept in the store")
    func localDeadLetters() async throws {
        for deadTopic in [nil, BridgeUnderTest.freshTopic()] {
            let test = try OutboxUnderTest(RouteDelivery(deadLetterTopic: deadTopic))
            let prefix = test.topic
            test.route = { $0.topic = try RecordTemplate("\(prefix).${topic[2]}") }
            try await test.start()
            let device = try await test.device()
            if deadTopic != nil { test.kafka?.fail(.produce, with: [.topicAuthorizationFailed]) }
            try await device.publish(OutboxUnderTest.reading(1, of: "bad name"))
            try await test.drained()
            try await device.publish(OutboxUnderTest.reading(2, of: "good"))
            try await test.drained()
            #expect(test.outbox.deadLetters.figures.entries == 1 && test.figures.dead == ["illegal_topic": 1])
            await test.stop()
            try await test.start()
            #expect(test.outbox.deadLetters.figures.entries == 1, "they outlive the broker")
            var kept: [OutboxRecord] = []
            _ = try test.outbox.deadLetters.read(from: 0, maxEntries: 10, maxBytes: .max) { _, head, value in
                if let view = RecordFrameView(head) { kept.append(view.record(value: value)) }
            }
            #expect(kept.map(\.value) == [Array("1".utf8)])
            #expect(kept[0].headers.contains { $0.name == "dead-letter.reason" && $0.value == Array("illegal_topic".utf8) })
            await test.stop()
        }
    }

    @Test("a tenant's own limit slows its publishers alone, and they go on when there is room", arguments: [DeliveryLevel.atLeastOnce, .exactlyOnce])
    func tenantLimit(level: DeliveryLevel) async throws {
        let test = try OutboxUnderTest(RouteDelivery(level: level, outbox: RouteOutbox(maxBytesPerTenant: Self.small)))
        test.kafka?.setDown()
        try await test.start()
        let greedy = test.outbox.balance
        _ = greedy.admit(bytes: Self.small, tenant: "acme", outbox: test.delivery.outbox)
        test.outbox.slows("acme")
        test.outbox.releaseIfRoom()
        let (isTaken, isFull) = greedy.admit(bytes: 100, tenant: "acme", outbox: test.delivery.outbox)
        #expect(isTaken && isFull, "acme is at its limit")
        #expect(greedy.admit(bytes: 100, tenant: "other", outbox: test.delivery.outbox) == (true, false), "nobody else is")
        greedy.takenBack(bytes: Self.small, tenant: "acme")
        greedy.takenBack(bytes: 100, tenant: "acme")
        greedy.takenBack(bytes: 100, tenant: "other")
        #expect(greedy.outboxBytes(ofTenant: "acme") == 0)
        await test.stop()
    }

    @Test("a tenant's limit counts what was in the outbox at the start", arguments: [true, false], [DeliveryLevel.atLeastOnce, .exactlyOnce])
    func tenantLimitAfterRestart(isBounded: Bool, level: DeliveryLevel) async throws {
        let test = try OutboxUnderTest(RouteDelivery(level: level, outbox: RouteOutbox(maxBytesPerTenant: isBounded ? Self.small * 100 : nil)))
        test.tenant = "acme"
        test.kafka?.setDown()
        try await test.start()
        let device = try await test.device()
        for number in 0..<1_200 { try await device.publish(OutboxUnderTest.reading(number)) }
        let bytes = test.outbox.balance.outboxBytes(ofTenant: "acme")
        #expect(bytes == test.figures.outboxBytes && bytes > 0)
        await test.stop()
        try await test.start()
        #expect(test.outbox.balance.outboxBytes(ofTenant: "acme") == (isBounded ? bytes : 0))
        test.kafka?.setUp()
        try await test.drained()
        #expect(test.outbox.balance.outboxBytes(ofTenant: "acme") == 0)
        await test.stop()
    }

    @Test("a broker ends at once though Kafka is away: what waits is stored", arguments: [DeliveryLevel.atLeastOnce, .exactlyOnce])
    func endsWhileAway(level: DeliveryLevel) async throws {
        let test = try OutboxUnderTest(RouteDelivery(level: level))
        try await test.start()
        let device = try await test.device()
        try await device.publish(OutboxUnderTest.reading(0))
        try await test.drained()
        test.kafka?.setDown()
        for number in 1...50 { try await device.publish(OutboxUnderTest.reading(number)) }
        let reporter = test.bridge.outboxes[0].reporters[0]
        try await eventually("Kafka is seen to be away") { reporter.status.health.condition == .down }
        let began = ContinuousClock.now
        await test.stop()
        // A call of librdkafka's in the middle of a transaction may take its four seconds, twice.
        #expect(ContinuousClock.now - began < .seconds(level == .exactlyOnce ? 14 : 4))
        test.kafka?.setUp()
        try await test.start()
        try await test.drained()
        #expect(try test.payloads() == (0...50).map(String.init))
        await test.stop()
    }

    @Test("messages that have waited too long are dropped and counted")
    func tooOld() async throws {
        let test = try OutboxUnderTest(RouteDelivery(outbox: RouteOutbox(maxAgeSeconds: 1)))
        try await test.start()
        test.outbox.control.setPaused(true)
        let device = try await test.device()
        for number in 0..<10 { try await device.publish(OutboxUnderTest.reading(number)) }
        let received = ContinuousClock.now
        try await eventually("two seconds have passed") { ContinuousClock.now - received > .seconds(2) }
        try await device.publish(OutboxUnderTest.reading(10))
        test.outbox.control.setPaused(false)
        try await test.drained()
        #expect(test.figures.dropped == [.expired: 10] && test.figures.sent == 1)
        await test.stop()
    }

    @Test("a paused route stores and sends nothing, also after a restart, until it is resumed")
    func paused() async throws {
        let test = try OutboxUnderTest()
        try await test.start()
        test.outbox.control.setPaused(true)
        let device = try await test.device()
        for number in 0..<10 { try await device.publish(OutboxUnderTest.reading(number)) }
        await test.stop()
        try await test.start()
        #expect(test.outbox.control.isPaused && test.figures.outbox == 10)
        #expect(try test.records().isEmpty)
        test.outbox.control.setPaused(false)
        try await test.drained()
        #expect(try test.payloads() == (0..<10).map(String.init))
        await test.stop()
    }
}
