import Headwater

/// The reference of all options, made from the tables that are obeyed. One line per option for a terminal.
public enum OptionReference {
    public static var text: String {
        var out = ""
        let defaults = HeadwaterConfiguration(listeners: [])
        out += lines(BrokerOptions.table, prefix: "", defaults: defaults, hasVariables: true)
        out += "# The options of listeners[] except name, address, host, port and max_connections may also stand in the section\n"
        out += "# security, which says them for all listeners at once.\n\n"
        out += lines(ListenerOptions.table, prefix: "listeners[].", defaults: ListenerEntry(), hasVariables: false)
        let limits = QuotaOptions.TenantEntry(tenant: .init(), client: .init())
        out += lines(QuotaOptions.tenantTable, prefix: "tenants.NAME.", defaults: limits, hasVariables: false)
        out += lines(KafkaOptions.clusters, prefix: "kafka.clusters.NAME.", defaults: KafkaClusterEntry(), hasVariables: false)
        out += lines(KafkaOptions.routes, prefix: "kafka.routes[].", defaults: KafkaRouteEntry(), hasVariables: false)
        out += lines(KafkaInboundOptions.table, prefix: "kafka.inbound[].", defaults: KafkaInboundEntry(), hasVariables: false)
        return out
    }

    private static func lines<Target>(
        _ table: [ConfigurationOption<Target>], prefix: String, defaults: Target, hasVariables: Bool
    ) -> String {
        table.map { option in
            let value = option.get(defaults)
            let isUnset = value == .none && option.type.word == "null" || value == .texts([]) || value == .fields([])
            let variable = hasVariables ? "\n    \(EnvironmentOptions.variable(for: option.path))" : ""
            return """
                \(prefix)\(option.path.joined(separator: ".")): \(isUnset ? "(none)" : option.type.scalarText(value))
                    \(option.summary)
                    \(option.type.meaning)\(variable)

                """
        }.joined(separator: "\n") + "\n"
    }
}
