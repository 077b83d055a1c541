/// What one publisher may still bring: its own buckets, and its tenant's tokens on this loop. Made only where limits are.
final class ConnectionQuota {
    private let clientExcess: QuotaLimits.Excess
    private var messages: QuotaBucket?
    private var bytes: QuotaBucket?
    private let tenant: TenantAllowance?
    /// The socket is not read until then, in nanoseconds of the monotonic clock; `nil`: it is.
    var pausedUntil: UInt64?

    enum Verdict: Equatable {
        case proceed
        /// It is one too many, and not to be routed.
        case refuse
        /// It is routed, and nothing more is read for so many nanoseconds.
        case wait(nanoseconds: UInt64)
    }

    /// - Returns: `nil`: nothing is limited.
    init?(client limits: QuotaLimits, tenant: TenantAllowance?, nowNanoseconds now: UInt64) {
        guard limits.hasRates || tenant != nil else { return nil }
        clientExcess = limits.excess
        messages = limits.messagesPerSecond.map { QuotaBucket(perSecond: $0, nowNanoseconds: now) }
        bytes = limits.bytesPerSecond.map { QuotaBucket(perSecond: $0, nowNanoseconds: now) }
        self.tenant = tenant
    }

    /// One PUBLISH. Who refuses is asked first, so that what is refused uses nothing.
    func charge(bytes count: Int, nowNanoseconds now: UInt64) -> Verdict {
        if clientExcess == .refuse, isOver(now) { return .refuse }
        if let tenant, tenant.excess == .refuse, tenant.isOver(now) { return .refuse }
        var wait = max(messages?.take(1, nowNanoseconds: now) ?? 0, bytes?.take(count, nowNanoseconds: now) ?? 0)
        if clientExcess == .refuse { wait = 0 }
        wait = max(wait, tenant?.charge(bytes: count, nowNanoseconds: now) ?? 0)
        return wait == 0 ? .proceed : .wait(nanoseconds: wait)
    }

    /// A message needs a whole token of its own, and any of the bytes: one larger than a second's bytes would never pass.
    private func isOver(_ now: UInt64) -> Bool {
        messages?.fill(nowNanoseconds: now)
        bytes?.fill(nowNanoseconds: now)
        return messages.map { $0.tokens < 1 } ?? false || bytes.map { $0.tokens < 1 } ?? false
    }
}

/// The tokens of a tenant that one loop has taken from the shared buckets and not used.
final class TenantAllowance {
    let excess: QuotaLimits.Excess
    private let quota: TenantQuota
    private var messages = 0
    private var bytes = 0

    init?(_ quota: TenantQuota) {
        guard quota.limits.hasRates else { return nil }
        self.quota = quota
        excess = quota.limits.excess
    }

    /// Whether there are no tokens, here and in the shared buckets. Takes a batch of them from there.
    func isOver(_ now: UInt64) -> Bool {
        if let shared = quota.messages, messages < 1 { messages += shared.takeAvailable(1 - messages, nowNanoseconds: now) }
        if let shared = quota.bytes, bytes < 1 { bytes += shared.takeAvailable(1 - bytes, nowNanoseconds: now) }
        return quota.messages != nil && messages < 1 || quota.bytes != nil && bytes < 1
    }

    /// - Returns: Nanoseconds until what was used is paid for; 0 where excess is refused: `isOver` was asked before.
    func charge(bytes count: Int, nowNanoseconds now: UInt64) -> UInt64 {
        messages -= 1
        bytes -= count
        let wait = max(Self.settle(&messages, quota.messages, now), Self.settle(&bytes, quota.bytes, now))
        return excess == .slow ? wait : 0
    }

    /// Pays what the allowance is below zero, on credit if need be: a debt is the tenant's, and is paid while nobody asks.
    private static func settle(_ allowance: inout Int, _ shared: TenantQuota.Shared?, _ now: UInt64) -> UInt64 {
        guard let shared else {
            allowance = 0  // not counted
            return 0
        }
        guard allowance < 0 else { return 0 }
        let (extra, wait) = shared.take(-allowance, nowNanoseconds: now)
        allowance = extra
        return wait
    }
}
