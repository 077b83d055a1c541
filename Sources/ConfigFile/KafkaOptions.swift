import KafkaBridge
import MQTTModel

/// One entry of `kafka.clusters` as it was written.
struct KafkaClusterEntry: Sendable {
    var bootstrapServers: String?
    var isEmbedded = false
    var brokers = 1
    var bootstrapFile: String?
    var properties: [OptionField] = []
    var maxTopics = 10_000
    var registry = KafkaSchemaRegistry()
    var schemaFiles: [OptionField] = []
}

/// One entry of `kafka.routes` as it was written.
struct KafkaRouteEntry: Sendable {
    var name: String?
    var filter: String?
    var filters: [String] = []
    var cluster: String?
    var topic: String?
    var key: String? = "${topic}"
    var headers: [OptionField] = []
    var exclude: [String] = []
    var topics: [String] = []
    var value = "payload"
    var timestamp = "received"
    var timestampUnit = RecordTimestamp.Unit.milliseconds
    var partition: String?
    var trace = false
    var delivery = RouteDelivery()
    var properties: [OptionField] = []
    var deduplicationProperty: String?
    var deduplicationSeconds: Int?
    var schemaFormat: RouteSchema.Format?
    var schema = RouteSchema(format: .json, mode: .validate)
}

enum KafkaOptions {
    static let clusters: [ConfigurationOption<KafkaClusterEntry>] = [
        ConfigurationOption(
            "bootstrap_servers", .text(meaning: "HOST:PORT,…", word: "null", check: { $0.isEmpty ? "an empty list" : nil }),
            \.bootstrapServers,
            "Brokers of the cluster to start from."),
        ConfigurationOption(
            "embedded", \.isEmbedded,
            "A development Kafka inside the program in place of a cluster: in memory, gone at exit."),
        ConfigurationOption("brokers", .integer(1...16), \.brokers, "Brokers of the development Kafka."),
        ConfigurationOption(
            "bootstrap_file", .text(meaning: "path", word: "null", check: { $0.isEmpty ? "an empty path" : nil }), \.bootstrapFile,
            "File into which the development Kafka's address is written."),
        ConfigurationOption(
            "properties", .fields(meaning: "librdkafka properties; values may be ${env:NAME} or ${file:/path}"),
            "Handed to librdkafka as they are.", get: { .fields($0.properties) },
            set: { if case .fields(let fields) = $1 { $0.properties = fields } }),
        ConfigurationOption(
            "max_topics", .integer(1...1_000_000), \.maxTopics,
            "Kafka topics that routes may name in one life of the broker: publishers fill the templates, and each topic costs memory."),
        ConfigurationOption(
            "schema_registry.urls", .texts(meaning: "https://HOST:PORT"), "Schema registry with Confluent's interface; tried in turn.",
            get: { .texts($0.registry.urls) }, set: { if case .texts(let texts) = $1 { $0.registry.urls = texts } }),
        ConfigurationOption("schema_registry.username", .text(meaning: "name", word: "null"), \.registry.username, "For basic authentication."),
        ConfigurationOption(
            "schema_registry.password", .text(meaning: "${env:NAME} or ${file:/path}", word: "null"), \.registry.password,
            "For basic authentication."),
        ConfigurationOption(
            "schema_registry.token", .text(meaning: "${env:NAME} or ${file:/path}", word: "null"), \.registry.token,
            "Bearer token, in place of user name and password."),
        ConfigurationOption(
            "schema_registry.ca_file", .text(meaning: "path", word: "null"), \.registry.caFile, "PEM, in place of the system's authorities."),
        ConfigurationOption(
            "schema_registry.cache_directory", .text(meaning: "path", word: "null"), \.registry.cacheDirectory,
            "Where schemas are kept, so that a start while the registry is away finds them."),
        ConfigurationOption("schema_registry.allow_http", \.registry.allowsPlain, "Allow http:// in urls: no one checks then who answers."),
        ConfigurationOption(
            "schema_registry.refresh", .seconds(1...86_400), \.registry.refreshSeconds, "How often the latest version of a schema is asked for again."),
        ConfigurationOption("schema_registry.embedded", \.registry.isEmbedded, "A registry inside the program, for development: in memory."),
        ConfigurationOption(
            "schema_registry.schemas", .fields(meaning: "subjects and files (.avsc, .json)"), "What the embedded registry has from the start.",
            get: { .fields($0.schemaFiles) }, set: { if case .fields(let fields) = $1 { $0.schemaFiles = fields } }),
    ]

    static let routes: [ConfigurationOption<KafkaRouteEntry>] = [
        ConfigurationOption(
            "name", .text(meaning: "name, at most 64 bytes", word: "null", check: ListenerOptions.nameFault), \.name,
            "Name in logs and metrics. Default: route-1, route-2, …"),
        ConfigurationOption(
            "filter", .text(meaning: "topic filter", word: "null", check: filterFault), \.filter,
            "Topics that the route takes, as in a subscription."),
        ConfigurationOption(
            "filters", .texts(meaning: "topic filters", check: filterFault), "In place of filter: several.",
            get: { .texts($0.filters) }, set: { if case .texts(let texts) = $1 { $0.filters = texts } }),
        ConfigurationOption(
            "cluster", .text(meaning: "name of a cluster", word: "null"), \.cluster,
            "Where the records go. May be left out where there is one cluster."),
        ConfigurationOption(
            "topic", .text(meaning: "template", word: "null", check: templateFault), \.topic,
            "Kafka topic of the records."),
        ConfigurationOption(
            "key", .text(meaning: "template", word: "none", check: templateFault), \.key,
            "Key of the records; records of one key keep their order. none: no key and no order."),
        ConfigurationOption(
            "headers", .fields(meaning: "names and templates", check: { templateFault($0.value) }), "Headers of the records.",
            get: { .fields($0.headers) }, set: { if case .fields(let fields) = $1 { $0.headers = fields } }),
        ConfigurationOption(
            "exclude", .texts(meaning: "topic filters", check: filterFault), "Topics that the route does not take, though filter matches them.",
            get: { .texts($0.exclude) }, set: { if case .texts(let texts) = $1 { $0.exclude = texts } }),
        // What may stand in the next four is checked when the route is made of them.
        ConfigurationOption(
            "topics", .texts(meaning: "Kafka topics, * for any text"),
            "The only Kafka topics that the route may write to, whatever publishers make of its template. None given: all.",
            get: { .texts($0.topics) }, set: { if case .texts(let texts) = $1 { $0.topics = texts } }),
        ConfigurationOption(
            "value", .text(meaning: "payload, json or template"), \.value,
            "Value of the records: the payload as it is; json: an object with the payload and where it came from; or a text made of a template."),
        ConfigurationOption(
            "timestamp", .text(meaning: "received or payload.FIELD"), \.timestamp,
            "Time of the records: when the broker received the message, or what a field of its JSON payload says."),
        ConfigurationOption(
            "timestamp_unit", \.timestampUnit, "How the payload's field writes the time: a number since 1970 in this unit, or an RFC 3339 text."),
        ConfigurationOption(
            "partition", .text(meaning: "number or template", word: "null"), \.partition,
            "Partition of the records. Default, and where the template comes out empty: the key decides."),
        ConfigurationOption(
            "trace", \.trace,
            "Give a W3C traceparent header to records whose message has none among its user properties. Sound ones are passed on anyway."),
    ] + KafkaDeliveryOptions.table

    static let filterFault: @Sendable (String) -> String? = { text in
        do {
            _ = try TopicFilter(text)
            return text.utf8.starts(with: "$share/".utf8)
                ? "the topic filter \(OptionType.shown(text)) is a shared subscription, which a route can't be" : nil
        } catch {
            return "the topic filter \(OptionType.shown(text)) \(error)"
        }
    }

    static let templateFault: @Sendable (String) -> String? = { text in
        do {
            _ = try RecordTemplate(text)
            return nil
        } catch {
            return "the template \(OptionType.shown(text)): \(error)"
        }
    }
}
