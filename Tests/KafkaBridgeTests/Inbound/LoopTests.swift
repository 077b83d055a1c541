import BrokerTestKit
import MQTTModel
import MQTTWire
import Testing

@testable import KafkaBridge

/// What goes from MQTT to Kafka and back ends.
@Suite("Loops between MQTT and Kafka")
struct LoopTests {
    private static func record(_ hops: String...) -> InboundRecord {
        InboundRecord(
            topic: "t", partition: 0, offset: 0, key: [65], value: [66], headers: hops.map { .init(name: HopList.name, value: Array($0.utf8)) })
    }

    @Test("a record that this broker wrote is not published by it again")
    func ended() async throws {
        let test = try InboundUnderTest()
        test.outbound = [
            KafkaRoute(
                name: "out", filters: [try TopicFilter("commands/#")], cluster: "main", topic: try RecordTemplate(test.topic),
                key: try RecordTemplate("${topic[2]}"))
        ]
        test.brokerName = "b-1"
        try await test.start()
        let client = try await test.receiver("client")
        for number in 0..<10 {
            var publish = Publish(topic: "commands/a", payload: Array("\(number)".utf8), qos: .atLeastOnce, retain: false, packetID: UInt16(number + 1))
            publish.properties.userProperties = [UserProperty(HopList.name, "forged")]
            try await client.publish(publish)
        }
        try test.source.write(test.topic, "foreign", key: "a", headers: [(HopList.name, "b-2")])
        try test.source.write(test.topic, "far", key: "a", headers: [(HopList.name, "b-2,b-3")])
        try test.source.flush()
        try await test.read(12)
        #expect(test.figures.skipped == [.looped: 11] && test.figures.published == 1)
        let received = try await client.messages(11)
        let foreign = try #require(received.first { $0.payload == Array("foreign".utf8) })
        #expect(foreign.properties.userProperties.first == UserProperty(HopList.name, "b-2"))
        let written = try Kcat.consume(test.topic, from: test.bootstrapServers).filter { $0.header("mqtt.topic") != nil }
        #expect(written.count == 10 && written.allSatisfy { $0.header(HopList.name) == "b-1" && !$0.headers.contains("forged") })
        await test.stop()
    }

    @Test("only the bridge's own messages bring a list of brokers, which is extended")
    func trusted() throws {
        let route = KafkaRoute(name: "r", filters: [], cluster: "c", topic: .mqttTopic)
        let properties = PublishProperties(userProperties: [UserProperty(HopList.name, "b-2"), UserProperty("unit", "C")])
        func hops(_ publisher: ClientInfo?) throws -> [String] {
            let message = Message(topic: try TopicName("a"), payload: [], properties: properties, publisher: publisher)
            let headers = RecordHeaders(route: route.headers, message: message, broker: "b,1")
            return (headers.shared + headers.own(of: message)).filter { $0.name == HopList.name }.map { String(decoding: $0.value, as: UTF8.self) }
        }
        #expect(try hops(nil) == ["b-2,b_1"])
        #expect(try hops(BridgeIdentity.publisher(route: "in", tenant: "acme")) == ["b-2,b_1"])
        #expect(try hops(BridgeUnderTest.client("pump")) == ["b_1"])
    }

    @Test("a list is believed up to what the route allows, and no further")
    func limits() {
        func isAllowed(_ record: InboundRecord, _ maxHops: Int = 1) -> Bool { HopList(of: record).isAllowed(at: "b-1", maxHops: maxHops) }
        #expect(isAllowed(Self.record()) && isAllowed(Self.record(), 0))
        #expect(isAllowed(Self.record("b-2")) && !isAllowed(Self.record("b-2"), 0))
        #expect(!isAllowed(Self.record("b-1")) && !isAllowed(Self.record("b-2,b-1"), 5) && !isAllowed(Self.record("b-2", "b-1"), 5))
        #expect(isAllowed(Self.record("b-2,b-3"), 2) && !isAllowed(Self.record("b-2,b-3,b-4"), 2))
        #expect(!isAllowed(Self.record(String(repeating: "x,", count: 100)), 16))
        #expect(!isAllowed(Self.record(String(repeating: "x", count: 10_000)), 16))
        #expect(HopList(of: Self.record("b-2", "b-3")).extended(by: "b-1") == "b-2,b-3,b-1")
    }
}
