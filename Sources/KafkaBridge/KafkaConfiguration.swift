import MQTTModel

/// What the bridge is told: clusters, and routes to them.
public struct KafkaConfiguration: Sendable, Equatable {
    /// By name.
    public var clusters: [String: KafkaCluster]
    public var routes: [KafkaRoute]
    /// Routes from Kafka to MQTT.
    public var inbound: [KafkaInboundRoute]
    /// Begins transactional identifiers and consumer groups: one name for one broker, kept for its life. `nil`: made of the store's
    /// identity.
    public var brokerName: String?

    public init(clusters: [String: KafkaCluster] = [:], routes: [KafkaRoute] = [], inbound: [KafkaInboundRoute] = []) {
        self.inbound = inbound
        self.clusters = clusters
        self.routes = routes
    }

    public init(clusters: [KafkaCluster], routes: [KafkaRoute], inbound: [KafkaInboundRoute] = []) {
        self.init(clusters: Dictionary(clusters.map { ($0.name, $0) }) { first, _ in first }, routes: routes, inbound: inbound)
    }

    /// Everything that is wrong, not only the first thing. Empty: the bridge can start. Asks librdkafka about the
    /// properties, files of certificates included; opens no connection.
    public func validate() -> [KafkaConfigurationError] {
        clusters.sorted { $0.key < $1.key }.flatMap { faults(of: $0.value, named: $0.key) } + routeFaults + inboundFaults
    }

    private func faults(of cluster: KafkaCluster, named name: String) -> [KafkaConfigurationError] {
        var faults: [KafkaConfigurationError] = []
        if name.isEmpty || cluster.name != name { faults.append(.clusterName(key: name, name: cluster.name)) }
        switch (cluster.isEmbedded, cluster.bootstrapServers) {
        case (true, .some): faults.append(.embeddedWithAddress(cluster: name))
        case (false, .none), (false, .some("")): faults.append(.noAddress(cluster: name))
        default: break
        }
        if cluster.isEmbedded, !(1...16).contains(cluster.embeddedBrokers) {
            faults.append(.embeddedBrokers(cluster: name, count: cluster.embeddedBrokers))
        }
        if cluster.maxTopics < 1 { faults.append(.maxTopics(cluster: name)) }
        return faults + ProducerProperties.faults(of: cluster)
    }

    private func deliveryFaults(of route: KafkaRoute) -> [KafkaConfigurationError] {
        var faults: [KafkaConfigurationError] = []
        let delivery = route.delivery
        func fault(_ text: String) { faults.append(.delivery(route: route.name, fault: text)) }
        if !(1...64).contains(delivery.outbox.shards) { fault("the outbox has 1 to 64 shards") }
        if delivery.level == .atMostOnce, delivery.acknowledgement != nil || delivery.deadLetterTopic != nil || delivery.deduplication != nil {
            fault("at-most-once stores nothing and waits for nothing: leave acknowledge, the dead-letter topic and deduplication out")
        }
        if delivery.level == .atMostOnce, !delivery.properties.isEmpty {
            fault("at-most-once uses the cluster's producer: write its properties there")
        }
        if delivery.level == .exactlyOnce, route.cursorTopic == nil {
            fault(
                "exactly-once keeps its cursor at a topic that exists, and the template \(route.topic.text) names none: give cursor_topic or "
                    + "dead_letter_topic")
        }
        for topic in [delivery.deadLetterTopic, delivery.cursorTopic].compactMap({ $0 }) where !RecordTemplate.isLegalTopic(Array(topic.utf8)) {
            fault("\(topic) is no name that Kafka allows for a topic")
        }
        if let schema = delivery.schema {
            if let text = schema.fault { fault("schema: \(text)") }
            if clusters[route.cluster]?.schemaRegistry == nil { fault("it has a schema, but its cluster no schema_registry") }
            if delivery.level == .atMostOnce { fault("at-most-once checks no schema: take at-least-once, or leave the schema out") }
        }
        guard let cluster = clusters[route.cluster], !delivery.properties.isEmpty || delivery.level != .atLeastOnce else { return faults }
        let merged = cluster.with(delivery.properties)
        if delivery.level == .idempotent || delivery.level == .exactlyOnce, merged.properties["enable.idempotence"] == "false" {
            fault("\(delivery.level.rawValue) needs enable.idempotence=true: leave that property out")
        }
        for error in ProducerProperties.faults(of: merged) { fault("\(error)") }
        return faults
    }

    private var inboundFaults: [KafkaConfigurationError] {
        var faults: [KafkaConfigurationError] = []
        var names: Set<String> = []
        for route in inbound {
            if route.name.isEmpty { faults.append(.unnamedRoute) }
            if !names.insert(route.name).inserted { faults.append(.inbound(route: route.name, fault: "another route has that name: rename one")) }
            faults += route.faults.map { .inbound(route: route.name, fault: $0) }
            if let cluster = clusters[route.cluster] {
                faults += ConsumerProperties.faults(of: route, cluster: cluster).map { .inbound(route: route.name, fault: $0) }
            } else {
                faults.append(.inbound(route: route.name, fault: "no cluster is named \"\(route.cluster)\""))
            }
        }
        return faults
    }

    private var routeFaults: [KafkaConfigurationError] {
        var faults: [KafkaConfigurationError] = []
        var names: Set<String> = []
        for route in routes {
            if route.name.isEmpty { faults.append(.unnamedRoute) }
            if !names.insert(route.name).inserted { faults.append(.duplicateRoute(route.name)) }
            if clusters[route.cluster] == nil {
                faults.append(.unknownCluster(route: route.name, cluster: route.cluster, known: clusters.keys.sorted()))
            }
            if route.filters.isEmpty { faults.append(.noFilter(route: route.name)) }
            for filter in route.filters + route.excluded where filter.isShared {
                faults.append(.sharedFilter(route: route.name, filter: filter.string))
            }
            if let fault = route.topic.topicTemplateFault {
                faults.append(.topicTemplate(route: route.name, template: route.topic.text, fault: fault))
            } else if !route.topic.hasPlaceholder, !route.allows(route.topic.text) {
                faults.append(.topicNotAllowed(route: route.name, topic: route.topic.text))
            }
            if let partition = route.partition, !partition.hasPlaceholder, RecordRenderer.partition(Array(partition.text.utf8)) == nil {
                faults.append(.partition(route: route.name, text: partition.text))
            }
            if case .template(let value) = route.value, !value.hasPlaceholder {
                faults.append(.constantValue(route: route.name, text: value.text))
            }
            faults += deliveryFaults(of: route)
            for header in route.headers where header.name.isEmpty || RecordHeaders.isReserved(header.name) {
                faults.append(.header(route: route.name, name: header.name))
            }
        }
        return faults
    }
}
