import MQTTModel
import MQTTWire

/// What clients and tenants may bring (`QuotaLimits`): connections when they come, PUBLISH before it is routed.
extension BrokerLoop {
    /// Waits that are shorter would be no more than timers; the bucket fills meanwhile, and the mean is the same.
    private static var shortestWaitMilliseconds: UInt64 { 5 }

    // MARK: CONNECT

    /// The client is known: counts its CONNECT, once, on the loop that has read it.
    ///
    /// - Returns: Why it is refused; `nil`: it may come in.
    func connectQuotaExceeded(_ client: ClientInfo) -> (code: ReasonCode, why: String)? {
        let now = clock.monotonicNanoseconds
        if !quotas.mayConnect(SessionKey(tenant: client.tenant, clientID: client.clientID), nowNanoseconds: now) {
            return (.connectionRateExceeded, "quota of the client: connects in a second")
        }
        if tenant(client.tenantNumber).quota?.mayConnect(nowNanoseconds: now) == false {
            return (.connectionRateExceeded, "quota of the tenant: connects in a second")
        }
        return nil
    }

    /// A place among the connections of the tenant, until `giveQuotaPlace`.
    ///
    /// - Parameter isReplacement: The client's own connection gives its place: a device must be able to come back when all
    ///   places are taken, one of them by a connection of its own that it has lost.
    func takeQuotaPlace(of client: ClientInfo, isReplacement: Bool) -> Bool {
        tenant(client.tenantNumber).quota?.takePlace(isReplacement: isReplacement) ?? true
    }

    func giveQuotaPlace(ofTenant number: UInt32) { tenant(number).quota?.givePlace() }

    /// What the connection may publish from now on.
    func beginQuota(of connection: ConnectionHandler, _ client: ClientInfo) {
        let tenant = tenant(client.tenantNumber)
        connection.quota = ConnectionQuota(
            client: tenant.clientLimits, tenant: tenant.allowance, nowNanoseconds: clock.monotonicNanoseconds)
    }

    // MARK: PUBLISH

    /// Charges a PUBLISH, and stops reading if it was more than there is.
    ///
    /// - Returns: `false`: it is not to be routed.
    @inline(never)
    func charge(_ fields: PublishFields, to quota: ConnectionQuota, of connection: ConnectionHandler) -> Bool {
        let bytes = fields.topic.count + fields.properties.count + fields.payload.count
        switch quota.charge(bytes: bytes, nowNanoseconds: clock.monotonicNanoseconds) {
        case .proceed: return true
        case .refuse: return false
        case .wait(let nanoseconds):
            let milliseconds = max(Self.shortestWaitMilliseconds, (nanoseconds + 999_999) / 1_000_000)
            let until = clock.monotonicNanoseconds + milliseconds * 1_000_000
            defer { quota.pausedUntil = max(quota.pausedUntil ?? 0, until) }
            guard quota.pausedUntil == nil else { return true }
            counters.statistics.quotaPauses += 1
            count(for: connection.client?.tenantNumber ?? 0) { $0.quotaPauses += 1 }
            connection.pause()
            addTimer(.quotaWait, slot: connection.slot, serial: connection.serial, afterMilliseconds: milliseconds)
            return true
        }
    }

    /// Time has passed for a connection that is not read.
    func endQuotaWait(of connection: ConnectionHandler) {
        guard let quota = connection.quota, let until = quota.pausedUntil else { return }
        let now = clock.monotonicNanoseconds
        if until > now {
            return addTimer(
                .quotaWait, slot: connection.slot, serial: connection.serial, afterMilliseconds: (until - now + 999_999) / 1_000_000)
        }
        quota.pausedUntil = nil
        connection.unpause()
    }
}
