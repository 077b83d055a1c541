@testable import Headwater
import MQTTModel
import Testing

/// Quotas apart from connections, in a time of the test's own.
@Suite("Token buckets")
struct QuotaBucketTests {
    private static let second: UInt64 = 1_000_000_000

    private func quota(
        client: QuotaLimits = QuotaLimits(), tenant: QuotaLimits? = nil
    ) -> ConnectionQuota? {
        let allowance = tenant.flatMap { TenantAllowance(TenantQuota($0, nowNanoseconds: 0)) }
        return ConnectionQuota(client: client, tenant: allowance, nowNanoseconds: 0)
    }

    @Test("a bucket gives one second's worth at once, then the rate, and never more")
    func rate() {
        var bucket = QuotaBucket(perSecond: 10, nowNanoseconds: 0)
        #expect(bucket.takeAvailable(100, nowNanoseconds: 0) == 10)
        #expect(bucket.takeAvailable(1, nowNanoseconds: Self.second / 20) == 0)
        #expect(bucket.takeAvailable(1, nowNanoseconds: Self.second / 10) == 1)
        #expect(bucket.takeAvailable(100, nowNanoseconds: 100 * Self.second) == 10)
        #expect(bucket.takeAvailable(1, nowNanoseconds: 50 * Self.second) == 0, "a clock that goes back gives nothing")
        var none = QuotaBucket(perSecond: 0, nowNanoseconds: 0)
        #expect(none.takeAvailable(5, nowNanoseconds: 0) == 1)
    }

    @Test("what was taken on credit is waited for, each after those before it")
    func credit() {
        var bucket = QuotaBucket(perSecond: 10, nowNanoseconds: 0)
        #expect(bucket.take(10, nowNanoseconds: 0) == 0)
        #expect(bucket.take(1, nowNanoseconds: 0) == Self.second / 10)
        #expect(bucket.take(1, nowNanoseconds: 0) == Self.second / 5)
        #expect(bucket.takeAvailable(1, nowNanoseconds: Self.second / 5) == 0, "paid, and nothing left")
        #expect(bucket.take(1, nowNanoseconds: 2 * Self.second) == 0)
    }

    @Test("no limits cost nothing; rates alone make a quota")
    func none() {
        #expect(quota() == nil)
        #expect(quota(tenant: QuotaLimits(maxConnections: 1, connectsPerSecond: 1)) == nil)
        #expect(quota(client: QuotaLimits(maxConnections: 1, connectsPerSecond: 1)) == nil)
        #expect(quota(client: QuotaLimits(bytesPerSecond: 1)) != nil)
        #expect(quota(tenant: QuotaLimits(messagesPerSecond: 1)) != nil)
    }

    /// Publishes as fast as the quota lets it, one message after the other, for `seconds`.
    private func drive(_ quota: ConnectionQuota, bytes: Int, seconds: UInt64) -> (routed: Int, refused: Int) {
        var now: UInt64 = 0
        var (routed, refused) = (0, 0)
        while now < seconds * Self.second {
            switch quota.charge(bytes: bytes, nowNanoseconds: now) {
            case .proceed: routed += 1
            case .refuse: refused += 1
            case .wait(let nanoseconds):
                routed += 1
                now += nanoseconds
            }
            now += 1_000_000
        }
        return (routed, refused)
    }

    @Test("the mean is the limit, of messages or of bytes, the client's or the tenant's, slowed or refused")
    func means() throws {
        for excess in QuotaLimits.Excess.allCases {
            let messages = QuotaLimits(messagesPerSecond: 50, excess: excess)
            let bytes = QuotaLimits(bytesPerSecond: 5_000, excess: excess)
            for quota in [quota(client: messages), quota(client: bytes), quota(tenant: messages), quota(tenant: bytes)] {
                let (routed, refused) = drive(try #require(quota), bytes: 100, seconds: 20)
                #expect((1_000...1_055).contains(routed), "\(excess)")  // 50/s for 20 s, and 50 that were saved up
                #expect((refused > 10_000) == (excess == .refuse))
            }
        }
    }

    @Test("a message larger than a second's bytes passes, and is paid for")
    func large() throws {
        let slow = try #require(quota(client: QuotaLimits(bytesPerSecond: 100)))
        #expect(slow.charge(bytes: 1_000, nowNanoseconds: 0) == .wait(nanoseconds: 9 * Self.second))
        for strict in [
            quota(client: QuotaLimits(bytesPerSecond: 100, excess: .refuse)), quota(tenant: QuotaLimits(bytesPerSecond: 100, excess: .refuse)),
        ] {
            let strict = try #require(strict)
            #expect(strict.charge(bytes: 1_000, nowNanoseconds: 0) == .proceed)
            #expect(strict.charge(bytes: 1, nowNanoseconds: 8 * Self.second) == .refuse)
            #expect(strict.charge(bytes: 1, nowNanoseconds: 10 * Self.second) == .proceed)
        }
    }

    @Test("loops share a tenant's tokens: together they get the rate")
    func sharedTokens() throws {
        for excess in QuotaLimits.Excess.allCases {
            let shared = TenantQuota(QuotaLimits(messagesPerSecond: 1_000, excess: excess), nowNanoseconds: 0)
            let loops = (0..<3).map { _ in TenantAllowance(shared).flatMap { ConnectionQuota(client: QuotaLimits(), tenant: $0, nowNanoseconds: 0) } }
            var resumeAt = [UInt64](repeating: 0, count: 3)
            var routed = 0
            for now in stride(from: UInt64(0), to: 5 * Self.second, by: 100_000) {
                for (index, loop) in loops.enumerated() where resumeAt[index] <= now {
                    switch try #require(loop).charge(bytes: 1, nowNanoseconds: now) {
                    case .proceed: routed += 1
                    case .refuse: break
                    case .wait(let nanoseconds):
                        routed += 1
                        resumeAt[index] = now + nanoseconds
                    }
                }
            }
            #expect((5_900...6_050).contains(routed), "\(excess): \(routed)")
        }
    }

    @Test("a tenant's refusal uses nothing of the client's, and the other way round")
    func both() throws {
        let limits = QuotaLimits(messagesPerSecond: 3, excess: .refuse)
        let shared = TenantQuota(limits, nowNanoseconds: 0)
        let allowance = TenantAllowance(shared)
        func client(_ perSecond: Int) throws -> ConnectionQuota {
            try #require(
                ConnectionQuota(
                    client: QuotaLimits(messagesPerSecond: perSecond, excess: .refuse), tenant: allowance, nowNanoseconds: 0))
        }
        let (small, large) = (try client(1), try client(100))
        #expect(small.charge(bytes: 0, nowNanoseconds: 0) == .proceed)
        #expect(small.charge(bytes: 0, nowNanoseconds: 0) == .refuse)
        #expect(large.charge(bytes: 0, nowNanoseconds: 0) == .proceed)
        #expect(large.charge(bytes: 0, nowNanoseconds: 0) == .proceed)
        for _ in 0..<1_000 { #expect(large.charge(bytes: 0, nowNanoseconds: 0) == .refuse) }
        // Of the large one's hundred, two are used: after a second the tenant is what limits.
        for _ in 0..<3 { #expect(large.charge(bytes: 0, nowNanoseconds: Self.second) == .proceed) }
        #expect(large.charge(bytes: 0, nowNanoseconds: Self.second) == .refuse)
    }

    @Test("each client has its own rate of connects, and is forgotten when it has been quiet")
    func connects() {
        var quotas = BrokerConfiguration.Quotas()
        quotas.client.connectsPerSecond = 2
        quotas.clientsOfTenants["free"] = QuotaLimits()
        let book = QuotaBook(quotas)
        let key = SessionKey(tenant: "", clientID: "a")
        #expect(book.mayConnect(key, nowNanoseconds: 0) && book.mayConnect(key, nowNanoseconds: 0))
        #expect(!book.mayConnect(key, nowNanoseconds: 0))
        #expect(book.mayConnect(SessionKey(tenant: "other", clientID: "a"), nowNanoseconds: 0))
        #expect(book.mayConnect(key, nowNanoseconds: Self.second / 2))
        for _ in 0..<10 { #expect(book.mayConnect(SessionKey(tenant: "free", clientID: "a"), nowNanoseconds: 0)) }
        for number in 0..<20_000 {
            #expect(book.mayConnect(SessionKey(tenant: "", clientID: "\(number)"), nowNanoseconds: UInt64(number) * Self.second / 100))
        }
        #expect(book.rememberedClients < 2_500, "200 of each second are remembered until a sweep")
    }

    @Test("places are given to as many as there may be, and to who replaces itself")
    func places() {
        let quota = TenantQuota(QuotaLimits(maxConnections: 2), nowNanoseconds: 0)
        #expect(quota.takePlace(isReplacement: false) && quota.takePlace(isReplacement: false))
        #expect(!quota.takePlace(isReplacement: false))
        #expect(quota.takePlace(isReplacement: true))
        quota.givePlace()
        #expect(!quota.takePlace(isReplacement: false))
        quota.givePlace()
        #expect(quota.takePlace(isReplacement: false))
    }
}
