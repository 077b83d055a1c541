import MQTTModel

/// Why a message that matches a route can't become a record. Wrong is the publisher: nothing of it reaches Kafka.
enum RecordRefusal: String, Error, Sendable, CaseIterable {
    /// The rendered topic is none that Kafka allows.
    case illegalTopic = "illegal_topic"
    /// A placeholder of the topic template has no value in this message.
    case missingValue = "missing_value"
    /// A value holds the text that separates it from the next one: two different messages could name one Kafka topic.
    case ambiguousTopic = "ambiguous_topic"
    /// More Kafka topics than `KafkaCluster.maxTopics`.
    case tooManyTopics = "too_many_topics"

    /// A placeholder of the topic template asks for a part of the payload, which is no JSON.
    case payloadNotJSON = "payload_not_json"
    /// The payload is JSON, but has no text, number, true or false where the topic template looks for it.
    case missingPayloadValue = "missing_payload_value"
    /// The rendered topic is not in `KafkaRoute.allowedTopics`.
    case topicNotAllowed = "topic_not_allowed"
    /// The partition template gives something else than a number from 0.
    case invalidPartition = "invalid_partition"

    /// What a v5 publisher is told in PUBACK or PUBREC.
    var reasonCode: ReasonCode {
        switch self {
        case .illegalTopic, .missingValue, .ambiguousTopic, .topicNotAllowed: .topicNameInvalid
        case .tooManyTopics: .quotaExceeded
        case .payloadNotJSON, .missingPayloadValue: .payloadFormatInvalid
        // It may come from the topic, a property or the payload, so no code that blames one of them.
        case .invalidPartition: .implementationSpecificError
        }
    }

    /// For the log: what happened and what an operator can do.
    var advice: String {
        switch self {
        case .illegalTopic:
            "the route's template gives a name that Kafka does not allow (letters, digits, . _ - only, at most 249, not beginning with __)"
        case .missingValue:
            "a placeholder of the route's topic template has no value in this message"
        case .ambiguousTopic:
            "a value holds the separator that follows it in the route's topic template; use another separator"
        case .tooManyTopics:
            "the bridge writes to as many Kafka topics as it may; raise maxTopics or narrow the route"
        case .payloadNotJSON:
            "the route's topic template asks for a part of the payload, which is no JSON, or nested deeper than \(JSONScanner.deepest); mend the"
                + " publisher, or give such messages a route of their own"
        case .missingPayloadValue:
            "the payload has no text, number, true or false where the route's topic template looks for it"
        case .topicNotAllowed:
            "the route's template gives a Kafka topic that the route's topics do not allow; add the topic there, or mend the publisher"
        case .invalidPartition:
            "the route's partition template gives something else than a number from 0 to \(Int32.max)"
        }
    }
}
