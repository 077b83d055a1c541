import MQTTModel
import Testing

@testable import KafkaBridge

/// Templates and properties, without Kafka.
@Suite("An inbound route's templates")
struct InboundRendererTests {
    static let record = InboundRecord(
        topic: "plant.commands", partition: 3, offset: 7, timestamp: 1_700_000_000_123, key: Array("pump-7".utf8),
        value: Array(#"{"site": "north", "n": 4, "odd name": {"a}": true}, "none": null}"#.utf8),
        headers: [.init(name: "line", value: Array("l1".utf8)), .init(name: "line", value: Array("l2".utf8)), .init(name: "raw", value: [0xFF])])

    static func route(_ template: String) throws -> KafkaInboundRoute {
        KafkaInboundRoute(name: "r", cluster: "c", topics: ["t"], topic: try InboundTemplate(template))
    }

    static func topic(_ template: String, _ record: InboundRecord = record) throws -> String {
        var renderer = InboundRenderer(try route(template), broker: "b-1")
        return try renderer.message(of: record).topic
    }

    @Test(
        "give the record's parts",
        arguments: [
            ("a/${kafka.topic}/${kafka.partition}", "a/plant.commands/3"), ("${key}", "pump-7"), ("${header.line}/x", "l1/x"),
            ("${value.site}/${value.n}", "north/4"), (#"${value["odd name"]["a}"]}"#, "true"), ("t/${timestamp}", "t/1700000000123"),
            ("cost-$$", "cost-$"),
        ])
    func parts(template: String, topic: String) throws { #expect(try Self.topic(template) == topic) }

    @Test(
        "refuse what gives no topic",
        arguments: [
            ("${header.none}", InboundRefusal.missingValue), ("${value.none}", .missingValue), ("${value.absent}/a", .missingValue),
            ("${header.raw}", .illegalTopic),
        ])
    func refused(template: String, refusal: InboundRefusal) throws {
        #expect(throws: refusal) { try Self.topic(template) }
    }

    @Test(
        "refuse hostile keys",
        arguments: [
            ("#", InboundRefusal.illegalTopic), ("a/+", .illegalTopic), ("a\0b", .illegalTopic), ("$SYS/broker", .reservedTopic),
            ("$share/g/a", .reservedTopic), (String(repeating: "x", count: 65_536), .illegalTopic), (String(repeating: "/", count: 200), .illegalTopic),
            ("", .missingValue),
        ])
    func hostile(key: String, refusal: InboundRefusal) throws {
        var record = Self.record
        record.key = Array(key.utf8)
        #expect(throws: refusal) { try Self.topic("${key}", record) }
        record.key = nil
        #expect(throws: InboundRefusal.missingValue) { try Self.topic("${key}", record) }
    }

    @Test("a value that is no JSON is refused where the template asks for its parts, and taken where not")
    func noJSON() throws {
        var record = Self.record
        record.value = Array("{".utf8)
        #expect(throws: InboundRefusal.valueNotJSON) { try Self.topic("${value.site}", record) }
        #expect(try Self.topic("a", record) == "a")
        record.value = nil
        #expect(throws: InboundRefusal.valueNotJSON) { try Self.topic("${value.site}", record) }
    }

    @Test("are refused at configuration with the column of the fault", arguments: [
        ("", "column 1: the template is empty"), ("a/$x", "column 3: a $ begins"), ("${key", "column 1: the placeholder has no closing }"),
        ("a/${topic}", "column 3: there is no placeholder ${topic}; there are kafka.topic"), ("${header.}", "column 1: ${header.} lacks"),
        ("${value}", "column 1: value is no place in a JSON value"),
    ])
    func faults(template: String, text: String) {
        let error = #expect(throws: TemplateError.self) { try InboundTemplate(template) }
        #expect(error?.description.hasPrefix(text) == true, "\(error?.description ?? "")")
    }

    @Test("user properties are bounded in number and size, text alone, and none takes the bridge's place")
    func bounded() throws {
        var record = Self.record
        record.headers = (0..<100).map { .init(name: "h\($0)", value: Array("v".utf8)) }
        record.headers.insert(.init(name: "big", value: [UInt8](repeating: 65, count: 60_000)), at: 0)
        record.headers.insert(.init(name: "", value: [65]), at: 0)
        record.headers.append(.init(name: HopList.name, value: Array("b-2".utf8)))
        var renderer = InboundRenderer(try Self.route("a"), broker: "b-1")
        let properties = try renderer.message(of: record).properties.userProperties
        #expect(properties.count == InboundRenderer.maxUserProperties)
        #expect(properties.prefix(3).map(\.name) == [HopList.name, "kafka.key", "h0"])
    }

    @Test("a configuration that can't work is refused, each fault with its mend")
    func configuration() throws {
        func faults(_ change: (inout KafkaInboundRoute) throws -> Void) throws -> [String] {
            var route = try Self.route("a/${key}")
            try change(&route)
            return KafkaConfiguration(clusters: [KafkaCluster(name: "c", bootstrapServers: "k:1")], routes: [], inbound: [route]).validate().map(\.description)
        }
        #expect(try faults { _ in } == [])
        #expect(try faults { $0.topics = ["^plant-.*"] } == [])
        for (part, change): (String, (inout KafkaInboundRoute) throws -> Void) in [
            ("no Kafka topics", { $0.topics = [] }), ("no name that Kafka allows", { $0.topics = ["a b"] }), ("no cluster", { $0.cluster = "x" }),
            ("has a wildcard", { $0.topic = try InboundTemplate("a/#") }), ("begins with $", { $0.topic = try InboundTemplate("$$SYS/${key}") }),
            ("max_hops", { $0.maxHops = 99 }), ("without /", { $0.name = "a/b" }), ("write it as the route's group", { $0.properties = ["group.id": "x"] }),
            ("No such configuration property", { $0.properties = ["nonsense": "x"] }),
        ] {
            let found = try faults(change)
            #expect(found.count == 1 && found[0].contains(part), "\(found)")
        }
    }
}
