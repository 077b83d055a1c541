import BrokerTestKit
import Headwater
import Logging
import MQTTModel
import MQTTWire
import Testing

@testable import KafkaBridge

/// Devices, broker, bridge and Kafka together, over sockets.
@Suite("End to end: MQTT to Kafka")
struct EndToEndTests {
    /// A broker with a route `telemetry/#` to a fresh Kafka topic, keyed by device.
    private func withRoute(
        loops: Int, configure: (inout BrokerConfiguration) -> Void = { _ in },
        _ body: (BrokerHarness, _ topic: String, _ bootstrap: String, DevelopmentKafka?) async throws -> Void
    ) async throws {
        let kafka = BridgeUnderTest.isEmbedded ? try DevelopmentKafka.start(brokers: 1) : nil
        defer { kafka?.stop() }
        let bootstrap = BridgeUnderTest.externalKafka ?? kafka?.bootstrapServers ?? ""
        let topic = BridgeUnderTest.freshTopic()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let bridge = try KafkaBridge(
            configuration: KafkaConfiguration(
                clusters: [KafkaCluster(
                    name: "main", bootstrapServers: bootstrap, properties: ["reconnect.backoff.max.ms": "200", "linger.ms": "2"])],
                routes: [KafkaRoute(
                    name: "telemetry", filters: [try TopicFilter("telemetry/#")], cluster: "main", topic: try RecordTemplate(topic),
                    key: try RecordTemplate("${topic[2]}"))]),
            flushSeconds: 5, logger: logger)
        let harness = try await BrokerHarness.start(eventLoops: loops, plugins: [bridge], configure: configure)
        do {
            try await body(harness, topic, bootstrap, kafka)
        } catch {
            await harness.stop()
            throw error
        }
        #expect(await harness.broker.statistics().unaccountedDeliveries == 0)
        await harness.stop()
    }

    private func reading(_ device: String, _ number: Int, qos: QoS = .atLeastOnce, id: UInt16) -> Publish {
        Publish(topic: "telemetry/\(device)/temperature", payload: Array("\(number)".utf8), qos: qos, retain: false, packetID: id)
    }

    @Test("a routed message reaches subscriber and Kafka, with key and headers, at each QoS", arguments: [1, 3])
    func everyQoS(loops: Int) async throws {
        try await withRoute(loops: loops) { harness, topic, bootstrap, _ in
            let subscriber = try await harness.open()
            try await subscriber.connect(clientID: "watcher")
            try await subscriber.subscribe("telemetry/#", qos: .exactlyOnce)
            let device = try await harness.open()
            try await device.connect(clientID: "pump-7")
            for qos in QoS.allCases {
                var publish = reading("pump-7", Int(qos.rawValue), qos: qos, id: UInt16(qos.rawValue))
                publish.properties.contentType = "text/plain"
                publish.properties.userProperties = [UserProperty("unit", "celsius")]
                try await device.publish(publish)
            }
            let received = try await subscriber.messages(3)
            #expect(received.map(\.qos) == QoS.allCases)
            try await harness.wait(for: "nothing is held") { $0.heldPublishes == 0 }
            let records = try Kcat.consume(topic, from: bootstrap)
            #expect(records.map(\.payload) == ["0", "1", "2"])
            #expect(records.allSatisfy { $0.key == "pump-7" })
            for (record, qos) in zip(records, QoS.allCases) {
                #expect(record.header("mqtt.topic") == "telemetry/pump-7/temperature")
                #expect(record.header("mqtt.clientid") == "pump-7")
                #expect(record.header("mqtt.qos") == "\(qos)")
                #expect(record.header("content-type") == "text/plain")
                #expect(record.header("unit") == "celsius")
            }
        }
    }

    @Test(
        "while Kafka is away routed publishers wait, everybody else goes on, and nothing acknowledged is missing",
        .enabled(if: BridgeUnderTest.isEmbedded, "only a development cluster can be told to go away"), arguments: [1, 3])
    func away(loops: Int) async throws {
        let count = 400
        try await withRoute(loops: loops, configure: { $0.sessions.receiveMaximum = 50 }) { harness, topic, bootstrap, kafka in
            kafka?.setDown()
            let subscriber = try await harness.open()
            try await subscriber.connect(clientID: "watcher")
            try await subscriber.subscribe("local/#", qos: .atLeastOnce)
            // MQTT 3.1.1 has no receive maximum: the broker must stop reading by itself.
            let device = try await harness.open(version: .v3_1_1)
            try await device.connect(clientID: "pump-7")
            for number in 1...count { device.send(.publish(reading("pump-7", number, id: UInt16(number)))) }
            try await harness.wait(for: "the device is slowed") { $0.pausedPublishers == 1 && $0.heldPublishes == 50 }
            let other = try await harness.open()
            try await other.connect(clientID: "neighbour")
            for number: UInt16 in 1...20 {
                try await other.publish("local/x", payload: [UInt8(number)], qos: .atLeastOnce, packetID: number)
            }
            #expect(try await subscriber.messages(20).map(\.payload) == (1...20).map { [$0] })
            let held = await harness.broker.statistics()
            #expect(held.heldPublishes == 50 && held.pausedPublishers == 1)
            kafka?.setUp()
            var acknowledged: [UInt16] = []
            while acknowledged.count < count {
                guard case .pubAck(let ack) = try await device.next(within: .seconds(30)) else { continue }
                acknowledged.append(ack.packetID)
            }
            #expect(acknowledged == (1...UInt16(count)).map { $0 })
            #expect(try Kcat.consume(topic, from: bootstrap).map(\.payload) == (1...count).map { "\($0)" })
        }
    }

    @Test(
        "a QoS 2 message that is sent again while Kafka is away is one record",
        .enabled(if: BridgeUnderTest.isEmbedded, "only a development cluster can be told to go away"), arguments: [1, 3])
    func retransmitted(loops: Int) async throws {
        try await withRoute(loops: loops) { harness, topic, bootstrap, kafka in
            kafka?.setDown()
            let first = try await harness.open()
            try await first.connect(clientID: "pump-7", sessionExpirySeconds: 100)
            first.send(.publish(reading("pump-7", 1, qos: .exactlyOnce, id: 7)))
            try await harness.wait(for: "the message is held") { $0.heldPublishes == 1 }
            await first.close()
            let second = try await harness.open()
            #expect(try await second.connect(clientID: "pump-7", cleanStart: false, sessionExpirySeconds: 100))
            var again = reading("pump-7", 1, qos: .exactlyOnce, id: 7)
            again.dup = true
            second.send(.publish(again))
            try await harness.wait(for: "the retransmission is recognised") { $0.duplicatesRecognized == 1 }
            kafka?.setUp()
            guard case .pubRec(let received) = try await second.next(within: .seconds(30)) else {
                Issue.record("no PUBREC")
                return
            }
            #expect(received.packetID == 7 && !received.reason.isError)
            second.send(.pubRel(Acknowledgement(packetID: 7)))
            guard case .pubComp = try await second.next(within: .seconds(30)) else {
                Issue.record("no PUBCOMP")
                return
            }
            #expect(try Kcat.consume(topic, from: bootstrap).map(\.payload) == ["1"])
        }
    }
}
