import MQTTModel

/// Which Kafka records become MQTT messages, and what the messages look like.
public struct KafkaInboundRoute: Sendable, Equatable {
    /// Where a partition is begun of which nothing has been read.
    public enum Start: String, Sendable, CaseIterable {
        case earliest, latest
    }

    /// Name in logs and metrics, and in the store, which keeps the place in each partition by it: a route with another name begins anew.
    public var name: String
    /// Name of the cluster.
    public var cluster: String
    /// Kafka topics; a text that begins with `^` is a regular expression of librdkafka's.
    public var topics: [String]
    /// Consumer group; `nil`: `headwater-<identity of the store>-<route>`, without a store `headwater-<route>`.
    public var group: String?
    /// The MQTT topic. Records that give no legal topic name are skipped and counted.
    public var topic: InboundTemplate
    public var qos: QoS
    /// Whether messages are retained. A record without value then clears what is retained.
    public var isRetained: Bool
    /// Message Expiry Interval, from when the broker has read the record; `nil`: none.
    public var expirySeconds: UInt32?
    /// Content Type; `nil`: what the record's header `content-type` says, if it has one.
    public var contentType: String?
    /// Whose clients receive the messages; `nil`: those of the default tenant.
    public var tenant: InboundTemplate?
    public var start: Start
    /// Whether a key that is UTF-8 becomes the user property `kafka.key`.
    public var passesKey: Bool
    /// Brokers that a record may have passed before; see `HopList`. Records that have passed this one are dropped anyway.
    public var maxHops: Int
    /// librdkafka's consumer properties, on top of the cluster's.
    public var properties: [String: String]

    public init(
        name: String, cluster: String, topics: [String], topic: InboundTemplate, qos: QoS = .atLeastOnce, isRetained: Bool = false,
        expirySeconds: UInt32? = nil, contentType: String? = nil, tenant: InboundTemplate? = nil, group: String? = nil,
        start: Start = .latest, passesKey: Bool = true, maxHops: Int = 1, properties: [String: String] = [:]
    ) {
        self.name = name
        self.cluster = cluster
        self.topics = topics
        self.topic = topic
        self.qos = qos
        self.isRetained = isRetained
        self.expirySeconds = expirySeconds
        self.contentType = contentType
        self.tenant = tenant
        self.group = group
        self.start = start
        self.passesKey = passesKey
        self.maxHops = maxHops
        self.properties = properties
    }

    /// Everything that is wrong with the route alone; the text says what to write instead.
    var faults: [String] {
        var faults: [String] = []
        if name.utf8.count > 64 || name.contains("/") { faults.append("its name is part of a key in the store: at most 64 bytes, without /") }
        if topics.isEmpty { faults.append("it names no Kafka topics: add one, or a regular expression such as ^commands-.*") }
        for topic in topics where !topic.hasPrefix("^") && !RecordTemplate.isLegalTopic(Array(topic.utf8)) {
            faults.append("\(LogLimit.quoted(topic)) is no name that Kafka allows for a topic; a regular expression begins with ^")
        }
        if let fault = topic.topicFault { faults.append("the MQTT topic \(LogLimit.quoted(topic.text)) \(fault)") }
        if group == "" { faults.append("its consumer group is empty: name one, or leave it out") }
        if !(0...HopList.longest).contains(maxHops) { faults.append("max_hops is 0 to \(HopList.longest)") }
        if let type = contentType, !InboundRenderer.isText(Array(type.utf8)) { faults.append("the content type is no text that MQTT can carry") }
        return faults
    }

    /// What the route asks a JSON value for.
    var valuePaths: [PayloadPath] { topic.valuePaths + (tenant?.valuePaths ?? []) }
}
