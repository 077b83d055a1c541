import CRdKafka

/// The bridge's properties for librdkafka: defaults that lose nothing, then the operator's on top.
enum ProducerProperties {
    /// What the bridge sets unless the operator does.
    static let defaults: [(name: String, value: String)] = [
        ("client.id", "headwater"),
        ("acks", "all"),
        ("enable.idempotence", "true"),
        // Never give up: the publisher has no PUBACK yet, so waiting loses nothing and giving up would.
        ("message.timeout.ms", "0"),
        // As Java's producer does, so that both put a key on the same partition.
        ("partitioner", "murmur2_random"),
        ("reconnect.backoff.max.ms", "2000"),
        // As Java's clients do: what librdkafka writes is a whole request, and nothing comes behind it that it should wait for.
        ("socket.nagle.disable", "true"),
        // librdkafka remembers that a topic is missing or forbidden until it asks again; its own default is 5 minutes.
        ("topic.metadata.refresh.interval.ms", "30000"),
        ("statistics.interval.ms", "5000"),
    ]

    static let reserved = [
        "bootstrap.servers": "write it as the cluster's bootstrap servers",
        "metadata.broker.list": "write it as the cluster's bootstrap servers",
        "transactional.id": "the bridge names the transactional producers of exactly-once routes itself; leave it out",
        "delivery.report.only.error": "every record needs its report, since the publisher's acknowledgement waits for it; leave it out",
        "log.queue": "the bridge reads librdkafka's log itself; leave it out",
        "test.mock.num.brokers": "make the cluster embedded instead",
        "enable.sasl.oauthbearer.unsecure.jwt":
            "anybody can write such a token, and librdkafka 2.0.2 ends the process when one expires; use \(OAuthBearer.method) oidc",
    ]

    /// What librdkafka refuses, property by property, and then all together. Loads certificates; opens no connection.
    static func faults(of cluster: KafkaCluster) -> [KafkaConfigurationError] {
        var faults: [KafkaConfigurationError] = []
        guard let configuration = rd_kafka_conf_new() else { return faults }
        let hasTokens = OAuthBearer.isAsked(by: cluster.properties)
        for (name, value) in cluster.properties.sorted(by: { $0.key < $1.key }) {
            if let advice = reserved[name] {
                faults.append(.reservedProperty(cluster: cluster.name, name: name, advice: advice))
            } else if !(hasTokens && OAuthBearer.owns(name)), let reason = set(name, value, in: configuration) {
                faults.append(.property(cluster: cluster.name, name: name, reason: reason))
            }
        }
        rd_kafka_conf_destroy(configuration)
        guard faults.isEmpty else { return faults }
        do {
            try KafkaClient(cluster: cluster, bootstrapServers: nil).destroy()
        } catch {
            faults.append(.producer(cluster: cluster.name, reason: error.reason))
        }
        return faults
    }

    /// A configuration for `rd_kafka_new`. The caller owns it.
    /// - Parameter own: What the bridge sets whatever the operator says.
    static func configuration(
        of cluster: KafkaCluster, bootstrapServers: String?, own: [(name: String, value: String)] = []
    ) throws(KafkaClientError) -> OpaquePointer {
        let bridges = own.map { ($0.name, $0.value) } + [("log.queue", "true")]
        let configuration = try made(defaults, of: cluster, bootstrapServers: bootstrapServers, own: bridges)
        rd_kafka_conf_set_events(
            configuration, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS)
        return configuration
    }

    /// Defaults, then the operator's properties, then what the bridge decides itself. The caller owns it.
    static func made(
        _ defaults: [(name: String, value: String)], of cluster: KafkaCluster, bootstrapServers: String?, own: [(String, String)]
    ) throws(KafkaClientError) -> OpaquePointer {
        guard let configuration = rd_kafka_conf_new() else { throw KafkaClientError(reason: "out of memory") }
        do throws(KafkaClientError) {
            let tokens = try OAuthBearer(cluster.properties)
            let operators = cluster.properties.filter { tokens == nil || !OAuthBearer.owns($0.key) }.sorted { $0.key < $1.key }
            let address = bootstrapServers.map { [("bootstrap.servers", $0)] } ?? []
            for (name, value) in defaults.map({ ($0.name, $0.value) }) + operators.map({ ($0.key, $0.value) }) + address + own {
                if let reason = set(name, value, in: configuration) { throw KafkaClientError(reason: "\(name): \(reason)") }
            }
            if let reason = tokens?.install(in: configuration) { throw KafkaClientError(reason: reason) }
            return configuration
        } catch {
            rd_kafka_conf_destroy(configuration)
            throw error
        }
    }

    /// `nil`, or why librdkafka refuses. Its text may quote the value, so that of a secret is replaced.
    static func set(_ name: String, _ value: String, in configuration: OpaquePointer) -> String? {
        let reason = KafkaClientError.text { rd_kafka_conf_set(configuration, name, value, $0, $1) == RD_KAFKA_CONF_OK }
        guard reason != nil, KafkaCluster.isSecret(name) else { return reason }
        return "librdkafka refuses the value (not shown, as it may be secret)"
    }
}
