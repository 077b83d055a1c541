/// How much one client, or all clients of one tenant together, may bring. `nil` is no limit; 0 and less are read as 1.
///
/// Rates are means: what was not used for a second may come at once. Of PUBLISH, only what clients send is counted, and not
/// wills, nor messages of the embedding program and of plugins.
public struct QuotaLimits: Sendable, Equatable {
    /// Connections at once; above it CONNECT is refused with 0x97. Of a tenant alone: a client has one connection.
    public var maxConnections: Int?
    /// CONNECTs that were authenticated, each second; above it they are refused with 0x9F.
    public var connectsPerSecond: Int?
    /// PUBLISH packets each second.
    public var messagesPerSecond: Int?
    /// Bytes of topic, properties and payload in PUBLISH packets each second.
    public var bytesPerSecond: Int?
    public var excess = Excess.slow

    /// What becomes of PUBLISH above a rate.
    public enum Excess: String, Sendable, Equatable, CaseIterable {
        /// It is taken, and the client's socket is not read until the mean is right again.
        case slow
        /// It is not routed: 0x97 in PUBACK or PUBREC; at QoS 0 and before MQTT 5 it is dropped, and acknowledged as the QoS has
        /// it.
        case refuse
    }

    public init(
        maxConnections: Int? = nil, connectsPerSecond: Int? = nil, messagesPerSecond: Int? = nil, bytesPerSecond: Int? = nil,
        excess: Excess = .slow
    ) {
        self.maxConnections = maxConnections
        self.connectsPerSecond = connectsPerSecond
        self.messagesPerSecond = messagesPerSecond
        self.bytesPerSecond = bytesPerSecond
        self.excess = excess
    }

    var isEmpty: Bool { maxConnections == nil && connectsPerSecond == nil && !hasRates }
    /// Whether PUBLISH is counted.
    var hasRates: Bool { messagesPerSecond != nil || bytesPerSecond != nil }
}

extension BrokerConfiguration {
    /// Limits of clients and tenants. Both hold: a client's own, and its tenant's for all of its clients together.
    public struct Quotas: Sendable, Equatable {
        /// For each client.
        public var client = QuotaLimits()
        /// For each tenant, the default tenant included.
        public var tenant = QuotaLimits()
        /// In place of `client`, for the clients of a tenant, by the tenant's name.
        public var clientsOfTenants: [String: QuotaLimits] = [:]
        /// In place of `tenant`, by name; the default tenant's is empty.
        public var tenants: [String: QuotaLimits] = [:]

        public init() {}

        func limits(ofTenant name: String) -> QuotaLimits { tenants[name] ?? tenant }
        func limits(ofClientsOf name: String) -> QuotaLimits { clientsOfTenants[name] ?? client }
    }
}
