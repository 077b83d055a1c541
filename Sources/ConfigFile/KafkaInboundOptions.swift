import KafkaBridge
import MQTTModel

/// One entry of `kafka.inbound` as it was written.
struct KafkaInboundEntry: Sendable {
    var name: String?
    var cluster: String?
    var topics: [String] = []
    var group: String?
    var topic: String?
    var qos = 1
    var retain = false
    var expirySeconds: Int?
    var contentType: String?
    var tenant: String?
    var start = KafkaInboundRoute.Start.latest
    var keyProperty = true
    var maxHops = 1
    var properties: [OptionField] = []
}

/// Routes from Kafka to MQTT: the options of `kafka.inbound`.
enum KafkaInboundOptions {
    static let table: [ConfigurationOption<KafkaInboundEntry>] = [
        ConfigurationOption(
            "name", .text(meaning: "name, at most 64 bytes", word: "null", check: ListenerOptions.nameFault), \.name,
            "Name in logs and metrics, and of the place in the store: another name begins anew. Default: inbound-1, inbound-2, …"),
        ConfigurationOption(
            "cluster", .text(meaning: "name of a cluster", word: "null"), \.cluster,
            "Where the records come from. May be left out where there is one cluster."),
        ConfigurationOption(
            "topics", .texts(meaning: "Kafka topics, or regular expressions that begin with ^"), "What is read.",
            get: { .texts($0.topics) }, set: { if case .texts(let texts) = $1 { $0.topics = texts } }),
        ConfigurationOption(
            "group", .text(meaning: "consumer group", word: "null"), \.group,
            "Consumer group, of this broker and route alone. Default: headwater-STORE-ROUTE."),
        ConfigurationOption(
            "topic", .text(meaning: "template", word: "null", check: templateFault), \.topic,
            "MQTT topic of the messages, made of ${kafka.topic}, ${kafka.partition}, ${key}, ${header.NAME}, ${value.FIELD}, ${timestamp}."),
        ConfigurationOption("qos", .integer(0...2), \.qos, "QoS of the messages."),
        ConfigurationOption("retain", \.retain, "Retain the messages. A record without value clears what is retained."),
        ConfigurationOption(
            "expiry", .seconds(1...Int(UInt32.max), word: "never"), \.expirySeconds, "Message Expiry Interval, from when the record is read."),
        ConfigurationOption(
            "content_type", .text(meaning: "text", word: "null"), \.contentType, "Content Type. Default: the record's header content-type."),
        ConfigurationOption(
            "tenant", .text(meaning: "name or template", word: "null", check: templateFault), \.tenant,
            "Whose clients receive the messages. Default: those of the default tenant."),
        ConfigurationOption("start", \.start, "Where a partition is begun of which the route has read nothing yet."),
        ConfigurationOption("key_property", \.keyProperty, "Give a record's key to the message as the user property kafka.key."),
        ConfigurationOption(
            "max_hops", .integer(0...16), \.maxHops,
            "Headwater brokers that a record may have passed. Records that have passed this one are dropped anyway."),
        ConfigurationOption(
            "properties", .fields(meaning: "librdkafka properties; values may be ${env:NAME} or ${file:/path}"),
            "For this route's consumer, on top of the cluster's.",
            get: { .fields($0.properties) }, set: { if case .fields(let fields) = $1 { $0.properties = fields } }),
    ]

    static let templateFault: @Sendable (String) -> String? = { text in
        do {
            _ = try InboundTemplate(text)
            return nil
        } catch {
            return "the template \(OptionType.shown(text)): \(error)"
        }
    }
}
