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

    /// What a v5 publisher is told in PUBACK or PUBREC.
    var reasonCode: ReasonCode { self == .tooManyTopics ? .quotaExceeded : .topicNameInvalid }

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
        }
    }
}
