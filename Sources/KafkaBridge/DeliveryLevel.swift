/// What a route promises of a message between the broker's acknowledgement and a consumer (docs/kafka.md, "Delivery levels").
public enum DeliveryLevel: String, Sendable, CaseIterable {
    /// Handed to Kafka without being stored or waited for. Lost when Kafka is away for long, or the broker ends.
    case atMostOnce = "at-most-once"
    /// In the outbox until Kafka has it. May be there twice after a crash, or when the producer is replaced.
    case atLeastOnce = "at-least-once"
    /// The same, and within the life of a producer librdkafka's own retries repeat nothing and keep the order.
    case idempotent
    /// Kafka's transactions hold the records and the outbox's cursor: a read_committed consumer sees each message once.
    case exactlyOnce = "exactly-once"
}

/// When a publisher's acknowledgement leaves, as far as one route is concerned.
public enum RouteAcknowledgement: String, Sendable, CaseIterable {
    /// When the outbox has the message.
    case stored
    /// When Kafka has it.
    case kafka
}

/// The bounds of a route's outbox, and what happens there.
public struct RouteOutbox: Sendable, Equatable {
    public enum Overflow: String, Sendable, CaseIterable {
        /// Publishers are not read until there is room.
        case slow
        /// PUBACK or PUBREC with 0x97 Quota exceeded; MQTT 3 and QoS 0 are dropped and counted.
        case refuse
        case dropOldest = "drop-oldest"
        case dropNewest = "drop-newest"
    }

    /// Queues with a thread and a producer each; a key stays in one. 1...64.
    public var shards: Int
    /// Bytes of records that wait, with about 40 for keeping each.
    public var maxBytes: Int
    /// The same for each tenant alone; `nil`: no limit of its own.
    public var maxBytesPerTenant: Int?
    /// Records that are older are dropped instead of sent; `nil`: none is too old.
    public var maxAgeSeconds: Int?
    public var overflow: Overflow

    public init(
        shards: Int = 1, maxBytes: Int = 1 << 30, maxBytesPerTenant: Int? = nil, maxAgeSeconds: Int? = nil, overflow: Overflow = .slow
    ) {
        self.shards = shards
        self.maxBytes = maxBytes
        self.maxBytesPerTenant = maxBytesPerTenant
        self.maxAgeSeconds = maxAgeSeconds
        self.overflow = overflow
    }
}

/// By what a message is recognised that its publisher sends again.
public struct RouteDeduplication: Sendable, Equatable {
    /// Name of the MQTT 5 user property that has the key; keys are a client's own.
    public var userProperty: String
    /// How long a key is remembered.
    public var seconds: Int

    public init(userProperty: String, seconds: Int = 600) {
        self.userProperty = userProperty
        self.seconds = seconds
    }
}
