import MQTTModel
import Synchronization

/// The quotas of all tenants and clients, as loops share them. Asked at CONNECT, and when a loop first meets a tenant.
final class QuotaBook: Sendable {
    let quotas: BrokerConfiguration.Quotas
    private let tenants = Mutex<[UInt32: TenantQuota]>([:])
    private let clients = ClientConnectRates()

    init(_ quotas: BrokerConfiguration.Quotas) { self.quotas = quotas }

    /// - Returns: `nil`: the tenant has no limits.
    func tenant(_ number: UInt32, name: String, nowNanoseconds now: UInt64) -> TenantQuota? {
        let limits = quotas.limits(ofTenant: name)
        guard !limits.isEmpty else { return nil }
        return tenants.withLock { tenants in
            if let known = tenants[number] { return known }
            let made = TenantQuota(limits, nowNanoseconds: now)
            tenants[number] = made
            return made
        }
    }

    /// Clients whose last CONNECTs are remembered.
    var rememberedClients: Int { clients.count }

    /// One more CONNECT of a client, if its rate has room.
    func mayConnect(_ key: SessionKey, nowNanoseconds now: UInt64) -> Bool {
        guard let rate = quotas.limits(ofClientsOf: key.tenant).connectsPerSecond else { return true }
        return clients.mayConnect(key, perSecond: rate, nowNanoseconds: now)
    }
}

/// What the clients of one tenant use together, on all loops.
///
/// Sendable: connections are counted atomically; buckets have a lock, which a loop takes once for each CONNECT and once for
/// some hundred messages, because it takes tokens in batches.
final class TenantQuota: Sendable {
    let limits: QuotaLimits
    private let connections = Atomic<Int>(0)
    private let connects: Mutex<QuotaBucket>?
    let messages: Shared?
    let bytes: Shared?

    /// A bucket that loops draw on.
    final class Shared: Sendable {
        private let bucket: Mutex<QuotaBucket>
        /// What a loop takes in advance: a hundredth of a second's.
        let batch: Int

        init(perSecond: Int, nowNanoseconds now: UInt64) {
            bucket = Mutex(QuotaBucket(perSecond: perSecond, nowNanoseconds: now))
            batch = max(0, perSecond / 100)
        }

        /// Tokens that are there, at most `needed` and a batch.
        func takeAvailable(_ needed: Int, nowNanoseconds now: UInt64) -> Int {
            bucket.withLock { $0.takeAvailable(needed + batch, nowNanoseconds: now) }
        }

        /// `needed` tokens, on credit if need be, and a batch if it is there.
        /// - Returns: How many beyond `needed`, and the nanoseconds until all are paid for.
        func take(_ needed: Int, nowNanoseconds now: UInt64) -> (extra: Int, wait: UInt64) {
            bucket.withLock { bucket in
                let wait = bucket.take(needed, nowNanoseconds: now)
                return (wait == 0 ? bucket.takeAvailable(batch, nowNanoseconds: now) : 0, wait)
            }
        }
    }

    init(_ limits: QuotaLimits, nowNanoseconds now: UInt64) {
        self.limits = limits
        connects = limits.connectsPerSecond.map { Mutex(QuotaBucket(perSecond: $0, nowNanoseconds: now)) }
        messages = limits.messagesPerSecond.map { Shared(perSecond: $0, nowNanoseconds: now) }
        bytes = limits.bytesPerSecond.map { Shared(perSecond: $0, nowNanoseconds: now) }
    }

    func mayConnect(nowNanoseconds now: UInt64) -> Bool {
        connects?.withLock { $0.takeAvailable(1, nowNanoseconds: now) == 1 } ?? true
    }

    /// A place for one more connection.
    /// - Parameter isReplacement: It takes the place of one that is about to end, and gets one in any case.
    /// - Returns: `false`: all are taken.
    func takePlace(isReplacement: Bool) -> Bool {
        let count = connections.add(1, ordering: .relaxed).newValue
        if isReplacement || count <= limits.maxConnections.map({ max(1, $0) }) ?? .max { return true }
        givePlace()
        return false
    }

    func givePlace() { connections.subtract(1, ordering: .relaxed) }
}

/// How often each client has connected of late. A client's bucket is forgotten when it is full again, so memory is bounded by
/// the CONNECTs of the last second.
private final class ClientConnectRates: Sendable {
    private struct Rates {
        var buckets: [SessionKey: QuotaBucket] = [:]
        var sweepAt = ClientConnectRates.smallestSweep
    }

    private static let smallestSweep = 1_024
    private let rates = Mutex(Rates())

    var count: Int { rates.withLock { $0.buckets.count } }

    func mayConnect(_ key: SessionKey, perSecond rate: Int, nowNanoseconds now: UInt64) -> Bool {
        rates.withLock { rates in
            if rates.buckets.count >= rates.sweepAt {
                rates.buckets = rates.buckets.filter { _, bucket in
                    var bucket = bucket
                    bucket.fill(nowNanoseconds: now)
                    return !bucket.isFull
                }
                rates.sweepAt = max(Self.smallestSweep, 2 * rates.buckets.count)
            }
            return rates.buckets[key, default: QuotaBucket(perSecond: rate, nowNanoseconds: now)]
                .takeAvailable(1, nowNanoseconds: now) == 1
        }
    }
}
