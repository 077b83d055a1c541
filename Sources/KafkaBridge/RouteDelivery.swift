/// How a route's messages get to Kafka, and what is promised of them.
public struct RouteDelivery: Sendable, Equatable {
    public var level: DeliveryLevel
    /// `nil`: `stored` where the route has an outbox, else `kafka`.
    public var acknowledgement: RouteAcknowledgement?
    public var outbox: RouteOutbox
    /// Kafka topic for records that can't be sent; `nil`: they are kept in the broker's store.
    public var deadLetterTopic: String?
    public var deduplication: RouteDeduplication?
    /// Properties of librdkafka for this route's producers, on top of the cluster's.
    public var properties: [String: String]
    /// Where Kafka keeps the cursor of an exactly-once route: partition 0 of a topic that exists. `nil`: the route's own topic, if
    /// its template has no placeholder, else its dead-letter topic.
    public var cursorTopic: String?
    public var schema: RouteSchema?

    public init(
        level: DeliveryLevel = .atLeastOnce, acknowledgement: RouteAcknowledgement? = nil, outbox: RouteOutbox = RouteOutbox(),
        deadLetterTopic: String? = nil, deduplication: RouteDeduplication? = nil, properties: [String: String] = [:],
        cursorTopic: String? = nil, schema: RouteSchema? = nil
    ) {
        self.level = level
        self.acknowledgement = acknowledgement
        self.outbox = outbox
        self.deadLetterTopic = deadLetterTopic
        self.deduplication = deduplication
        self.properties = properties
        self.cursorTopic = cursorTopic
        self.schema = schema
    }

    /// Whether it can't be had without a store.
    var needsStore: Bool {
        level == .idempotent || level == .exactlyOnce || acknowledgement == .stored || deadLetterTopic != nil || deduplication != nil
            || schema != nil
    }
}
