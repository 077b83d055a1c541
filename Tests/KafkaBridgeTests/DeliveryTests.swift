import Foundation
import MQTTModel
import PluginAPI
import Testing

@testable import KafkaBridge

/// From the publish hook to kcat. With HEADWATER_TEST_KAFKA=host:port they run against that cluster.
@Suite("Delivery to Kafka", .serialized)
struct DeliveryTests {
    @Test("a record carries payload, key, time and where it came from")
    func record() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let route = KafkaRoute(
            name: "r", filters: [try TopicFilter("plant/#")], cluster: "main", topic: try RecordTemplate(topic),
            key: try RecordTemplate("${topic[2]}"),
            headers: [.init("site", try RecordTemplate("${topic[1]}-${tenant}")), .init("none", try RecordTemplate("${user.none}"))])
        let test = try await BridgeUnderTest(routes: [route])
        let properties = PublishProperties(
            contentType: "text/plain", responseTopic: "answers", correlationData: Array("c-1".utf8),
            userProperties: [
                UserProperty("trace", "1"), UserProperty("trace", "2"), UserProperty("mqtt.clientid", "forged"), UserProperty("site", "forged"),
                UserProperty("content-type", "forged"),
            ])
        let before = MessageClock.now.unixMilliseconds
        #expect(try test.publish("plant/4/temp", "21.5", qos: .exactlyOnce, isRetained: true, properties: properties, client: BridgeUnderTest.client("pump-7", username: "ann")) == .hold)
        try await test.settle()
        let records = try Kcat.consume(topic, from: test.bootstrapServers)
        #expect(records.count == 1)
        let record = try #require(records.first)
        #expect(record.key == "4")
        #expect(record.payload == "21.5")
        #expect((before...MessageClock.now.unixMilliseconds).contains(record.timestamp))
        #expect(
            record.headers == [
                "mqtt.topic", "plant/4/temp", "mqtt.clientid", "pump-7", "mqtt.username", "ann", "mqtt.qos", "2", "mqtt.retain", "true",
                "site", "plant-acme", "headwater.hop", "b-test", "content-type", "text/plain", "mqtt.response-topic", "answers", "mqtt.correlation-data", "c-1",
                "trace", "1", "trace", "2",
            ])
        #expect(test.outcomes.all == [Outcomes.Entry(token: 1, outcome: .fulfilled)])
        await test.stop()
    }

    @Test("value, time and partition are those that the route makes of each message")
    func madeRecords() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let route = KafkaRoute(
            name: "r", filters: [try TopicFilter("#")], cluster: "main", topic: try RecordTemplate(topic), excluded: [try TopicFilter("t/no")],
            value: try RecordValue("${payload.v}"), timestamp: .payload(try PayloadPath("payload.t"), .milliseconds),
            partition: try RecordTemplate("${payload.p}"))
        let test = try await BridgeUnderTest(routes: [route])
        try TransactionalUnderTest.create(topic, partitions: 3, at: test.bootstrapServers, test.kafka)
        let before = MessageClock.now.unixMilliseconds
        #expect(try test.publish("t/1", #"{"v":"made","t":1600000000123,"p":2}"#) == .hold)
        #expect(try test.publish("t/1", #"{"v":"","p":0}"#) == .hold)
        #expect(try test.publish("t/no", "{}") == .proceed)
        #expect(try test.publish("t/1", #"{"p":-1}"#) == .refuse(.implementationSpecificError))
        try await eventually("both are in Kafka") { test.outcomes.fulfilled == 2 }
        let records = try Kcat.consume(topic, from: test.bootstrapServers).sorted { $0.partition > $1.partition }
        #expect(records.map(\.payload) == ["made", ""])
        #expect(records.map(\.partition) == [2, 0])
        #expect(records.first?.timestamp == 1_600_000_000_123)
        #expect((before...MessageClock.now.unixMilliseconds).contains(records.last?.timestamp ?? 0))
        #expect(test.figures.timestampFallbacks == 1)
        #expect(test.figures.refused == [.invalidPartition: 1])
        await test.stop()
    }

    @Test("the headers are those of each message's own client, QoS and RETAIN, though they are cached")
    func headersOfEachMessage() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(routes: [try Self.route(topic)])
        for index in 0..<60 {
            try test.publish(
                "t/\(index % 2)", "\(index)", qos: QoS(rawValue: UInt8(index % 3)) ?? .atMostOnce, isRetained: index % 5 == 0,
                client: BridgeUnderTest.client("c\(index % 4)"))
        }
        try await test.settle()
        let records = try Kcat.consume(topic, from: test.bootstrapServers)
        #expect(records.count == 60)
        for record in records {
            let index = try #require(Int(record.payload))
            #expect(
                record.headers == [
                    "mqtt.topic", "t/\(index % 2)", "mqtt.clientid", "c\(index % 4)", "mqtt.qos", "\(index % 3)", "mqtt.retain",
                    index % 5 == 0 ? "true" : "false", "headwater.hop", "b-test",
                ])
        }
        await test.stop()
    }

    @Test("records with one key keep their order and all arrive")
    func order() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(routes: [try Self.route(topic, key: "${clientid}")])
        let clients = (0..<20).map { BridgeUnderTest.client("client-\($0)") }
        for number in 0..<250 { for client in clients { try test.publish("t/x", "\(number)", client: client) } }
        try await test.settle()
        let records = try Kcat.consume(topic, from: test.bootstrapServers)
        let numbers = Dictionary(grouping: records) { $0.key ?? "" }.mapValues { $0.compactMap { Int($0.payload) } }
        #expect(numbers.count == 20)
        #expect(numbers.values.allSatisfy { $0 == Array(0..<250) })
        if BridgeUnderTest.isEmbedded { #expect(Set(records.map(\.partition)).count > 1) }
        await test.stop()
    }

    @Test("an empty payload is an empty value, not a tombstone, and an empty key is none")
    func empty() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(routes: [try Self.route(topic, key: "${user.none}")])
        try test.publish("t/x", "")
        try await test.settle()
        let record = try #require(try Kcat.consume(topic, from: test.bootstrapServers).first)
        #expect(record.payload == "")
        #expect(record.key == nil)
        await test.stop()
    }

    @Test("a message of two routes is completed once both records are there")
    func twoRoutes() async throws {
        let (first, second) = (BridgeUnderTest.freshTopic(), BridgeUnderTest.freshTopic())
        let other = KafkaRoute(name: "b", filters: [try TopicFilter("t/+")], cluster: "main", topic: try RecordTemplate(second + "-${topic[2]}"))
        let test = try await BridgeUnderTest(routes: [try Self.route(first), other])
        try test.publish("t/x", "1")
        #expect(try test.publish("t/bad level", "2") == .refuse(.topicNameInvalid))
        try await eventually("the first is completed") { test.outcomes.all == [.init(token: 1, outcome: .fulfilled)] }
        #expect(try Kcat.consume(first, from: test.bootstrapServers).map(\.payload) == ["1"])
        #expect(try Kcat.consume(second + "-x", from: test.bootstrapServers).map(\.payload) == ["1"])
        await test.stop()
    }

    @Test("topics without a route pass, and the filters ask for no others")
    func noRoute() async throws {
        let test = try await BridgeUnderTest(routes: [try Self.route("t")])
        #expect(test.hooks.interests == [.publish])
        #expect(test.hooks.publishFilters == [try TopicFilter("t/#")])
        #expect(try test.publish("other", "1") == .proceed)
        #expect(test.figures == RouteCounters.Figures())
        await test.stop()
    }

    @Test("a topic that Kafka would not allow is refused and counted, and the next message goes on")
    func refused() async throws {
        let prefix = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(maxTopics: 2, routes: [try Self.route("\(prefix).${topic[2]}")])
        #expect(try test.publish("t/bad level", "1") == .refuse(.topicNameInvalid))
        #expect(try test.publish("t", "2") == .refuse(.topicNameInvalid))
        #expect(try test.publish("t/a", "3") == .hold)
        #expect(try test.publish("t/b", "4") == .hold)
        #expect(try test.publish("t/c", "5") == .refuse(.quotaExceeded))
        #expect(try test.publish("t/a", "6") == .hold)
        try await eventually("three are completed") { test.outcomes.fulfilled == 3 }
        #expect(test.figures.refused == [.illegalTopic: 1, .missingValue: 1, .tooManyTopics: 1])
        #expect(test.figures.received == 6 && test.figures.acknowledged == 3 && test.figures.inFlight == 0)
        await test.stop()
    }

    @Test("records with properties that a template asks for differ message by message")
    func variesByMessage() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(routes: [try Self.route(topic, key: "${user.device}")])
        for device in ["a", "b", "a"] {
            try test.publish("t/x", device, properties: PublishProperties(userProperties: [UserProperty("device", device)]))
        }
        try await test.settle()
        let records = try Kcat.consume(topic, from: test.bootstrapServers)
        #expect(records.count == 3 && records.allSatisfy { $0.key == $0.payload })
        await test.stop()
    }

    @Test("a full librdkafka queue makes records wait, in order, and none is lost")
    func queueFull() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(
            properties: ["queue.buffering.max.messages": "10", "linger.ms": "20"], routes: [try Self.route(topic)])
        var mostWaiting = 0
        for number in 0..<1_000 {
            try test.publish("t/x", "\(number)")
            mostWaiting = max(mostWaiting, try test.producer.figures.waiting)
        }
        #expect(mostWaiting > 100)
        try await test.settle()
        #expect(test.outcomes.fulfilled == 1_000)
        #expect(try Kcat.consume(topic, from: test.bootstrapServers).map(\.payload) == (0..<1_000).map(String.init))
        #expect(try test.producer.figures.waiting == 0)
        await test.stop()
    }

    @Test("a record that librdkafka itself finds too large fails at once")
    func tooLarge() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(properties: ["message.max.bytes": "5000"], routes: [try Self.route(topic)])
        try test.publish("t/x", "1")
        try test.publish("t/x", String(repeating: "x", count: 10_000))
        try test.publish("t/x", "3")
        try await test.settle()
        #expect(Set(test.outcomes.all.map(\.token)) == [1, 2, 3])
        #expect(test.outcomes.all.first { $0.token == 2 }?.outcome == .failed(.quotaExceeded))
        #expect(test.figures.failed == [.tooLarge: 1] && test.figures.acknowledged == 2)
        await test.stop()
    }

    @Test("stop sends what is on its way, and reports what it could not send")
    func stopFlushes() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(properties: ["linger.ms": "60000"], routes: [try Self.route(topic)])
        for number in 0..<500 { try test.publish("t/x", "\(number)") }
        let start = ContinuousClock.now
        #expect(await test.bridge.stop(flushSeconds: 20) == 0)
        #expect(ContinuousClock.now - start < .seconds(15))
        #expect(test.outcomes.fulfilled == 500)
        #expect(try Kcat.consume(topic, from: test.bootstrapServers).count == 500)
        #expect(await test.bridge.stop(flushSeconds: 20) == 0)
        await test.stop()
    }

    @Test("metrics add up and tell where Kafka is")
    func metrics() async throws {
        let test = try await BridgeUnderTest(routes: [try Self.route(BridgeUnderTest.freshTopic())])
        #expect(test.bridge.readiness == .ready)
        for number in 0..<10 { try test.publish("t/x", "\(number)") }
        try await test.settle()
        try await eventually("a broker is counted") { try test.producer.figures.connectedBrokers > 0 }
        func value(_ name: String, _ label: String? = nil) -> Double? {
            test.bridge.metrics().first { $0.name == name && (label == nil || $0.labels.contains { $0.value == label }) }?.value
        }
        #expect(value("headwater_kafka_records_in_total") == 10)
        #expect(value("headwater_kafka_records_total", "acknowledged") == 10)
        #expect(value("headwater_kafka_records_total", "failed") == 0)
        #expect(value("headwater_kafka_records_in_flight") == 0)
        #expect(value("headwater_kafka_record_bytes_total") == 10)
        #expect(value("headwater_kafka_cluster_up", "main") == 1)
        #expect(value("headwater_kafka_bootstrap_info", test.bootstrapServers) == 1)
        #expect((value("headwater_kafka_delivery_seconds_total") ?? 0) > 0)
        #expect(test.bridge.metrics().allSatisfy { $0.kind != .counter || $0.name.hasSuffix("_total") })
        #expect(value("headwater_kafka_records_sent_total") == 10 && value("headwater_kafka_outbox_records") == 0)
        await test.stop()
    }

    static func route(_ topic: String, key: String = "${topic}") throws -> KafkaRoute {
        KafkaRoute(
            name: "r", filters: [try TopicFilter("t/#")], cluster: "main", topic: try RecordTemplate(topic), key: try RecordTemplate(key))
    }
}
