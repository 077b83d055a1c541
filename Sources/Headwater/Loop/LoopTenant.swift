/// What one loop has for one tenant: its roots in the loop's trees, its figures, and what it may bring.
///
/// Made when the tenant first comes to the loop, and kept as long as the loop: connections refer to it without counting.
final class LoopTenant {
    let number: UInt32
    let name: String
    /// Its root among the subscriptions (`BrokerLoop.tree`).
    let root: UInt32
    /// Its root among the retained messages (`BrokerLoop.retained`).
    let retainedRoot: UInt32
    /// Those of the default tenant are not counted: they are what is left of the broker's.
    @exclusivity(unchecked) var figures = TenantStatistics()
    /// What all loops count together; `nil`: nothing is limited.
    let quota: TenantQuota?
    /// What the loop has taken of that for PUBLISH.
    let allowance: TenantAllowance?
    let clientLimits: QuotaLimits

    init(number: UInt32, name: String, root: UInt32, retainedRoot: UInt32, quotas: QuotaBook, nowNanoseconds now: UInt64) {
        self.number = number
        self.name = name
        self.root = root
        self.retainedRoot = retainedRoot
        quota = quotas.tenant(number, name: name, nowNanoseconds: now)
        allowance = quota.flatMap { TenantAllowance($0) }
        clientLimits = quotas.quotas.limits(ofClientsOf: name)
    }
}
