import Logging
import PluginAPI
import Security

/// What every loop gets at its birth: immutable, or Sendable with its own protection.
struct BrokerShared: Sendable {
    let configuration: BrokerConfiguration
    let nodes: [LoopNode]
    let directory: SessionDirectory
    let tenants: TenantDirectory
    let quotas: QuotaBook
    let totals: BrokerTotals
    let plugins: [any BrokerPlugin]
    let authenticator: (any Authenticator)?
    let halfOpen: HalfOpenConnections
    let loginGuard: LoginGuard
    let hashingPool: HashingPool
    let handshakeThreads: HandshakeThreads
    /// By listener; at the start.
    let security: [ListenerSecurity]
    let logger: Logger
    /// `nil`: everything is in memory.
    let store: StoreService?
}
