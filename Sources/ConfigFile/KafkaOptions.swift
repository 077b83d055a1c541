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
    ]

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
