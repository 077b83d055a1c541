import Foundation
import Logging
import MQTTModel
import Testing

@testable import KafkaBridge

@Suite("Records as a route makes them")
struct RecordRendererTests {
    private static func message(
        _ topic: String = "plant/4", _ payload: String = "", tenant: String = "acme", username: String? = "ann", properties: [UserProperty] = [],
        isOfBroker: Bool = false
    ) throws -> Message {
        Message(
            topic: try TopicName(topic), payload: Array(payload.utf8), qos: .atLeastOnce, properties: PublishProperties(userProperties: properties),
            publisher: isOfBroker
                ? nil
                : ClientInfo(
                    tenant: tenant, clientID: "pump-7", username: username, protocolVersion: .v5, peerAddress: "192.0.2.1:1", listener: "l"),
            received: MessageClock(monotonicNanoseconds: 1, unixMilliseconds: 1_700_000_000_123))
    }

    private static func route(_ topic: String = "t", _ change: (inout KafkaRoute) throws -> Void = { _ in }) throws -> KafkaRoute {
        var route = KafkaRoute(name: "r", filters: [try TopicFilter("#")], cluster: "c", topic: try RecordTemplate(topic))
        try change(&route)
        return route
    }

    private static func render(_ route: KafkaRoute, _ message: Message) throws -> RenderedRecord { try RecordRenderer(route).render(message) }

    private static func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    // MARK: - Payload values

    @Test("topic, key, headers, partition, time and value come out of one payload")
    func everything() throws {
        let route = try Self.route("plant-${payload.site}") {
            $0.key = try RecordTemplate("${payload.device.id}/${topic[2]}")
            $0.headers = [.init("unit", try RecordTemplate("${payload.readings[0].unit}")), .init("none", try RecordTemplate("${payload.none}"))]
            $0.partition = try RecordTemplate("${payload.part}")
            $0.timestamp = try RecordTimestamp("payload.time", unit: .seconds)
            $0.value = try RecordValue("${payload.readings[0].value} ${payload[\"odd }\"]}$$")
        }
        let message = try Self.message(
            "plant/4", #"{"site":"nord","device":{"id":17},"readings":[{"unit":"bar","value":2.50}],"part":"3","time":1600000000.5,"odd }":true}"#)
        let record = try Self.render(route, message)
        #expect(record.topic == "plant-nord")
        #expect(Self.text(record.key) == "17/4")
        #expect(record.partition == 3)
        #expect(record.timestamp(of: message) == 1_600_000_000_500)
        #expect(Self.text(record.value(of: message)) == "2.50 true$")
        let fields = record.headers.fields(for: message)
        #expect(fields.map(\.name) == ["mqtt.topic", "mqtt.clientid", "mqtt.username", "mqtt.qos", "mqtt.retain", "unit"])
        #expect(Self.text(fields.last?.value) == "bar")
    }

    @Test("a payload that is no JSON, or lacks the value, is refused where the topic needs it, and only there")
    func topicNeedsPayload() throws {
        let topic = try Self.route("t-${payload.a}")
        for payload in ["", "plain", "{", "\u{FEFF}{\"a\":1}"] {
            #expect(throws: RecordRefusal.payloadNotJSON) { try Self.render(topic, Self.message("plant/4", payload)) }
        }
        for payload in ["{}", #"{"a":null}"#, #"{"a":""}"#, #"{"a":[1]}"#, "[]"] {
            #expect(throws: RecordRefusal.missingPayloadValue) { try Self.render(topic, Self.message("plant/4", payload)) }
        }
        let key = try Self.route { $0.key = try RecordTemplate("${payload.a}") }
        #expect(try Self.render(key, Self.message("plant/4", "plain")).key == nil)
    }

    @Test(
        "a value of the payload that makes no legal Kafka topic is refused",
        arguments: [#"a b"#, #"a/b"#, #"..\u002f"#, #"a\u0000"#, #"ü"#, #"a\nb"#, String(repeating: "x", count: 250), String(repeating: "x", count: 100_000)])
    func illegalTopics(value: String) throws {
        #expect(throws: RecordRefusal.illegalTopic) { try Self.render(Self.route("t.${payload.a}"), Self.message("plant/4", #"{"a":"\#(value)"}"#)) }
    }

    // MARK: - Another tenant's topics

    @Test(
        "a device of tenant a reaches no topic that tenant a.b or b has",
        arguments: ["b.x", "../b.x", "b", ".b", "b.", "..", "__consumer_offsets", "a.b", ".b.x", "-b", "x", "\u{2024}b", "a/b"])
    func tenants(chosen: String) throws {
        for template in ["${tenant}.${payload.kind}", "${tenant}.${topic[1]}.${payload.kind}", "${payload.kind}.${tenant}", "${payload.kind}.${topic[1]}.${tenant}"] {
            func names(_ tenant: String, _ values: [String]) throws -> Set<String> {
                var names: Set<String> = []
                for level in values where !level.contains("/") {
                    for kind in values {
                        let message = try Self.message(level, #"{"kind":"\#(kind)"}"#, tenant: tenant)
                        if let record = try? Self.render(Self.route(template), message) { names.insert(record.topic) }
                    }
                }
                return names
            }
            let values = [chosen, "x", "b", "b.x", "a"]
            let own = try names("a", values)
            for other in ["b", "a.b", "b.a", "x.a", "a."] { #expect(own.isDisjoint(with: try names(other, values)), "\(template), \(other)") }
        }
    }

    @Test("a topic that the route's list does not have is refused, whatever a device makes of the template")
    func allowedTopics() throws {
        let route = try Self.route("${tenant}.${payload.kind}") { $0.allowedTopics = [try KafkaTopicPattern("acme.*"), try KafkaTopicPattern("b.alarm")] }
        #expect(try Self.render(route, Self.message("plant/4", #"{"kind":"x"}"#)).topic == "acme.x")
        #expect(try Self.render(route, Self.message("plant/4", #"{"kind":"alarm"}"#, tenant: "b")).topic == "b.alarm")
        #expect(throws: RecordRefusal.topicNotAllowed) { try Self.render(route, Self.message("plant/4", #"{"kind":"alarms"}"#, tenant: "b")) }
        #expect(throws: RecordRefusal.topicNotAllowed) { try Self.render(route, Self.message("plant/4", #"{"kind":"x"}"#, tenant: "acmes")) }
        #expect(throws: RecordRefusal.ambiguousTopic) { try Self.render(route, Self.message("plant/4", #"{"kind":"x"}"#, tenant: "acme.b")) }
    }

    @Test(
        "a pattern's star stands for any text, none included",
        arguments: [
            ("a", "a", true), ("a", "ab", false), ("a*", "a", true), ("a*", "a.b-c", true), ("*a", "ba", true), ("*a", "ab", false), ("*", "x", true),
            ("a*b*c", "a.b.b.c", true), ("a*b*c", "acb", false), ("**", "x", true), ("a.*", "ab", false), ("a.*.z", "a..z", true), ("a.*.z", "a.z", false),
        ])
    func patterns(pattern: String, topic: String, matches: Bool) throws {
        #expect(try KafkaTopicPattern(pattern).matches(topic) == matches)
    }

    @Test("a pattern that could match no Kafka topic is refused", arguments: ["", "a b", "a?", "ü", "a/*"])
    func wrongPatterns(pattern: String) {
        #expect(throws: KafkaTopicPattern.Fault.self) { try KafkaTopicPattern(pattern) }
    }

    // MARK: - Value

    @Test("the JSON envelope holds where the message came from, and a payload that is JSON as it is")
    func envelope() throws {
        let route = try Self.route { $0.value = .json }
        let properties = [UserProperty("unit", "bar"), UserProperty("unit", "a\"b\\\n\u{1}ü")]
        let message = try Self.message("plant/\"4\"", #" {"p": [21.50]} "#, properties: properties)
        #expect(
            Self.text(try Self.render(route, message).value(of: message)) == #"{"topic":"plant/\"4\"","client":"pump-7","username":"ann","tenant":"acme","qos":1,"#
                + #""retain":false,"timestamp":1700000000123,"properties":[["unit","bar"],["unit","a\"b\\\n\u0001ü"]],"payload": {"p": [21.50]} }"#)
        let bare = try Self.message("t", "no JSON", isOfBroker: true)
        #expect(
            Self.text(try Self.render(route, bare).value(of: bare)) == #"{"topic":"t","client":null,"username":null,"tenant":null,"qos":1,"#
                + #""retain":false,"timestamp":1700000000123,"properties":[],"payload_base64":"bm8gSlNPTg=="}"#)
    }

    @Test("the envelope is JSON for Foundation too, and gives any payload back")
    func envelopeOfAnything() throws {
        var random = SplitMix(state: 3)
        let renderer = RecordRenderer(try Self.route { $0.value = .json })
        for count in 0..<200 {
            let payload = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let message = Message(topic: try TopicName("a\u{1}\"\u{7f}\u{2028}"), payload: payload)
            let value = Data(try renderer.render(message).value(of: message))
            let object = try #require(try JSONSerialization.jsonObject(with: value) as? [String: Any])
            #expect(object["topic"] as? String == "a\u{1}\"\u{7f}\u{2028}")
            if object["payload"] == nil { #expect((object["payload_base64"] as? String).flatMap { Data(base64Encoded: $0) } == Data(payload)) }
        }
    }

    @Test("a value template that comes out empty is an empty value, and the plain payload is not copied")
    func values() throws {
        let message = try Self.message("plant/4", "plain")
        #expect(try Self.render(Self.route { $0.value = try RecordValue("${payload.a}") }, message).value == [])
        let plain = try Self.render(Self.route(), message)
        #expect(plain.value == nil && Self.text(plain.value(of: message)) == "plain")
    }

    // MARK: - Time

    @Test(
        "a time is read in the unit that is declared",
        arguments: [
            ("1700000000123", RecordTimestamp.Unit.milliseconds, 1_700_000_000_123), ("1700000000123.9", .milliseconds, 1_700_000_000_123),
            ("0", .milliseconds, 0), ("1700000000", .seconds, 1_700_000_000_000), ("1700000000.123", .seconds, 1_700_000_000_123),
            ("1.7e9", .seconds, 1_700_000_000_000), ("1700000000123456", .microseconds, 1_700_000_000_123),
            ("1700000000123999999", .nanoseconds, 1_700_000_000_123), ("2023-11-14T22:13:20Z", .rfc3339, 1_700_000_000_000),
            ("2023-11-15T00:13:20.123456+02:00", .rfc3339, 1_700_000_000_123), ("2023-11-14t14:13:20.5-08:00", .rfc3339, 1_700_000_000_500),
            ("2024-02-29 00:00:00z", .rfc3339, 1_709_164_800_000), ("1970-01-01T00:00:00Z", .rfc3339, 0), ("2000-02-29T12:00:00Z", .rfc3339, 951_825_600_000),
            ("2016-12-31T23:59:60Z", .rfc3339, 1_483_228_800_000), ("9999-12-31T23:59:59.999Z", .rfc3339, 253_402_300_799_999),
        ] as [(String, RecordTimestamp.Unit, Int64)])
    func times(text: String, unit: RecordTimestamp.Unit, milliseconds: Int64) {
        #expect(RecordTimestamp.milliseconds(Array(text.utf8), unit) == milliseconds)
    }

    @Test(
        "what is no time from 1970 to 9999 is none",
        arguments: [
            ("", RecordTimestamp.Unit.milliseconds), ("-1", .milliseconds), ("true", .milliseconds), ("nan", .seconds), ("inf", .seconds), ("0x10", .seconds),
            ("1e300", .seconds), ("1e999", .seconds), ("9223372036854775807", .seconds), ("1700000000123456", .milliseconds), ("253402300800000", .milliseconds),
            ("1 ", .seconds), ("2023-11-14T22:13:20", .rfc3339), ("2023-13-01T00:00:00Z", .rfc3339), ("2023-02-29T00:00:00Z", .rfc3339),
            ("2100-02-29T00:00:00Z", .rfc3339), ("2023-11-14T24:00:00Z", .rfc3339), ("2023-11-14T22:13:20.Z", .rfc3339), ("2023-11-14T22:13:20Zx", .rfc3339),
            ("1969-12-31T23:59:59Z", .rfc3339), ("1700000000", .rfc3339), ("2023-11-14T22:13:20+2:00", .rfc3339), ("2023-11-00T22:13:20Z", .rfc3339),
        ])
    func noTimes(text: String, unit: RecordTimestamp.Unit) {
        #expect(RecordTimestamp.milliseconds(Array(text.utf8), unit) == nil)
    }

    @Test("a record without a sound time in its payload has the time of receipt, and says so")
    func timestampFallback() throws {
        let route = try Self.route { $0.timestamp = try RecordTimestamp("payload.t") }
        for payload in ["", "{}", #"{"t":"soon"}"#, #"{"t":-1}"#, #"{"t":null}"#] {
            let message = try Self.message("plant/4", payload)
            let record = try Self.render(route, message)
            #expect(record.lacksTimestamp && record.timestamp(of: message) == 1_700_000_000_123)
        }
        let message = try Self.message("plant/4", #"{"t":"5"}"#)
        #expect(try Self.render(route, message).timestamp(of: message) == 5 && !Self.render(route, message).lacksTimestamp)
        #expect(try !Self.render(Self.route(), message).lacksTimestamp)
    }

    // MARK: - Partition

    @Test("the partition is a number; empty leaves it to the key; anything else is refused")
    func partition() throws {
        let route = try Self.route { $0.partition = try RecordTemplate("${user.p}") }
        func partition(_ text: String) throws -> Int32? { try Self.render(route, Self.message(properties: [UserProperty("p", text)])).partition }
        #expect(try partition("0") == 0)
        #expect(try partition("007") == 7)
        #expect(try partition("2147483647") == .max)
        #expect(try partition("") == nil)
        for text in ["-1", "+1", "2147483648", "99999999999999999999", "1.0", "1e2", " 1", "two", "١"] {
            #expect(throws: RecordRefusal.invalidPartition) { try partition(text) }
        }
        #expect(try Self.render(Self.route { $0.partition = try RecordTemplate("4") }, Self.message()).partition == 4)
    }

    // MARK: - What may be cached

    @Test("only options that ask for what a message brings itself keep a route from being filled in once")
    func caching() throws {
        #expect(try !Self.route().variesByMessage)
        #expect(try !Self.route { $0.partition = try RecordTemplate("3") }.variesByMessage)
        #expect(try !Self.route { $0.value = try RecordValue("${clientid}") }.variesByMessage)
        #expect(try !Self.route { $0.allowedTopics = [try KafkaTopicPattern("t")] }.variesByMessage)
        #expect(try Self.route { $0.value = .json }.variesByMessage)
        #expect(try Self.route { $0.value = try RecordValue("${payload.a}") }.variesByMessage)
        #expect(try Self.route { $0.partition = try RecordTemplate("${payload.a}") }.variesByMessage)
        #expect(try Self.route { $0.timestamp = try RecordTimestamp("payload.t") }.variesByMessage)
        #expect(try Self.route { $0.startsTraces = true }.variesByMessage)
        #expect(try Self.route("t-${payload.a}").variesByMessage)
    }

    @Test("an excluded topic does not take the route")
    func excluded() throws {
        let configuration = try Self.route {
            $0.filters = [try TopicFilter("plant/#")]
            $0.excluded = [try TopicFilter("plant/+/debug"), try TopicFilter("plant/9/#")]
        }
        let producer = KafkaProducer(cluster: KafkaCluster(name: "c", bootstrapServers: "127.0.0.1:1"), logger: .init(label: "test"))
        let route = Route(configuration: configuration, producer: producer, logger: .init(label: "test"))
        #expect(["plant", "plant/4", "plant/4/debug/x"].allSatisfy(route.matches))
        #expect(!["plant/4/debug", "plant/9", "plant/9/x", "other"].contains(where: route.matches))
    }

    // MARK: - Traces

    private static let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    private static func traces(_ route: KafkaRoute, _ properties: [UserProperty]) throws -> [String] {
        let message = try message(properties: properties)
        return try render(route, message).headers.fields(for: message).filter { $0.name.hasPrefix("trace") }.map { "\($0.name)=\(text($0.value) ?? "")" }
    }

    @Test("a sound trace of the publisher's is passed on unchanged, with or without trace: true", arguments: [true, false])
    func tracePassesOn(startsTraces: Bool) throws {
        let route = try Self.route { $0.startsTraces = startsTraces }
        let properties = [UserProperty("traceparent", Self.parent), UserProperty("tracestate", "a=1,b=2")]
        #expect(try Self.traces(route, properties) == ["traceparent=\(Self.parent)", "tracestate=a=1,b=2"])
    }

    @Test(
        "an unsound traceparent is left out, and its tracestate with it",
        arguments: [
            "", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g", "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        ])
    func unsoundTrace(parent: String) throws {
        let properties = [UserProperty("traceparent", parent), UserProperty("tracestate", "a=1")]
        #expect(try Self.traces(Self.route(), properties) == [])
        let made = try Self.traces(Self.route { $0.startsTraces = true }, properties)
        #expect(made.count == 1 && TraceContext.isSound(parent: String(made[0].dropFirst("traceparent=".count))))
    }

    @Test("a later version of the format is sound with more fields, and two parents are none")
    func otherTraces() throws {
        #expect(TraceContext.isSound(parent: "01" + Self.parent.dropFirst(2) + "-more"))
        #expect(try Self.traces(Self.route(), [UserProperty("traceparent", Self.parent), UserProperty("traceparent", Self.parent)]) == [])
        #expect(try Self.traces(Self.route(), [UserProperty("traceparent", Self.parent), UserProperty("tracestate", "ü")]) == ["traceparent=\(Self.parent)"])
    }

    @Test("with trace: true each message gets a trace of its own; without, none")
    func newTraces() throws {
        let route = try Self.route { $0.startsTraces = true }
        let made = try (0..<100).map { _ in try Self.traces(route, []) }
        #expect(Set(made).count == 100)
        #expect(made.allSatisfy { $0.count == 1 && $0[0].hasPrefix("traceparent=00-") && $0[0].hasSuffix("-01") })
        #expect(try Self.traces(Self.route(), []) == [])
    }
}

extension RecordHeaders {
    /// All headers of one record.
    func fields(for message: Message) -> [(name: String, value: [UInt8])] { (shared + own(of: message)).map { ($0.name, $0.value) } }
}
