/// A text with placeholders that makes an MQTT topic or a tenant out of a Kafka record. Parsed once, at configuration.
///
/// | placeholder | value |
/// |---|---|
/// | `${kafka.topic}`, `${kafka.partition}` | where the record stands |
/// | `${key}` | its key; it must be UTF-8 |
/// | `${header.NAME}` | the first header with that name |
/// | `${value.a.b}` | what stands there in a JSON value: a text, number, `true` or `false` (`PayloadPath`) |
/// | `${timestamp}` | the record's, in milliseconds since 1970-01-01T00:00:00Z |
/// | `$$` | a dollar sign |
public struct InboundTemplate: Sendable, Hashable, CustomStringConvertible {
    enum Part: Hashable, Sendable {
        case literal([UInt8])
        case kafkaTopic, partition, key, timestamp
        case header(String)
        case value(PayloadPath)
    }

    /// The template as it was written.
    public let text: String
    let parts: [Part]

    /// - Throws: `TemplateError` with the column and what to write instead.
    public init(_ text: String) throws(TemplateError) {
        self.text = text
        parts = try RecordTemplate.scan(text, quoting: ["value.", "value["], literal: Part.literal, placeholder: Self.placeholder)
    }

    public var description: String { text }

    private static func placeholder(_ content: String, at position: Int) throws(TemplateError) -> Part {
        switch content {
        case "kafka.topic": return .kafkaTopic
        case "kafka.partition": return .partition
        case "key": return .key
        case "timestamp": return .timestamp
        default: break
        }
        if content.hasPrefix("header.") {
            let name = String(content.dropFirst(7))
            if name.isEmpty { throw TemplateError(position: position, fault: .emptyHeader) }
            return .header(name)
        }
        if content == "value" || content.hasPrefix("value.") || content.hasPrefix("value[") {
            guard let path = try? PayloadPath("payload" + content.dropFirst(5)) else {
                throw TemplateError(position: position, fault: .valuePath(content))
            }
            return .value(path)
        }
        throw TemplateError(position: position, fault: .unknownInboundPlaceholder(content))
    }

    /// What `PayloadValues` must have been read for.
    var valuePaths: [PayloadPath] { parts.compactMap { if case .value(let path) = $0 { path } else { nil } } }

    /// Why no record can give an MQTT topic; `nil`: some may.
    var topicFault: String? {
        for (index, part) in parts.enumerated() {
            guard case .literal(let bytes) = part else { continue }
            if bytes.contains(UInt8(ascii: "#")) || bytes.contains(UInt8(ascii: "+")) { return "has a wildcard, which a message's topic can't have" }
            if bytes.contains(0) { return "has a character that a topic can't have" }
            if index == 0, bytes.first == UInt8(ascii: "$") { return "begins with $, as the broker's own topics do" }
        }
        return nil
    }

    /// The text for `record`.
    /// - Parameter values: Read for the template's `valuePaths`, and perhaps more.
    /// - Throws: `InboundRefusal` where a placeholder has no value: topics with a hole in them would be shared by different records.
    func rendered(_ record: InboundRecord, _ values: PayloadValues) throws(InboundRefusal) -> [UInt8] {
        var out: [UInt8] = []
        for part in parts {
            let before = out.count
            switch part {
            case .literal(let bytes):
                out += bytes
                continue
            case .kafkaTopic: out += record.topic.utf8
            case .partition: out += String(record.partition).utf8
            case .timestamp: if let timestamp = record.timestamp { out += String(timestamp).utf8 }
            case .key: out += record.key ?? []
            case .header(let name): out += record.headers.first { $0.name == name }?.value ?? []
            case .value(let path):
                if !values.isJSON { throw .valueNotJSON }
                out += values[path] ?? []
            }
            if out.count == before { throw .missingValue }
        }
        return out
    }
}
