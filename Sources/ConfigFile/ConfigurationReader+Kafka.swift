import KafkaBridge
import MQTTModel
import Yams

extension ConfigurationReader {
    /// The section `kafka`: clusters first, since routes name them.
    /// - Returns: The bridge's configuration, and `cluster/property` for each value that came from a reference.
    mutating func kafka(
        _ section: Found, clusters: Found?, routes: Found?, inbound: Found?, environment: [String: String]
    ) -> (KafkaConfiguration, secrets: Set<String>) {
        let known = diagnostics.count
        var secrets: Set<String> = []
        var read: [String: KafkaCluster] = [:]
        var names: Set<String> = []
        var clusterKeys: [String: Node] = [:]
        var routeNodes: [String: Node] = [:]
        let writtenClusters =
            if let clusters { namedEntries(of: clusters, place: "kafka.clusters") } else { [(name: String, key: Node, value: Node)]() }
        for (name, key, node) in writtenClusters {
            if let fault = ListenerOptions.nameFault(name) {
                report("kafka.clusters: \(fault)", at: key)
                continue
            }
            names.insert(name)
            clusterKeys[name] = key
            if let cluster = cluster(name, node, key: key, environment: environment, secrets: &secrets) { read[name] = cluster }
        }
        if names.isEmpty, diagnostics.count == known {
            report(
                "kafka needs clusters, as in clusters: {main: {bootstrap_servers: \"kafka:9092\"}}, or remove the section", at: section.key)
        }
        var madeRoutes: [KafkaRoute] = []
        let writtenRoutes = if let routes { entries(of: routes, place: "kafka.routes") } else { [Node]() }
        for (index, node) in writtenRoutes.enumerated() {
            guard let route = route(index, node, clusters: names, environment: environment, secrets: &secrets) else { continue }
            if madeRoutes.contains(where: { $0.name == route.name }) {
                report(
                    "kafka.routes[\(index + 1)]: another route has the name \(OptionType.shown(route.name)); give each a name of its own",
                    at: node)
            }
            routeNodes[route.name] = node
            madeRoutes.append(route)
        }
        let (madeInbound, inboundNodes) = self.inbound(inbound, clusters: names, environment: environment, secrets: &secrets)
        let configuration = KafkaConfiguration(clusters: read, routes: madeRoutes, inbound: madeInbound)
        if diagnostics.count == known {
            for error in configuration.validate() {
                let place = error.clusterName.flatMap { clusterKeys[$0] } ?? error.routeName.flatMap { routeNodes[$0] }
                    ?? error.inboundName.flatMap { inboundNodes[$0] }
                report("\(error)", at: place ?? section.key)
            }
        }
        return (configuration, secrets)
    }

    private mutating func cluster(
        _ name: String, _ node: Node, key: Node, environment: [String: String], secrets: inout Set<String>
    ) -> KafkaCluster? {
        let place = "kafka.clusters.\(name)"
        let known = diagnostics.count
        var entry = KafkaClusterEntry()
        let found = read(node, place: place, into: &entry, table: KafkaOptions.clusters)
        if entry.isEmbedded {
            if let servers = found["bootstrap_servers"], entry.bootstrapServers != nil {
                report("\(place): embedded: true brings a Kafka of its own; remove bootstrap_servers, or embedded", at: servers.key)
            }
        } else if diagnostics.count == known {
            if entry.bootstrapServers == nil {
                report("\(place) needs bootstrap_servers: HOST:PORT, or embedded: true for a development Kafka", at: key)
            }
            for option in ["bootstrap_file", "brokers"] where entry.bootstrapFile != nil || option == "brokers" {
                guard let extra = found[option], option != "brokers" || entry.brokers != 1 else { continue }
                report("\(place).\(option) is for embedded: true alone", at: extra.key)
            }
        }
        let properties = properties(entry.properties, place: place, owner: name, found, environment: environment, secrets: &secrets)
        let registry = registry(entry, place: place, name: name, found, key: key, environment: environment, secrets: &secrets)
        guard diagnostics.count == known else { return nil }
        return KafkaCluster(
            name: name, bootstrapServers: entry.bootstrapServers, isEmbedded: entry.isEmbedded, embeddedBrokers: entry.brokers,
            bootstrapFile: entry.bootstrapFile, properties: properties, maxTopics: entry.maxTopics, schemaRegistry: registry)
    }

    /// `nil`: none is written, or it is faulty and that is reported.
    private mutating func registry(
        _ entry: KafkaClusterEntry, place: String, name: String, _ found: [String: Found], key: Node, environment: [String: String],
        secrets: inout Set<String>
    ) -> KafkaSchemaRegistry? {
        guard !entry.registry.urls.isEmpty || entry.registry.isEmbedded else {
            let isWritten = entry.registry != KafkaSchemaRegistry() || !entry.schemaFiles.isEmpty
            if isWritten { report("\(place).schema_registry needs urls, or embedded: true for a development registry", at: found["schema_registry"]?.key ?? key) }
            return nil
        }
        var registry = entry.registry
        for (option, field) in [("username", \KafkaSchemaRegistry.username), ("password", \.password), ("token", \.token)] {
            guard let text = registry[keyPath: field] else { continue }
            do {
                let (value, isSecret) = try SecretReference.resolve(text, environment: environment)
                registry[keyPath: field] = value
                if isSecret { secrets.insert("\(name)/schema_registry.\(option)") }
            } catch {
                report("\(place).schema_registry.\(option): \(error.message)", at: found["schema_registry.\(option)"]?.value)
            }
        }
        registry.schemaFiles = Dictionary(entry.schemaFiles.map { ($0.name, $0.value) }) { first, _ in first }
        if registry.isEmbedded, !registry.urls.isEmpty {
            report("\(place).schema_registry: embedded: true brings a registry of its own; remove urls, or embedded", at: found["schema_registry"]?.key ?? key)
        }
        return registry
    }

    /// The cluster that an entry names, or the only one; `nil` after it has been reported that there is none.
    mutating func cluster(named name: String?, of clusters: Set<String>, place: String, _ found: [String: Found], _ node: Node) -> String? {
        guard let cluster = name ?? (clusters.count == 1 ? clusters.first : nil) else {
            report("\(place) needs a cluster: one of \(clusters.sorted().joined(separator: ", "))", at: node)
            return nil
        }
        guard clusters.contains(cluster) else {
            let near = Suggestion.text(for: cluster, in: clusters.sorted())
            report("\(place): no cluster is named \(OptionType.shown(cluster))\(near)", at: found["cluster"]?.value ?? node)
            return nil
        }
        return cluster
    }

    /// Properties with their references followed.
    mutating func properties(
        _ fields: [OptionField], place: String, owner: String, _ found: [String: Found], environment: [String: String],
        secrets: inout Set<String>
    ) -> [String: String] {
        var properties: [String: String] = [:]
        for field in fields {
            do {
                let (value, isSecret) = try SecretReference.resolve(field.value, environment: environment)
                properties[field.name] = value
                if isSecret { secrets.insert("\(owner)/\(field.name)") }
            } catch {
                report("\(place).properties.\(field.name): \(error.message)", at: found["properties"]?.value)
            }
        }
        return properties
    }

    private mutating func route(
        _ index: Int, _ node: Node, clusters: Set<String>, environment: [String: String], secrets: inout Set<String>
    ) -> KafkaRoute? {
        let place = "kafka.routes[\(index + 1)]"
        let known = diagnostics.count
        var entry = KafkaRouteEntry()
        let found = read(node, place: place, into: &entry, table: KafkaOptions.routes)
        guard diagnostics.count == known else { return nil }
        if entry.filter != nil, !entry.filters.isEmpty {
            report("\(place): filter or filters, not both", at: found["filters"]?.key ?? node)
        }
        let texts = entry.filter.map { [$0] } ?? entry.filters
        if texts.isEmpty { report("\(place) needs a filter, as in filter: telemetry/#", at: node) }
        if entry.topic == nil { report("\(place) needs a topic, the Kafka topic of its records", at: node) }
        let cluster = cluster(named: entry.cluster, of: clusters, place: place, found, node)
        if entry.timestamp == "received", entry.timestampUnit != .milliseconds {
            report("\(place).timestamp_unit is for timestamp: payload.FIELD alone", at: found["timestamp_unit"]?.key ?? node)
        }
        let allowedTopics = made("topics", found, place: place, node) { try entry.topics.map { try KafkaTopicPattern($0) } }
        let value = made("value", found, place: place, node) { try RecordValue(entry.value) }
        let timestamp = made("timestamp", found, place: place, node) { try RecordTimestamp(entry.timestamp, unit: entry.timestampUnit) }
        let partition = made("partition", found, place: place, node) { try entry.partition.map { try RecordTemplate($0) } }
        guard diagnostics.count == known, let cluster, let topic = entry.topic, let allowedTopics, let value, let timestamp, let partition
        else { return nil }
        do {
            let name = entry.name ?? "route-\(index + 1)"
            var delivery = entry.delivery
            delivery.properties = properties(
                entry.properties, place: place, owner: "routes.\(name)", found, environment: environment, secrets: &secrets)
            guard diagnostics.count == known else { return nil }
            if let property = entry.deduplicationProperty {
                delivery.deduplication = RouteDeduplication(userProperty: property, seconds: entry.deduplicationSeconds ?? 600)
            } else if entry.deduplicationSeconds != nil {
                report("\(place).deduplicate.for is for deduplicate.property alone", at: found["deduplicate.for"]?.key ?? node)
            }
            delivery.schema = entry.schemaFormat.map {
                var schema = entry.schema
                schema.format = $0
                return schema
            }
            var route = KafkaRoute(
                name: name, filters: try texts.map { try TopicFilter($0) }, cluster: cluster,
                topic: try RecordTemplate(topic), key: try entry.key.map { try RecordTemplate($0) },
                headers: try entry.headers.map { KafkaRoute.Header($0.name, try RecordTemplate($0.value)) },
                excluded: try entry.exclude.map { try TopicFilter($0) }, allowedTopics: allowedTopics, value: value, timestamp: timestamp,
                partition: partition, startsTraces: entry.trace)
            route.delivery = delivery
            return route
        } catch {
            report("\(place): \(error)", at: node)
            return nil
        }
    }

    /// What `make` makes of an option's text; `nil` after it has been reported why it can't.
    private mutating func made<Made>(
        _ option: String, _ found: [String: Found], place: String, _ node: Node, _ make: () throws -> Made
    ) -> Made? {
        do {
            return try make()
        } catch {
            report("\(place).\(option): \(error)", at: found[option]?.value ?? node)
            return nil
        }
    }
}

extension KafkaConfigurationError {
    /// The cluster whose entry is at fault.
    fileprivate var clusterName: String? {
        switch self {
        case .clusterName(let name, _), .noAddress(let name), .embeddedWithAddress(let name), .embeddedBrokers(let name, _),
            .maxTopics(let name), .property(let name, _, _), .reservedProperty(let name, _, _), .producer(let name, _):
            name
        case .unnamedRoute, .duplicateRoute, .unknownCluster, .noFilter, .sharedFilter, .topicTemplate, .header, .topicNotAllowed, .partition,
            .constantValue, .delivery, .inbound:
            nil
        }
    }

    /// The route whose entry is at fault.
    fileprivate var routeName: String? {
        switch self {
        case .duplicateRoute(let name), .unknownCluster(let name, _, _), .noFilter(let name), .sharedFilter(let name, _),
            .topicTemplate(let name, _, _), .header(let name, _), .topicNotAllowed(let name, _), .partition(let name, _), .constantValue(let name, _),
            .delivery(let name, _):
            name
        case .unnamedRoute, .clusterName, .noAddress, .embeddedWithAddress, .embeddedBrokers, .maxTopics, .property, .reservedProperty,
            .producer, .inbound:
            nil
        }
    }

    /// The same for the other direction.
    fileprivate var inboundName: String? { if case .inbound(let name, _) = self { name } else { nil } }
}
