import KafkaBridge

/// How a route's messages get to Kafka: the options of `kafka.routes` that say what is promised.
enum KafkaDeliveryOptions {
    static let table: [ConfigurationOption<KafkaRouteEntry>] = [
        ConfigurationOption(
            "delivery", \.delivery.level,
            "What is promised between PUBACK and a consumer (docs/kafka.md). All but at-most-once store messages until Kafka has them, if there is a "
                + "store."),
        ConfigurationOption(
            "acknowledge", .choice(RouteAcknowledgement.allCases.map(\.rawValue), word: "auto"),
            "When PUBACK and PUBREC leave: when the message is stored, or when Kafka has it. auto: stored, kafka without a store.",
            get: { $0.delivery.acknowledgement.map { .text($0.rawValue) } ?? .none },
            set: { if case .text(let text) = $1 { $0.delivery.acknowledgement = RouteAcknowledgement(rawValue: text) } else { $0.delivery.acknowledgement = nil } }),
        ConfigurationOption(
            "outbox.max_size", .bytes(1 << 16...1 << 44), \.delivery.outbox.maxBytes,
            "Bytes of messages that wait for Kafka, above which outbox.overflow says what happens."),
        ConfigurationOption(
            "outbox.max_size_per_tenant", .bytes(1 << 16...1 << 44, word: "unlimited"), \.delivery.outbox.maxBytesPerTenant,
            "The same for each tenant alone."),
        ConfigurationOption(
            "outbox.max_age", .seconds(1...315_360_000, word: "unlimited"), \.delivery.outbox.maxAgeSeconds,
            "Messages that have waited longer are dropped and counted."),
        ConfigurationOption(
            "outbox.overflow", \.delivery.outbox.overflow,
            "At the largest size. slow: publishers are not read; refuse: 0x97 Quota exceeded; drop-…: dropped and counted."),
        ConfigurationOption(
            "outbox.shards", .integer(1...64), \.delivery.outbox.shards,
            "Queues, each with a thread and a producer; a key stays in one. Not to be changed while messages wait, if order matters."),
        ConfigurationOption(
            "dead_letter_topic", .text(meaning: "Kafka topic", word: "null"), \.delivery.deadLetterTopic,
            "Where records go that can't be sent, with the reason. null: they are kept in the broker's store."),
        ConfigurationOption(
            "deduplicate.property", .text(meaning: "name of a user property", word: "null"),
            "User property that has a key by which a message is recognised that its publisher sends again.",
            get: { $0.deduplicationProperty.map { .text($0) } ?? .none },
            set: { if case .text(let text) = $1 { $0.deduplicationProperty = text } else { $0.deduplicationProperty = nil } }),
        ConfigurationOption(
            "deduplicate.for", .seconds(1...2_592_000, word: "null"), "How long a key is remembered. Default: 10m.",
            get: { $0.deduplicationSeconds.map { .integer($0) } ?? .none },
            set: { if case .integer(let seconds) = $1 { $0.deduplicationSeconds = seconds } else { $0.deduplicationSeconds = nil } }),
        ConfigurationOption(
            "schema.format", .choice(RouteSchema.Format.allCases.map(\.rawValue), word: "null"),
            "Payloads are checked against a schema of the cluster's schema_registry (docs/schemas.md).",
            get: { $0.schemaFormat.map { .text($0.rawValue) } ?? .none },
            set: { if case .text(let text) = $1 { $0.schemaFormat = RouteSchema.Format(rawValue: text) } else { $0.schemaFormat = nil } }),
        ConfigurationOption(
            "schema.mode", \.schema.mode,
            "convert: JSON becomes Avro; validate: checked and framed; pass-through: framed by the device, its schema identifier is checked."),
        ConfigurationOption(
            "schema.subject", .text(meaning: "topic, record:NAME, topic-record:NAME or subject:NAME"), \.schema.subject,
            "Which subject of the registry has the schema. topic: <Kafka topic>-value."),
        ConfigurationOption("schema.version", .integer(1...Int(Int32.max), word: "latest"), \.schema.version, "Which version of it."),
        ConfigurationOption(
            "schema.message", .text(meaning: "full name", word: "null"), \.schema.message, "Of protobuf: the message. null: the schema's first."),
        ConfigurationOption(
            "schema.enforce", \.schema.isEnforced,
            "Refuse what does not fit with 0x99 Payload format invalid, in place of a dead letter."),
        ConfigurationOption(
            "cursor_topic", .text(meaning: "Kafka topic", word: "null"), \.delivery.cursorTopic,
            "For exactly-once: the topic at whose partition 0 Kafka keeps the outbox's cursor. Default: the route's topic, else its dead-letter topic."),
        ConfigurationOption(
            "properties", .fields(meaning: "librdkafka properties; values may be ${env:NAME} or ${file:/path}"),
            "For this route's producers, on top of the cluster's: compression.type, linger.ms and so on.",
            get: { .fields($0.properties) }, set: { if case .fields(let fields) = $1 { $0.properties = fields } }),
    ]
}
