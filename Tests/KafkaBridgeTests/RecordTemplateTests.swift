import MQTTModel
import Testing

@testable import KafkaBridge

@Suite("Record templates")
struct RecordTemplateTests {
    private static func message(_ topic: String, client: String = "pump-7", username: String? = "ann", tenant: String = "acme") -> Message {
        Message(
            topic: try! TopicName(topic),  // every caller passes a topic name
            payload: [], qos: .atLeastOnce, isRetained: true,
            properties: PublishProperties(userProperties: [UserProperty("device", "d1"), UserProperty("device", "d2")]),
            publisher: ClientInfo(
                tenant: tenant, clientID: client, username: username, protocolVersion: .v5, peerAddress: "192.0.2.1:1", listener: "l"),
            received: MessageClock(monotonicNanoseconds: 1, unixMilliseconds: 1_700_000_000_123))
    }

    @Test(
        "a placeholder is filled from the message",
        arguments: [
            ("plain", "plain"), ("${topic}", "plant/4/temp"), ("${topic[1]}", "plant"), ("${topic[3]}", "temp"),
            ("${topic[-1]}", "temp"), ("${topic[-3]}", "plant"), ("${topic[2...]}", "4/temp"), ("${topic[-2...]}", "4/temp"),
            ("${topic[-9...]}", "plant/4/temp"), ("${topic:.}", "plant.4.temp"), ("${topic[2...]:--}", "4--temp"),
            ("${topic:/}", "plant/4/temp"), ("a.${topic[2]}.z", "a.4.z"), ("${clientid}", "pump-7"), ("${username}", "ann"),
            ("${tenant}", "acme"), ("${qos}", "1"), ("${retain}", "true"), ("${timestamp}", "1700000000123"),
            ("${user.device}", "d1"), ("$${topic}", "${topic}"), ("5$$", "5$"), ("${topic[3]}${qos}", "temp1"), ("ü${qos}", "ü1"),
        ])
    func filled(template: String, text: String) throws {
        let bytes = try #require(try RecordTemplate(template).rendered(Self.message("plant/4/temp")))
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }

    @Test("a placeholder without a value is empty", arguments: ["${topic[4]}", "${topic[-4]}", "${topic[4...]}", "${user.other}", "${username}"])
    func withoutValue(template: String) throws {
        #expect(try RecordTemplate(template).rendered(Self.message("plant/4/temp", username: nil)) == nil)
    }

    @Test("empty levels are levels")
    func emptyLevels() throws {
        #expect(try RecordTemplate("<${topic[1]}|${topic[2]}|${topic[3]}|${topic[2...]}>").rendered(Self.message("/a/")) == Array("<|a||a/>".utf8))
    }

    @Test(
        "a fault in a template is named with its column",
        arguments: [
            ("", 1, TemplateError.Fault.empty), ("a$", 2, .loneDollar), ("a$b", 2, .loneDollar), ("ab${topic", 3, .unclosed),
            ("${topik}", 1, .unknownPlaceholder("topik")), ("${}", 1, .unknownPlaceholder("")), ("${topic[0]}", 1, .levelZero),
            ("${topic[]}", 1, .level("")), ("${topic[x]}", 1, .level("x")), ("${topic[1..2]}", 1, .level("1..2")),
            ("${topic[1}", 1, .level("1")), ("${topic[99999999999999999999]}", 1, .level("99999999999999999999")),
            ("${topic:}", 1, .emptySeparator), ("é${clientid:.}", 2, .unexpected(":.")), ("${topic[1]:.}", 1, .unexpected(":.")),
            ("${payload}", 1, .payloadPath("payload")), ("a${payload.}", 2, .payloadPath("payload.")), ("${payload.a..b}", 1, .payloadPath("payload.a..b")),
            ("${payload[x]}", 1, .payloadPath("payload[x]")), ("${payload[-1]}", 1, .payloadPath("payload[-1]")),
            ("${payload[1}", 1, .payloadPath("payload[1")), ("${payload[\"a}", 1, .unclosed), ("${payload.a[\"b\"]c}", 1, .payloadPath("payload.a[\"b\"]c")),
            ("${payload.a:.}", 1, .payloadPath("payload.a:.")), ("${payload[\"\\n\"]}", 1, .payloadPath("payload[\"\\n\"]")),
            ("${payload[99999999999999999999]}", 1, .payloadPath("payload[99999999999999999999]")), ("${payloads}", 1, .unknownPlaceholder("payloads")),
            ("${topic[1]x}", 1, .unexpected("x")), ("${user.}", 1, .emptyUserProperty), ("${ topic}", 1, .unknownPlaceholder(" topic")),
        ])
    func faults(template: String, position: Int, fault: TemplateError.Fault) {
        #expect(throws: TemplateError(position: position, fault: fault)) { try RecordTemplate(template) }
    }

    @Test("the text of a fault says what to write instead")
    func advice() {
        let error = TemplateError(position: 3, fault: .unknownPlaceholder("client"))
        #expect(error.description.contains("column 3") && error.description.contains("clientid"))
    }

    @Test("the smallest and largest level numbers do not trap", arguments: ["${topic[\(Int.min)]}", "${topic[\(Int.max)]}", "${topic[\(Int.min)...]}"])
    func extremes(template: String) throws {
        _ = try RecordTemplate(template).rendered(Self.message("a/b"))
    }

    @Test(
        "a topic template that can't be safe is refused at configuration",
        arguments: [
            "${topic}", "${topic[2...]}", "${topic:/}", "${topic: }", "a b", "ä", "${timestamp}", "${tenant}${topic[1]}", "__consumer_offsets",
            ".", "..", String(repeating: "a", count: 250),
        ])
    func unfitTopicTemplates(template: String) throws {
        #expect(try RecordTemplate(template).topicTemplateFault != nil)
    }

    @Test(
        "a fit topic template is accepted",
        arguments: ["telemetry", "${topic:.}", "mqtt.${topic[2...]:-}", "${tenant}.${topic[1]}", String(repeating: "a", count: 249)])
    func fitTopicTemplates(template: String) throws {
        #expect(try RecordTemplate(template).topicTemplateFault == nil)
    }

    @Test(
        "a topic that a publisher chose is used only when Kafka allows it",
        arguments: [
            ("${topic[2]}", "a/b", "b"), ("${topic:.}", "a/b/c", "a.b.c"), ("mqtt.${topic[2]}", "a/..", "mqtt..."),
            ("${topic[2]}", "a/A", "A"), ("${topic[2]}", "a/__", nil), ("${topic[2]}", "a/__consumer_offsets", nil),
            ("${topic:_}", "/_consumer_offsets", nil), ("${topic[2]}", "a/..", nil), ("${topic[2]}", "a/.", nil), ("${topic[2]}", "a/", nil),
            ("${topic[2]}", "a", nil), ("${topic[2]}", "a/b c", nil), ("${topic[2]}", "a/b%2e", nil), ("${topic[2]}", "a/bü", nil),
            ("${topic[2]}", "a/b\n", nil), ("${topic[2]}", "a/b\\", nil), ("${topic:.}", "a//b", nil),
            ("${topic[2]}", "a/" + String(repeating: "x", count: 249), String(repeating: "x", count: 249)),
            ("${topic[2]}", "a/" + String(repeating: "x", count: 250), nil),
        ])
    func topicNames(template: String, topic: String, name: String?) throws {
        #expect((try? RecordTemplate(template).topicName(for: Self.message(topic))) == name)
    }

    @Test("two MQTT topics never share a Kafka topic by way of the separator")
    func separatorInLevel() throws {
        let template = try RecordTemplate("${topic:.}")
        #expect(try template.topicName(for: Self.message("a/b/c")) == "a.b.c")
        #expect(throws: RecordRefusal.ambiguousTopic) { try template.topicName(for: Self.message("a.b/c")) }
        #expect(throws: RecordRefusal.ambiguousTopic) { try template.topicName(for: Self.message("a/b.c")) }
        let dashes = try RecordTemplate("${topic:--}")
        #expect(throws: RecordRefusal.ambiguousTopic) { try dashes.topicName(for: Self.message("a-/b")) }
    }

    @Test("a tenant can't write into another tenant's topic")
    func tenants() throws {
        let template = try RecordTemplate("${tenant}.${topic[1]}")
        #expect(try template.topicName(for: Self.message("b.x", tenant: "a")) == "a.b.x")
        #expect(throws: RecordRefusal.ambiguousTopic) { try template.topicName(for: Self.message("x", tenant: "a.b")) }
        #expect(throws: RecordRefusal.missingValue) { try template.topicName(for: Self.message("x", tenant: "")) }
    }

    @Test("no two different inputs give one Kafka topic")
    func injective() throws {
        let template = try RecordTemplate("${tenant}-.${topic:-}-.${clientid}")
        let texts = ["a", "b", ".", "-", "a-", "-a", "a.", ".a", "-.", ".-", "a-.b", "a-b", "--"]
        var seen: [String: [String]] = [:]
        for tenant in texts {
            for level in texts {
                for client in texts {
                    guard let name = try? template.topicName(for: Self.message("x/\(level)", client: client, tenant: tenant)) else { continue }
                    seen[name, default: []].append("\(tenant) \(level) \(client)")
                }
            }
        }
        #expect(seen.count > 100)
        #expect(seen.values.allSatisfy { $0.count == 1 }, "\(seen.filter { $1.count > 1 })")
    }
}

/// For a template alone: reads the payload for what it asks.
extension RecordTemplate {
    func rendered(_ message: Message) -> [UInt8]? { rendered(message, PayloadValues(of: message, at: PayloadTree(payloadPaths))) }

    func topicName(for message: Message) throws(RecordRefusal) -> String {
        try topicName(for: message, PayloadValues(of: message, at: PayloadTree(payloadPaths)))
    }
}
