import MQTTModel

/// A text with placeholders that makes a Kafka topic, a key, a header, a partition or a value out of an MQTT message.
/// Parsed once, at configuration; rendering is a copy of bytes.
///
/// | placeholder | value |
/// |---|---|
/// | `${topic}` | the topic name; `${topic:.}` with its levels joined by `.` instead of `/` |
/// | `${topic[2]}` | its second level; `${topic[-1]}` the last |
/// | `${topic[2...]}` | its second level and all after it; `${topic[2...]:-}` joined by `-` |
/// | `${clientid}`, `${username}`, `${tenant}` | of the publisher |
/// | `${qos}`, `${retain}` | `0` to `2`; `true` or `false`, as published |
/// | `${timestamp}` | when the broker received it, in milliseconds since 1970-01-01T00:00:00Z |
/// | `${user.NAME}` | the first user property with that name |
/// | `${payload.a.b}` | what stands there in a JSON payload: a text, number, `true` or `false` (`PayloadPath`) |
/// | `$$` | a dollar sign |
///
/// The separator of a joined topic may stand inside the braces (`${topic:.}`, `${topic[2...]:-}`) only.
public struct RecordTemplate: Sendable, Hashable, CustomStringConvertible {
    enum Part: Hashable, Sendable {
        case literal([UInt8])
        /// From 1, negative from the end.
        case level(Int)
        case levels(from: Int, separator: [UInt8])
        case clientID, username, tenant, qos, retain, timestamp
        case userProperty(String)
        case payload(PayloadPath)

        var isPlaceholder: Bool { if case .literal = self { false } else { true } }
    }

    /// The template as it was written.
    public let text: String
    let parts: [Part]

    /// - Throws: `TemplateError` with the column and what to write instead.
    public init(_ text: String) throws(TemplateError) {
        self.text = text
        self.parts = try Self.parse(text)
    }

    private init(text: String, parts: [Part]) {
        self.text = text
        self.parts = parts
    }

    /// `${topic}`: the MQTT topic as it is. As a key it keeps the order of each MQTT topic.
    public static let mqttTopic = RecordTemplate(text: "${topic}", parts: [.levels(from: 1, separator: [slash])])

    public var description: String { text }

    /// Whether two messages of one client with equal topic, QoS and RETAIN may give different texts.
    var variesByMessage: Bool {
        parts.contains {
            switch $0 {
            case .timestamp, .userProperty, .payload: true
            default: false
            }
        }
    }

    /// Whether the template has a placeholder, so that messages can give different texts at all.
    var hasPlaceholder: Bool { parts.contains(where: \.isPlaceholder) }

    /// What `PayloadValues` must have been read for.
    var payloadPaths: [PayloadPath] { parts.compactMap { if case .payload(let path) = $0 { path } else { nil } } }

    /// The text for `message`; `nil` where it is empty. A placeholder without a value (no such level, no user name)
    /// gives nothing.
    /// - Parameter payload: Read for the template's `payloadPaths`, and perhaps more.
    func rendered(_ message: Message, _ payload: PayloadValues) -> [UInt8]? {
        var out: [UInt8] = []
        for part in parts { append(part, of: message, payload, to: &out) }
        return out.isEmpty ? nil : out
    }

    func append(_ part: Part, of message: Message, _ payload: PayloadValues, to out: inout [UInt8]) {
        switch part {
        case .literal(let bytes): out += bytes
        case .level(let number):
            message.withParts { topic, _, _ in
                if let level = Levels(topic)[number] { out += level }
            }
        case .levels(let first, let separator):
            message.withParts { topic, _, _ in
                var isFirst = true
                Levels(topic).forEach(from: first) { level in
                    if !isFirst { out += separator }
                    out += level
                    isFirst = false
                }
            }
        case .clientID: out += (message.publisher?.clientID ?? "").utf8
        case .username: out += (message.publisher?.username ?? "").utf8
        case .tenant: out += (message.publisher?.tenant ?? "").utf8
        case .qos: out += message.qos.description.utf8
        case .retain: out += (message.isRetained ? "true" : "false").utf8
        case .timestamp: out += String(message.received.unixMilliseconds).utf8
        case .userProperty(let name):
            if let property = message.properties.userProperties.first(where: { $0.name == name }) { out += property.value.utf8 }
        case .payload(let path): out += payload[path] ?? []
        }
    }

    static let slash = UInt8(ascii: "/")
}

/// The levels of a topic name, found in place.
struct Levels {
    private let topic: UnsafeRawBufferPointer

    init(_ topic: UnsafeRawBufferPointer) { self.topic = topic }

    /// Level `number`, from 1, or negative from the end; `nil` where the topic is shorter.
    subscript(number: Int) -> UnsafeRawBufferPointer? {
        guard let wanted = position(number) else { return nil }
        var found: UnsafeRawBufferPointer?
        forEach(from: wanted, upTo: wanted) { found = $0 }
        return found
    }

    /// Calls `body` with level `first` and all after it; from the beginning where a negative number reaches beyond it.
    func forEach(from first: Int, upTo last: Int = .max, _ body: (UnsafeRawBufferPointer) -> Void) {
        let from = position(first) ?? (first < 0 ? 1 : .max)
        var number = 1
        var start = 0
        for index in 0...topic.count where index == topic.count || topic[index] == RecordTemplate.slash {
            if number > last { return }
            if number >= from { body(UnsafeRawBufferPointer(rebasing: topic[start..<index])) }
            number += 1
            start = index + 1
        }
    }

    private func position(_ number: Int) -> Int? {
        if number > 0 { return number }
        let fromStart = TopicName.levelCount(topic) + 1 + number
        return fromStart > 0 ? fromStart : nil
    }
}
