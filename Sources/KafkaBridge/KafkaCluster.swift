/// A Kafka cluster that routes write to: a real one, or one that lives in this process for development.
public struct KafkaCluster: Sendable, Equatable {
    /// Name in routes, logs and metrics.
    public var name: String
    /// `host:port,host:port`; `nil` for an embedded cluster.
    public var bootstrapServers: String?
    /// Whether the cluster is a `DevelopmentKafka` of this process, started and stopped with the bridge.
    public var isEmbedded: Bool
    /// Number of brokers of an embedded cluster, 1…16.
    public var embeddedBrokers: Int
    /// File that the address of an embedded cluster is written to at start and removed at stop; `nil`: none.
    public var bootstrapFile: String?
    /// Properties of librdkafka, passed through as they are. Values may be secret and are never logged.
    public var properties: [String: String]
    /// Kafka topics that this cluster's routes may name in one life of the broker, counted over all routes. Topic
    /// templates are filled by publishers, and each topic costs memory here and there.
    public var maxTopics: Int
    public var schemaRegistry: KafkaSchemaRegistry?

    public init(
        name: String, bootstrapServers: String? = nil, isEmbedded: Bool = false, embeddedBrokers: Int = 1,
        bootstrapFile: String? = nil, properties: [String: String] = [:], maxTopics: Int = 10_000,
        schemaRegistry: KafkaSchemaRegistry? = nil
    ) {
        self.schemaRegistry = schemaRegistry
        self.name = name
        self.bootstrapServers = bootstrapServers
        self.isEmbedded = isEmbedded
        self.embeddedBrokers = embeddedBrokers
        self.bootstrapFile = bootstrapFile
        self.properties = properties
        self.maxTopics = maxTopics
    }

    /// The cluster as one route sees it.
    func with(_ properties: [String: String]) -> KafkaCluster {
        var cluster = self
        cluster.properties.merge(properties) { $1 }
        return cluster
    }

    /// Whether the value of the librdkafka property `name` may be a secret.
    package static func isSecret(_ name: String) -> Bool {
        let name = name.lowercased()
        return name.hasPrefix("sasl.") || name.hasPrefix("ssl.key") || name.hasSuffix(".pem")
            || ["password", "secret", "token"].contains { name.contains($0) }
    }
}

extension KafkaCluster: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// One line for the log, without secrets.
    public var description: String {
        let address = bootstrapServers ?? (isEmbedded ? "embedded, \(embeddedBrokers) broker(s)" : "no address")
        let properties = shownProperties.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return "\(name) (\(([address] + properties).joined(separator: ", ")))"
    }

    public var debugDescription: String { description }

    /// So that `dump` and string interpolation of what holds a cluster keep its secrets too.
    public var customMirror: Mirror {
        Mirror(self, children: ["name": name, "bootstrapServers": bootstrapServers as Any, "properties": shownProperties])
    }

    private var shownProperties: [String: String] {
        Dictionary(uniqueKeysWithValues: properties.map { ($0.key, Self.isSecret($0.key) ? "(redacted)" : $0.value) })
    }
}
