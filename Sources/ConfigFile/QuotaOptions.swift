import Headwater

/// What clients and tenants may bring: `quotas.client`, `quotas.tenant`, and in the section `tenants` the same for a tenant by its name.
enum QuotaOptions {
    /// One entry of `tenants`.
    struct TenantEntry: Sendable {
        var tenant: QuotaLimits
        var client: QuotaLimits
    }

    static let tenantTable: [ConfigurationOption<TenantEntry>] =
        table(prefix: "", \.tenant, of: "all clients of this tenant together") + table(prefix: "client", \.client, of: "one client of this tenant")

    static func table<Target>(
        prefix: String, _ limits: any WritableKeyPath<Target, QuotaLimits> & Sendable, of whom: String
    ) -> [ConfigurationOption<Target>] {
        func path(_ name: String) -> String { prefix.isEmpty ? name : "\(prefix).\(name)" }
        func number(
            _ name: String, _ field: any WritableKeyPath<QuotaLimits, Int?> & Sendable, _ type: OptionType, _ summary: String
        ) -> ConfigurationOption<Target> {
            ConfigurationOption(
                path(name), type, summary,
                get: { $0[keyPath: limits][keyPath: field].map(OptionValue.integer) ?? .none },
                set: { if case .integer(let number) = $1 { $0[keyPath: limits][keyPath: field] = number } else { $0[keyPath: limits][keyPath: field] = nil } })
        }
        let count = OptionType.integer(1...1_000_000_000, word: "unlimited")
        return [
            number("max_connections", \.maxConnections, count, "Connections of \(whom) at once; more are refused with 0x97 Quota exceeded."),
            number("connects_per_second", \.connectsPerSecond, count, "CONNECTs of \(whom) each second; more are refused with 0x9F."),
            number("messages_per_second", \.messagesPerSecond, count, "PUBLISH packets of \(whom) each second."),
            number(
                "bytes_per_second", \.bytesPerSecond, .bytes(1...1 << 40, word: "unlimited"),
                "Topic, properties and payload of PUBLISH packets of \(whom) each second."),
            ConfigurationOption(
                path("excess"), .choice(QuotaLimits.Excess.allCases.map(\.rawValue)),
                "Above a rate. slow: the socket is not read for a while; refuse: 0x97 and not routed.",
                get: { .text($0[keyPath: limits].excess.rawValue) },
                set: { if case .text(let text) = $1, let excess = QuotaLimits.Excess(rawValue: text) { $0[keyPath: limits].excess = excess } }),
        ]
    }
}

extension ConfigurationReader {
    /// The section `tenants`: limits by the name of the tenant, in place of the general ones.
    mutating func tenantQuotas(_ found: Found, into quotas: inout BrokerConfiguration.Quotas) {
        for (name, _, node) in namedEntries(of: found, place: "tenants") {
            var entry = QuotaOptions.TenantEntry(tenant: quotas.tenant, client: quotas.client)
            _ = read(node, place: "tenants.\(name)", into: &entry, table: QuotaOptions.tenantTable)
            quotas.tenants[name] = entry.tenant
            quotas.clientsOfTenants[name] = entry.client
        }
    }
}
