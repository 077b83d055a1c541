import Headwater
import KafkaBridge
import MQTTModel

extension HeadwaterConfiguration {
    /// What stands in place of a secret.
    static let hidden = "********"

    /// The complete configuration in force, defaults included, as YAML that `parse` reads again. Values of Kafka
    /// properties that are secrets are hidden.
    public func effectiveYAML() -> String {
        var out = Self.section(BrokerOptions.table, of: self, indent: 0)
        out += tenantQuotas()
        out += "listeners:\n"
        for listener in broker.listeners {
            out += Self.listEntry(Self.section(ListenerOptions.table(for: listener), of: ListenerOptions.entry(listener), indent: 2))
        }
        guard let kafka else { return out }
        out += "kafka:\n  clusters:\n"
        for cluster in kafka.clusters.values.sorted(by: { $0.name < $1.name }) {
            out += "    \(OptionType.yamlText(cluster.name)):\n"
            out += Self.section(KafkaOptions.clusters, of: entry(cluster), indent: 6)
        }
        out += kafka.routes.isEmpty ? "  routes: []\n" : "  routes:\n"
        for route in kafka.routes {
            out += Self.listEntry(Self.section(KafkaOptions.routes, of: entry(route), indent: 4), indent: 2)
        }
        if !kafka.inbound.isEmpty { out += "  inbound:\n" }
        for route in kafka.inbound {
            out += Self.listEntry(Self.section(KafkaInboundOptions.table, of: entry(route), indent: 4), indent: 2)
        }
        return out
    }

    private func tenantQuotas() -> String {
        let names = Set(broker.quotas.tenants.keys).union(broker.quotas.clientsOfTenants.keys).sorted()
        return names.isEmpty ? "" : "tenants:\n" + names.map { name in
            let entry = QuotaOptions.TenantEntry(
                tenant: broker.quotas.tenants[name] ?? broker.quotas.tenant, client: broker.quotas.clientsOfTenants[name] ?? broker.quotas.client)
            return "  \(OptionType.yamlText(name)):\n" + Self.section(QuotaOptions.tenantTable, of: entry, indent: 4)
        }.joined()
    }

    /// One line per option, nested by path. Options that say nothing are left out where absence says the same.
    private static func section<Target>(_ table: [ConfigurationOption<Target>], of target: Target, indent: Int) -> String {
        var out = ""
        var open: [String] = []
        for option in table {
            let value = option.get(target)
            if value == .none, option.type.word == "null" { continue }
            if value == .texts([]) || value == .fields([]) { continue }
            let parents = Array(option.path.dropLast())
            for depth in parents.indices where depth >= open.count || open[depth] != parents[depth] {
                out += String(repeating: " ", count: indent + 2 * depth) + "\(parents[depth]):\n"
                open = Array(parents[...depth])
            }
            open = parents
            out += String(repeating: " ", count: indent + 2 * parents.count)
            out += "\(option.path[parents.count]): \(option.type.scalarText(value))\n"
        }
        return out
    }

    /// Turns a section into an entry of a list: the dash goes into the first line's indentation.
    private static func listEntry(_ section: String, indent: Int = 0) -> String {
        let spaces = String(repeating: " ", count: indent)
        return "\(spaces)- \(section.dropFirst(indent + 2))"
    }

    private func entry(_ cluster: KafkaCluster) -> KafkaClusterEntry {
        let properties = shown(cluster.properties, of: cluster.name)
        var entry = KafkaClusterEntry(
            bootstrapServers: cluster.bootstrapServers, isEmbedded: cluster.isEmbedded, brokers: cluster.embeddedBrokers,
            bootstrapFile: cluster.bootstrapFile, properties: properties, maxTopics: cluster.maxTopics)
        if var registry = cluster.schemaRegistry {
            if registry.password != nil { registry.password = Self.hidden }
            if registry.token != nil { registry.token = Self.hidden }
            entry.registry = registry
            entry.schemaFiles = registry.schemaFiles.sorted { $0.key < $1.key }.map { OptionField(name: $0.key, value: $0.value) }
        }
        return entry
    }

    private func shown(_ properties: [String: String], of owner: String) -> [OptionField] {
        properties.sorted { $0.key < $1.key }.map { name, value in
            OptionField(name: name, value: secretProperties.contains("\(owner)/\(name)") || KafkaCluster.isSecret(name) ? Self.hidden : value)
        }
    }

    private func entry(_ route: KafkaInboundRoute) -> KafkaInboundEntry {
        KafkaInboundEntry(
            name: route.name, cluster: route.cluster, topics: route.topics, group: route.group, topic: route.topic.text,
            qos: Int(route.qos.rawValue), retain: route.isRetained, expirySeconds: route.expirySeconds.map { Int($0) },
            contentType: route.contentType, tenant: route.tenant?.text, start: route.start, keyProperty: route.passesKey,
            maxHops: route.maxHops, properties: shown(route.properties, of: "inbound.\(route.name)"))
    }

    private func entry(_ route: KafkaRoute) -> KafkaRouteEntry {
        var entry = KafkaRouteEntry(
            name: route.name, filter: nil, filters: route.filters.map(\.string), cluster: route.cluster, topic: route.topic.text,
            key: route.key?.text, headers: route.headers.map { OptionField(name: $0.name, value: $0.value.text) })
        entry.exclude = route.excluded.map(\.string)
        entry.topics = route.allowedTopics.map(\.text)
        entry.value = route.value.text
        if case .payload(let path, let unit) = route.timestamp { (entry.timestamp, entry.timestampUnit) = (path.text, unit) }
        entry.partition = route.partition?.text
        entry.trace = route.startsTraces
        entry.delivery = route.delivery
        entry.deduplicationProperty = route.delivery.deduplication?.userProperty
        entry.deduplicationSeconds = route.delivery.deduplication?.seconds
        entry.schemaFormat = route.delivery.schema?.format
        if let schema = route.delivery.schema { entry.schema = schema }
        entry.properties = shown(route.delivery.properties, of: "routes.\(route.name)")
        return entry
    }
}
