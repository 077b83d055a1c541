import MQTTModel

/// What the bridge is told: clusters, and routes to them.
public struct KafkaConfiguration: Sendable, Equatable {
    /// By name.
    public var clusters: [String: KafkaCluster]
    public var routes: [KafkaRoute]

    public init(clusters: [String: KafkaCluster] = [:], routes: [KafkaRoute] = []) {
        self.clusters = clusters
        self.routes = routes
    }

    public init(clusters: [KafkaCluster], routes: [KafkaRoute]) {
        self.init(clusters: Dictionary(clusters.map { ($0.name, $0) }) { first, _ in first }, routes: routes)
    }

    /// Everything that is wrong, not only the first thing. Empty: the bridge can start. Asks librdkafka about the
    /// properties, files of certificates included; opens no connection.
    public func validate() -> [KafkaConfigurationError] {
        clusters.sorted { $0.key < $1.key }.flatMap { faults(of: $0.value, named: $0.key) } + routeFaults
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
            for filter in route.filters where filter.isShared {
                faults.append(.sharedFilter(route: route.name, filter: filter.string))
            }
            if let fault = route.topic.topicTemplateFault {
                faults.append(.topicTemplate(route: route.name, template: route.topic.text, fault: fault))
            }
            for header in route.headers where header.name.isEmpty || RecordHeaders.isReserved(header.name) {
                faults.append(.header(route: route.name, name: header.name))
            }
        }
        return faults
    }
}
