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
    /// Name of the cluster.
    public var cluster: String
    /// The Kafka topic. Values that give no legal name are refused, message by message.
    public var topic: RecordTemplate
    /// The record's key, which decides the partition: records with equal keys keep their order. `nil`, or a text that
    /// turns out empty: a record without key, on any partition, in no order.
    public var key: RecordTemplate?
    /// Headers in addition to those that every record has. One that turns out empty is left out.
    public var headers: [Header]

    public init(
        name: String, filters: [TopicFilter], cluster: String, topic: RecordTemplate, key: RecordTemplate? = .mqttTopic,
        headers: [Header] = []
    ) {
        self.name = name
        self.filters = filters
        self.cluster = cluster
        self.topic = topic
        self.key = key
        self.headers = headers
    }

    /// Whether messages of one client with equal topic, QoS and RETAIN may give records that differ in more than value,
    /// timestamp and properties.
    var variesByMessage: Bool {
        topic.variesByMessage || key?.variesByMessage == true || headers.contains { $0.value.variesByMessage }
    }
}
