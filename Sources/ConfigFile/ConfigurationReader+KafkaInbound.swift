import KafkaBridge
import MQTTModel
import Yams

/// The entries of `kafka.inbound`.
extension ConfigurationReader {
    /// - Parameter clusters: Names of those that were written.
    /// - Returns: The routes, and where each stands.
    mutating func inbound(
        _ written: Found?, clusters: Set<String>, environment: [String: String], secrets: inout Set<String>
    ) -> (routes: [KafkaInboundRoute], nodes: [String: Node]) {
        var routes: [KafkaInboundRoute] = []
        var nodes: [String: Node] = [:]
        let entries = if let written { entries(of: written, place: "kafka.inbound") } else { [Node]() }
        for (index, node) in entries.enumerated() {
            guard let route = inbound(index, node, clusters: clusters, environment: environment, secrets: &secrets) else { continue }
            if nodes[route.name] != nil {
                report(
                    "kafka.inbound[\(index + 1)]: another route has the name \(OptionType.shown(route.name)); give each a name of its own",
                    at: node)
            }
            nodes[route.name] = node
            routes.append(route)
        }
        return (routes, nodes)
    }

    private mutating func inbound(
        _ index: Int, _ node: Node, clusters: Set<String>, environment: [String: String], secrets: inout Set<String>
    ) -> KafkaInboundRoute? {
        let place = "kafka.inbound[\(index + 1)]"
        let known = diagnostics.count
        var entry = KafkaInboundEntry()
        let found = read(node, place: place, into: &entry, table: KafkaInboundOptions.table)
        guard diagnostics.count == known else { return nil }
        if entry.topics.isEmpty { report("\(place) needs topics, as in topics: [commands]", at: node) }
        if entry.topic == nil { report("\(place) needs a topic, the MQTT topic of its messages, as in topic: commands/${key}", at: node) }
        let cluster = cluster(named: entry.cluster, of: clusters, place: place, found, node)
        let name = entry.name ?? "inbound-\(index + 1)"
        let properties = properties(
            entry.properties, place: place, owner: "inbound.\(name)", found, environment: environment, secrets: &secrets)
        guard diagnostics.count == known, let cluster, let topic = entry.topic else { return nil }
        do {
            return KafkaInboundRoute(
                name: name, cluster: cluster, topics: entry.topics, topic: try InboundTemplate(topic),
                qos: QoS(rawValue: UInt8(entry.qos)) ?? .atLeastOnce, isRetained: entry.retain,
                expirySeconds: entry.expirySeconds.map { UInt32($0) }, contentType: entry.contentType,
                tenant: try entry.tenant.map { try InboundTemplate($0) }, group: entry.group, start: entry.start,
                passesKey: entry.keyProperty, maxHops: entry.maxHops, properties: properties)
        } catch {
            report("\(place): \(error)", at: node)
            return nil
        }
    }
}
