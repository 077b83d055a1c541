import CRdKafka

/// What the bridge sets of an inbound route's consumer: defaults, then the operator's, then what the bridge decides itself.
enum ConsumerProperties {
    static let defaults: [(name: String, value: String)] = [
        ("client.id", "headwater"),
        // After a crash the group waits that long for the member that is gone; librdkafka's own default is 45 s.
        ("session.timeout.ms", "10000"),
        ("reconnect.backoff.max.ms", "2000"),
        ("socket.nagle.disable", "true"),
        // librdkafka remembers that a topic is missing or forbidden until it asks again; its own default is 5 minutes.
        ("topic.metadata.refresh.interval.ms", "30000"),
        ("statistics.interval.ms", "5000"),
        // What is read ahead: librdkafka's own default is 64 MiB for each partition.
        ("queued.max.messages.kbytes", "8192"),
    ]

    private static let reserved = [
        "group.id": "write it as the route's group",
        "auto.offset.reset": "write it as the route's start",
        "enable.auto.commit": "the place in each partition is kept in the broker's store; leave it out",
        "enable.auto.offset.store": "the place in each partition is kept in the broker's store; leave it out",
    ]

    /// What is wrong with the route's own properties; the cluster's are checked with the cluster.
    static func faults(of route: KafkaInboundRoute, cluster: KafkaCluster) -> [String] {
        let reserved = route.properties.keys.sorted().compactMap { name in
            (Self.reserved[name] ?? ProducerProperties.reserved[name]).map { "the property \(name) can't be set here: \($0)" }
        }
        guard reserved.isEmpty else { return reserved }
        do throws(KafkaClientError) {
            let group = route.group ?? "headwater"
            rd_kafka_conf_destroy(try configuration(of: route, cluster: cluster, bootstrapServers: nil, group: group, resets: route.start))
            return []
        } catch {
            return [error.reason]
        }
    }

    /// A configuration for `rd_kafka_new`. The caller owns it.
    /// - Parameter resets: Where to go on when the place is none that Kafka still has, or there is none.
    static func configuration(
        of route: KafkaInboundRoute, cluster: KafkaCluster, bootstrapServers: String?, group: String, resets: KafkaInboundRoute.Start
    ) throws(KafkaClientError) -> OpaquePointer {
        let bridges = [
            ("group.id", group), ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"), ("auto.offset.reset", resets.rawValue),
            ("log.queue", "true"),
        ]
        return try ProducerProperties.made(defaults, of: cluster.with(route.properties), bootstrapServers: bootstrapServers, own: bridges)
    }
}
