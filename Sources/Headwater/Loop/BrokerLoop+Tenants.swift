import MQTTModel
import Routing

/// Tenants on one loop: clients, topics, retained messages, shared groups and figures of one are nothing to another.
extension BrokerLoop {
    /// What the loop has for a tenant.
    func tenant(_ number: UInt32) -> LoopTenant {
        if Int(number) < tenants.count, let known = tenants[Int(number)] { return known }
        return makeTenant(number)
    }

    private func makeTenant(_ number: UInt32) -> LoopTenant {
        let made = LoopTenant(
            number: number, name: tenantDirectory.name(of: number), root: tree.makeRoot(), retainedRoot: retained.makeRoot(),
            quotas: quotas, nowNanoseconds: clock.monotonicNanoseconds)
        // As many as the directory has given numbers, in any order.
        if tenants.count <= Int(number) { tenants += Array(repeating: nil, count: Int(number) + 1 - tenants.count) }
        tenants[Int(number)] = made
        return made
    }

    /// Who a client is has been decided: its tenant gets its number here, whoever has made the `ClientInfo`, and from here on
    /// everything goes by numbers.
    ///
    /// - Returns: `nil`: there are as many tenants as there may be.
    func numbered(_ admission: Admission, on connection: ConnectionHandler) -> Admission? {
        let client = admission.client
        guard !client.tenant.isEmpty, client.tenantNumber == TenantDirectory.defaultTenant else { return admission }
        guard let number = tenantDirectory.number(of: client.tenant) else { return nil }
        var numbered = admission
        numbered.client = client.numbered(number)
        connection.client = numbered.client
        return numbered
    }

    /// CONNACK will refuse: nothing begins here, and the client identifier is free for another loop.
    func refuseAttach(_ key: SessionKey, _ code: ReasonCode, _ why: String, on connection: ConnectionHandler) {
        if nodes.count > 1, sessionsByKey[key] == nil { directory.release(key, by: index) }
        refuse(code, why, on: connection)
    }

    // MARK: Figures

    /// CONNACK 0x00 is about to be sent.
    func countConnection(_ connection: ConnectionHandler, of number: UInt32) {
        guard number != TenantDirectory.defaultTenant else { return }
        let tenant = tenant(number)
        tenant.figures.connections += 1
        connection.tenant = Unmanaged.passUnretained(tenant)
    }

    /// Changes figures of a tenant. Not for the path of a message.
    func count(for number: UInt32, _ change: (inout TenantStatistics) -> Void) {
        if number != TenantDirectory.defaultTenant { change(&tenant(number).figures) }
    }

    func dropped(_ reason: BrokerStatistics.DropReason, _ count: Int = 1, of session: Session) {
        dropped(reason, count, tenant: session.tenantNumber)
    }

    func dropped(_ reason: BrokerStatistics.DropReason, _ count: Int = 1, tenant: UInt32) {
        counters.dropped(reason, count)
        if count > 0 { self.count(for: tenant) { $0.messagesDropped += count } }
    }

    func refused(_ reason: BrokerStatistics.RefusalReason, tenant: UInt32) {
        counters.refused(reason)
        count(for: tenant) { $0.messagesRefused += 1 }
    }
}
