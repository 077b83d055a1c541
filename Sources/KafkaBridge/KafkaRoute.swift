import MQTTModel

/// Which messages become records, and what the records look like.
public struct KafkaRoute: Sendable, Equatable {
    public struct Header: Sendable, Equatable {
        public var name: String
        public var value: RecordTemplate

        public init(_ name: String, _ value: RecordTemplate) {
            self.name = name
            self.value = value
        }
    }

    /// Name in logs and metrics.
    public var name: String
    /// A message that matches any of them takes the route once.
    public var filters: [TopicFilter]
    /// A message that matches any of them does not take the route, whatever `filters` say.
    public var excluded: [TopicFilter]
    /// Name of the cluster.
    public var cluster: String
    /// The Kafka topic. Values that give no legal name are refused, message by message.
    public var topic: RecordTemplate
    /// The only Kafka topics that the route may write to; others are refused, message by message. Empty: all.
    public var allowedTopics: [KafkaTopicPattern]
    /// The record's key, which decides the partition: records with equal keys keep their order. `nil`, or a text that
    /// turns out empty: a record without key, on any partition, in no order.
    public var key: RecordTemplate?
    /// Headers in addition to those that every record has. One that turns out empty is left out.
    public var headers: [Header]
    public var delivery = RouteDelivery()
    public var value: RecordValue
    public var timestamp: RecordTimestamp
    /// A number from 0, the record's partition. `nil`, or a text that turns out empty: the key decides. Anything else than a number
    /// is refused, message by message; a partition that the topic does not have fails.
    public var partition: RecordTemplate?
    /// Whether a record whose message has no sound `traceparent` (W3C Trace Context) gets a new one.
    public var startsTraces: Bool

    public init(
        name: String, filters: [TopicFilter], cluster: String, topic: RecordTemplate, key: RecordTemplate? = .mqttTopic,
        headers: [Header] = [], excluded: [TopicFilter] = [], allowedTopics: [KafkaTopicPattern] = [], value: RecordValue = .payload,
        timestamp: RecordTimestamp = .received, partition: RecordTemplate? = nil, startsTraces: Bool = false
    ) {
        self.name = name
        self.filters = filters
        self.cluster = cluster
        self.topic = topic
        self.key = key
        self.headers = headers
        self.excluded = excluded
        self.allowedTopics = allowedTopics
        self.value = value
        self.timestamp = timestamp
        self.partition = partition
        self.startsTraces = startsTraces
    }

    /// Whether messages of one client with equal topic, QoS and RETAIN may give records that differ in more than payload,
    /// time of receipt and properties.
    var variesByMessage: Bool {
        topic.variesByMessage || key?.variesByMessage == true || headers.contains { $0.value.variesByMessage } || value.variesByMessage
            || timestamp != .received || partition?.variesByMessage == true || startsTraces
    }

    /// Whether `allowedTopics` let the route write to the Kafka topic.
    func allows(_ topic: String) -> Bool { allowedTopics.isEmpty || allowedTopics.contains { $0.matches(topic) } }

    /// Where Kafka keeps the cursor of an exactly-once route.
    var cursorTopic: String? {
        delivery.cursorTopic ?? (topic.parts.contains(where: \.isPlaceholder) ? delivery.deadLetterTopic : topic.text)
    }

    /// What the route asks a JSON payload for.
    var payloadPaths: [PayloadPath] {
        var templates = [topic] + headers.map(\.value)
        if let key { templates.append(key) }
        if let partition { templates.append(partition) }
        if case .template(let template) = value { templates.append(template) }
        return templates.flatMap(\.payloadPaths) + (timestamp.path.map { [$0] } ?? [])
    }
}
