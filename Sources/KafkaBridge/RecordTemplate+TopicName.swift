import MQTTModel

/// Templates that name Kafka topics. Their values come from publishers, who may be hostile: what they write must never
/// reach an internal topic, a topic of another tenant or a name that Kafka refuses.
extension RecordTemplate {
    /// What makes the template unfit for a topic name whatever the message; `nil`: fit.
    var topicTemplateFault: String? {
        var previousIsPlaceholder = false
        for part in parts {
            switch part {
            case .literal(let bytes):
                if !bytes.allSatisfy(Self.isTopicByte) {
                    return "has a literal character that Kafka topics can't hold: letters, digits, . _ - only"
                }
            case .levels(_, let separator):
                if separator == [Self.slash] {
                    return "would put / into a Kafka topic; join the levels with another text, as in ${topic:.} or ${topic[2...]:-}"
                }
                if !separator.allSatisfy(Self.isTopicByte) {
                    return "joins levels with a character that Kafka topics can't hold: letters, digits, . _ - only"
                }
            case .timestamp:
                return "would make a Kafka topic for each millisecond"
            default: break
            }
            if part.isPlaceholder, previousIsPlaceholder {
                return "has two placeholders side by side, so that different messages could share a topic; put a text between them"
            }
            previousIsPlaceholder = part.isPlaceholder
        }
        if !parts.contains(where: \.isPlaceholder), case .literal(let bytes) = parts[0], !Self.isLegalTopic(bytes) {
            return "is no legal Kafka topic: 1 to 249 of letters, digits, . _ -, not . or .., not beginning with __"
        }
        return nil
    }

    /// The Kafka topic for `message`.
    ///
    /// Different values never give the same name: each must be without the text that follows it in the template.
    /// - Parameter payload: Read for the template's `payloadPaths`, and perhaps more.
    func topicName(for message: Message, _ payload: PayloadValues) throws(RecordRefusal) -> String {
        var name: [UInt8] = []
        let hasSeveralPlaceholders = parts.count { $0.isPlaceholder } > 1
        for (index, part) in parts.enumerated() {
            let start = name.count
            append(part, of: message, payload, to: &name)
            guard part.isPlaceholder else { continue }
            if name.count == start { throw Self.refusalWithoutValue(part, payload) }
            // A publisher's value may be megabytes long: it is not searched for separators when it is too long anyway.
            if name.count > Self.longestTopic { throw .illegalTopic }
            if case .levels(let first, let separator) = part { try Self.checkLevels(of: message, from: first, joinedBy: separator) }
            if hasSeveralPlaceholders, index + 1 < parts.count, case .literal(let next) = parts[index + 1],
                !Self.ends(name[start...], with: next)
            {
                throw .ambiguousTopic
            }
        }
        guard Self.isLegalTopic(name) else { throw .illegalTopic }
        return String(decoding: name, as: UTF8.self)
    }

    private static func refusalWithoutValue(_ part: Part, _ payload: PayloadValues) -> RecordRefusal {
        guard case .payload = part else { return .missingValue }
        return payload.isJSON ? .missingPayloadValue : .payloadNotJSON
    }

    private static func checkLevels(of message: Message, from first: Int, joinedBy separator: [UInt8]) throws(RecordRefusal) {
        var refusal: RecordRefusal?
        message.withParts { topic, _, _ in
            Levels(topic).forEach(from: first) { level in
                if level.isEmpty { refusal = .missingValue } else if !ends(level, with: separator) { refusal = .ambiguousTopic }
            }
        }
        if let refusal { throw refusal }
    }

    /// Whether `separator` is first found at the end of `value` + `separator`: a reader could cut the value off again.
    private static func ends(_ value: some Collection<UInt8>, with separator: [UInt8]) -> Bool {
        let text = Array(value) + separator
        var start = 0
        while !text[start...].starts(with: separator) { start += 1 }
        return start == value.count
    }

    /// Kafka's rule for topic names, and no name of Kafka's own such as `__consumer_offsets`.
    static func isLegalTopic(_ name: [UInt8]) -> Bool {
        let dot = UInt8(ascii: "."), underscore = UInt8(ascii: "_")
        return (1...longestTopic).contains(name.count) && name.allSatisfy(isTopicByte) && name != [dot] && name != [dot, dot]
            && !name.starts(with: [underscore, underscore])
    }

    /// Bytes; Kafka's limit.
    private static let longestTopic = 249

    static func isTopicByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
