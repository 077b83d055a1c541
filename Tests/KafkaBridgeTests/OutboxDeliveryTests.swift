import BrokerTestKit
import Headwater
import Logging
import MQTTModel
import MQTTWire
import Testing

@testable import KafkaBridge

/// What the outbox promises: acknowledged is stored, stored gets there, in order, whatever Kafka does meanwhile.
@Suite("The outbox")
struct OutboxDeliveryTests {
    @Test("messages of every QoS go to the outbox, from there to Kafka, and out of the store", arguments: [1, 3])
    func everyQoS(loops: Int) async throws {
        let test = try OutboxUnderTest()
        test.loops = loops
        try await test.start()
        let device = try await test.device()
        for qos in QoS.allCases {
            try await device.publish(OutboxUnderTest.reading(Int(qos.rawValue), qos: qos, properties: [UserProperty("unit", "celsius")]))
        }
        try await eventually("all are taken") { test.figures.received == 3 }
        try await test.drained()
        let records = try test.records()
        #expect(records.map(\.payload) == ["0", "1", "2"])
        for (record, qos) in zip(records, QoS.allCases) {
            #expect(record.key == "pump-7" && record.header("mqtt.topic") == "telemetry/pump-7/temperature")
            #expect(record.header("mqtt.clientid") == "pump-7" && record.header("mqtt.qos") == "\(qos)" && record.header("unit") == "celsius")
        }
        #expect(test.figures.sent == 3 && test.figures.latency.count == 3)
        await test.stop()
    }

    @Test(
        "while Kafka is away from the first message on, everything is acknowledged; it is there in order after the broker was started again",
        .enabled(if: BridgeUnderTest.isEmbedded), arguments: [1, 3])
    func awayAndRestarted(loops: Int) async throws {
        let test = try OutboxUnderTest()
        test.loops = loops
        test.kafka?.setDown()
        try await test.start()
        let device = try await test.device()
        for number in 0..<500 { try await device.publish(OutboxUnderTest.reading(number, qos: number % 2 == 0 ? .atLeastOnce : .exactlyOnce)) }
        #expect(test.figures.outbox == 500 && test.figures.isBalanced)
        await test.stop()
        try await test.start()
        #expect(test.figures.received == 500 && test.figures.outbox == 500 && test.queued == 500)
        let again = try await test.device()
        for number in 500..<600 { try await again.publish(OutboxUnderTest.reading(number)) }
        test.kafka?.setUp()
        try await test.drained()
        #expect(try test.payloads() == (0..<600).map(String.init))
        #expect(test.figures.sent == 600)
        await test.stop()
    }

    @Test("a cluster that accepts connections and says nothing ends in the outbox, and drains by itself", .enabled(if: BridgeUnderTest.isEmbedded))
    func hanging() async throws {
        let test = try OutboxUnderTest()
        try await test.start()
        let device = try await test.device()
        try await device.publish(OutboxUnderTest.reading(0))
        try await test.drained()
        test.kafka?.setRoundTrip(milliseconds: 4_000)
        for number in 1...300 { try await device.publish(OutboxUnderTest.reading(number)) }
        #expect(test.figures.outbox > 0)
        test.kafka?.setRoundTrip(milliseconds: 0)
        try await test.drained()
        #expect(try test.payloads() == (0...300).map(String.init))
        await test.stop()
    }

    @Test(
        "errors of a broker that pass are retried: leader changes, too few replicas, timeouts, lost connections, out of order",
        .enabled(if: BridgeUnderTest.isEmbedded))
    func passingErrors() async throws {
        let test = try OutboxUnderTest()
        // The mock cluster takes a batch that is under way behind a refused one, which Kafka does not (`HostileKafkaTests.pipelined`).
        test.properties = ["max.in.flight": "1"]
        try await test.start()
        let device = try await test.device()
        try await device.publish(OutboxUnderTest.reading(0))
        try await test.drained()
        test.kafka?.fail(.produce, with: [.notLeader, .notEnoughReplicas, .requestTimedOut, .disconnect, .outOfOrderSequence, .notLeader])
        for number in 1...200 { try await device.publish(OutboxUnderTest.reading(number)) }
        try await test.drained()
        #expect(try test.payloads() == (0...200).map(String.init))
        #expect(test.figures.deadTotal == 0 && test.figures.droppedTotal == 0)
        await test.stop()
    }

    @Test("a dead cluster holds up its own route alone", .enabled(if: BridgeUnderTest.isEmbedded))
    func isolated() async throws {
        let test = try OutboxUnderTest()
        test.moreClusters = [KafkaCluster(name: "dead", bootstrapServers: "127.0.0.1:9", properties: ["reconnect.backoff.max.ms": "200"])]
        test.moreRoutes = [
            KafkaRoute(name: "copy", filters: [try TopicFilter("telemetry/#")], cluster: "dead", topic: try RecordTemplate("copy"))
        ]
        try await test.start()
        let device = try await test.device()
        for number in 0..<100 { try await device.publish(OutboxUnderTest.reading(number)) }
        try await test.drained()
        #expect(try test.payloads() == (0..<100).map(String.init))
        let copy = test.bridge.outboxes[1].outbox.balance.figures
        #expect(copy.outbox == 100 && copy.isBalanced)
        await test.stop()
    }

    @Test("with acknowledge: kafka PUBACK and PUBREC wait for Kafka, and a message that was sent again is there once", .enabled(if: BridgeUnderTest.isEmbedded))
    func acknowledgedByKafka() async throws {
        let test = try OutboxUnderTest(RouteDelivery(acknowledgement: .kafka))
        test.kafka?.setDown()
        try await test.start()
        let device = try await test.device()
        device.send(.publish(OutboxUnderTest.reading(1, id: 1)))
        device.send(.publish(OutboxUnderTest.reading(2, qos: .exactlyOnce, id: 2)))
        try await eventually("both are stored") { test.queued == 2 }
        try await test.harness.wait(for: "both are held") { $0.heldPublishes == 2 }
        test.kafka?.setUp()
        guard case .pubAck(let ack) = try await device.next(within: .seconds(30)), case .pubRec(let received) = try await device.next(within: .seconds(30))
        else { return #expect(Bool(false), "PUBACK and PUBREC come when Kafka has the records") }
        #expect(ack.packetID == 1 && !ack.reason.isError && received.packetID == 2 && !received.reason.isError)
        try await test.drained()
        #expect(try test.payloads() == ["1", "2"])
        await test.stop()
    }

    @Test("a deduplication key is taken once within its time, for each client by itself, also after a restart")
    func deduplicated() async throws {
        let test = try OutboxUnderTest(RouteDelivery(deduplication: RouteDeduplication(userProperty: "id", seconds: 600)))
        try await test.start()
        let key = [UserProperty("id", "reading-1")]
        let first = try await test.device("a")
        let second = try await test.device("b")
        try await first.publish(OutboxUnderTest.reading(1, of: "a", properties: key))
        try await first.publish(OutboxUnderTest.reading(2, of: "a", properties: key))
        try await second.publish(OutboxUnderTest.reading(3, of: "a", properties: key))
        try await first.publish(OutboxUnderTest.reading(4, of: "a"))
        try await test.drained()
        #expect(test.figures.sent == 3 && test.figures.dropped == [.duplicate: 1])
        await test.stop()
        try await test.start()
        let again = try await test.device("a")
        try await again.publish(OutboxUnderTest.reading(5, of: "a", properties: key))
        try await test.drained()
        #expect(test.figures.sent == 0 && test.figures.dropped == [.duplicate: 1])
        #expect(try test.payloads() == ["1", "3", "4"])
        await test.stop()
    }

    @Test("a cluster whose name nobody knows, or that speaks another protocol, ends in the outbox; with the right address everything is there")
    func wrongAddress() async throws {
        let test = try OutboxUnderTest()
        // A name that can't be resolved (RFC 6761), TLS where there is none, a port where nothing listens.
        for (life, address) in ["kafka.invalid:9092", "ssl://\(test.bootstrapServers)", "127.0.0.1:9"].enumerated() {
            test.address = address
            if address.hasPrefix("ssl") { test.route = { $0.delivery.properties = ["security.protocol": "SSL", "enable.ssl.certificate.verification": "false"] } }
            try await test.start()
            let device = try await test.device()
            for number in 0..<20 { try await device.publish(OutboxUnderTest.reading(life * 20 + number)) }
            #expect(test.figures.outbox == (life + 1) * 20 && test.figures.isBalanced)
            await test.stop()
            test.route = { _ in }
        }
        test.address = nil
        try await test.start()
        try await test.drained()
        #expect(try test.payloads() == (0..<60).map(String.init))
        await test.stop()
    }

    @Test("hostile user properties become headers or a dead letter, and what is behind them goes on")
    func hostileProperties() async throws {
        let test = try OutboxUnderTest()
        try await test.start()
        let device = try await test.device()
        let many = (0..<1_000).map { UserProperty("\u{1F980} \($0) mqtt.topic", String(repeating: "\u{00E9}", count: 20)) }
        let forged = [UserProperty("mqtt.topic", "other"), UserProperty("", ""), UserProperty("dead-letter.reason", "none"), UserProperty("headwater.hop", "me")]
        let huge = (0..<30).map { UserProperty("h\($0)", String(repeating: "x", count: 65_000)) }
        for (number, properties) in [many, forged, huge, []].enumerated() {
            try await device.publish(OutboxUnderTest.reading(number, properties: properties))
        }
        try await test.drained()
        let records = try test.records()
        #expect(records.map(\.payload) == ["0", "1", "3"])
        #expect(records[0].header("\u{1F980} 999 mqtt.topic") == String(repeating: "\u{00E9}", count: 20))
        #expect(records[1].header("mqtt.topic") == "telemetry/pump-7/temperature" && records[1].header("headwater.hop") != "me")
        #expect(test.figures.dead == ["too_large": 1] && test.outbox.deadLetters.figures.entries == 1)
        await test.stop()
    }

    @Test("queues of shards that a route has no more are drained, and a key stays in one queue")
    func fewerShards() async throws {
        let test = try OutboxUnderTest(RouteDelivery(outbox: RouteOutbox(shards: 4)))
        try await test.start()
        test.outbox.control.setPaused(true)
        let device = try await test.device()
        for number in 0..<200 { try await device.publish(OutboxUnderTest.reading(number, of: "d\(number % 10)")) }
        #expect(test.outbox.shards.count { $0.queue.figures.entries > 0 } > 1)
        await test.stop()
        test.delivery.outbox.shards = 1
        try await test.start()
        test.outbox.control.setPaused(false)
        try await test.drained()
        let records = try test.records()
        #expect(Set(records.map(\.payload)) == Set((0..<200).map(String.init)))
        for device in 0..<10 {
            let own = records.filter { $0.key == "d\(device)" }.compactMap { Int($0.payload) }
            #expect(own == own.sorted() && own.count == 20)
        }
        await test.stop()
    }

    @Test("a will goes to Kafka like any message")
    func will() async throws {
        let test = try OutboxUnderTest()
        try await test.start()
        let device = try await test.harness.open()
        var connect = Connect(protocolVersion: .v5, clientID: "pump-7")
        connect.will = Connect.Will(topic: "telemetry/pump-7/status", payload: Array("gone".utf8), qos: .atLeastOnce, retain: false)
        device.send(.connect(connect))
        _ = try await device.next()
        await device.close()
        try await eventually("the will is taken") { test.figures.received == 1 }
        try await test.drained()
        #expect(try test.records().map(\.payload) == ["gone"])
        await test.stop()
    }

    @Test("what promises storing needs a store, and says so")
    func needsStore() async throws {
        for delivery in [RouteDelivery(level: .idempotent), RouteDelivery(acknowledgement: .stored), RouteDelivery(deadLetterTopic: "dead")] {
            var route = KafkaRoute(name: "r", filters: [try TopicFilter("#")], cluster: "c", topic: try RecordTemplate("t"))
            route.delivery = delivery
            let bridge = try KafkaBridge(
                configuration: KafkaConfiguration(clusters: [KafkaCluster(name: "c", bootstrapServers: "127.0.0.1:9")], routes: [route]),
                logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
            let error = await #expect(throws: KafkaBridgeError.self) {
                try await BrokerHarness.start(eventLoops: 1, plugins: [bridge]) { $0.store.directory = nil }
            }
            #expect(error?.description.contains("store.directory") == true)
        }
    }
}
