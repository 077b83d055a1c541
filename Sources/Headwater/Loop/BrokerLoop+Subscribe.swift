import Encodings
import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing
import Security

/// SUBSCRIBE and UNSUBSCRIBE, and what the other loops hear of it.
extension BrokerLoop {
    func received(_ subscribe: Subscribe, on connection: ConnectionHandler) {
        guard let session = connection.session, let client = connection.client else { return }
        let before = operationCount
        var reasons: [ReasonCode] = []
        var replays: [(TopicFilter, QoS)] = []
        var budget = ACLPolicy.subscribeBudget
        for entry in subscribe.entries {
            let reason = add(entry, identifier: subscribe.subscriptionID ?? 0, of: session, client: client, replays: &replays, budget: &budget)
            reasons.append(connection.version == .v5 || !reason.isError ? reason : .unspecifiedError)
        }
        if operationCount > before { ledger?.hold(connection) }
        connection.send(.subAck(SubAck(packetID: subscribe.packetID, reasons: reasons)))
        for (filter, qos) in replays { startReplay(filter.pattern, qos: qos, identifier: subscribe.subscriptionID ?? 0, to: session) }
    }

    private func add(
        _ entry: Subscribe.Entry, identifier: UInt32, of session: Session, client: ClientInfo,
        replays: inout [(TopicFilter, QoS)], budget: inout Int
    ) -> ReasonCode {
        guard let filter = try? TopicFilter(entry.filter), filter.levelCount <= decodeLimits.maxTopicLevels else {
            return .topicFilterInvalid
        }
        var qos = min(entry.qos, QoS(rawValue: UInt8(configuration.sessions.maxQoS)) ?? .exactlyOnce)
        if let access = session.access {
            if let granted = access.grant(filter, budget: &budget) {
                qos = min(qos, granted)
            } else if filter.isShared || configuration.listeners[access.listener].refusesHopelessSubscriptions {
                // A member of a shared group that may read nothing would take the others' messages away.
                return .notAuthorized
            }
        }
        for hook in hooks.authorizeSubscribe {
            switch hook.maySubscribe(client, filter: filter, qos: qos) {
            case .grant(let granted): qos = min(qos, granted)
            case .refuse(let code): return code
            }
        }
        let options = SubscriptionOptions(
            qos: qos, noLocal: entry.noLocal, retainAsPublished: entry.retainAsPublished, subscriptionID: identifier)
        if session.stored != nil, ledger?.isRefusing == true { return .quotaExceeded }
        let isFull = session.subscriptions.count + (session.extras?.shares.count ?? 0) >= configuration.limits.maxSubscriptionsPerSession
        if filter.isShared {
            guard enter(session, into: filter, options: options, mayAdd: !isFull) else { return .quotaExceeded }
            saveSubscription(filter, options, of: session)
        } else {
            guard let isNew = insert(filter.pattern, options: options, for: session, mayAdd: !isFull) else { return .quotaExceeded }
            saveSubscription(filter, options, of: session)
            switch entry.retainHandling {
            case .sendAtSubscribe: replays.append((filter, qos))
            case .sendIfNew: if isNew { replays.append((filter, qos)) }
            case .doNotSend: break
            }
        }
        for hook in hooks.subscribed { hook.subscribed(client, filter: filter, qos: qos) }
        return ReasonCode(rawValue: qos.rawValue)
    }

    /// - Returns: Whether it is new; `nil`: it would be one too many.
    func insert(_ pattern: String, options: SubscriptionOptions, for session: Session, mayAdd: Bool) -> Bool? {
        var text = pattern
        let inserted: (subscription: UInt32, existed: Bool)? = text.withUTF8 {
            let bytes = UnsafeRawBufferPointer($0)
            let root = tenant(session.tenantNumber).root
            if !mayAdd, tree.find(bytes, root: root, subscriber: session.slot) == nil { return nil }
            return tree.insert(bytes, root: root, subscriber: session.slot, options: options)
        }
        guard let inserted else { return nil }
        if !inserted.existed {
            session.subscriptions.append(inserted.subscription)
            counters.statistics.subscriptions += 1
            if nodes.count > 1 { announce(pattern, of: session) }
        }
        return !inserted.existed
    }

    func received(_ unsubscribe: Unsubscribe, on connection: ConnectionHandler) {
        guard let session = connection.session, let client = connection.client else { return }
        let before = operationCount
        var reasons: [ReasonCode] = []
        for text in unsubscribe.filters {
            if session.stored != nil, ledger?.hasFailed == true, connection.version == .v5 {
                reasons.append(.implementationSpecificError)
                continue
            }
            guard let filter = try? TopicFilter(text) else {
                reasons.append(.topicFilterInvalid)
                continue
            }
            let existed = filter.isShared ? exit(session, from: filter) : remove(filter.pattern, of: session)
            reasons.append(existed ? .success : .noSubscriptionExisted)
            if existed { removeSubscription(filter, of: session) }
            if existed { for hook in hooks.unsubscribed { hook.unsubscribed(client, filter: filter) } }
        }
        // What is not there may have been removed on a connection that has gone, and that not be stored yet.
        if session.stored != nil, operationCount > before || ledger?.hasFailed == false { ledger?.hold(connection) }
        connection.send(.unsubAck(UnsubAck(packetID: unsubscribe.packetID, reasons: reasons)))
    }

    private func remove(_ pattern: String, of session: Session) -> Bool {
        var text = pattern
        let root = tenant(session.tenantNumber).root
        guard let subscription = text.withUTF8({ tree.find(UnsafeRawBufferPointer($0), root: root, subscriber: session.slot) }) else {
            return false
        }
        tree.remove(subscription: subscription)
        session.subscriptions.remove(subscription)
        session.extras?.replays.cancel(pattern)
        counters.statistics.subscriptions -= 1
        if nodes.count > 1 { retract(pattern, of: session) }
        return true
    }

    // MARK: What other loops know

    /// A subscription here: the first one with this pattern is told to the other loops, and the first one that the store has.
    /// The letters leave before SUBACK.
    private func announce(_ pattern: String, of session: Session) { changeAnnounced(pattern, of: session, by: 1) }

    func retract(_ pattern: String, of session: Session) { changeAnnounced(pattern, of: session, by: -1) }

    private func changeAnnounced(_ pattern: String, of session: Session, by delta: Int) {
        let tenant = session.tenantNumber
        let key = TenantPattern(tenant: tenant, pattern: ExactText(pattern))
        let before = announced[key] ?? InterestCount()
        let after = InterestCount(all: before.all + delta, stored: before.stored + (session.stored != nil ? delta : 0))
        announced[key] = after.all > 0 ? after : nil
        func change(_ old: Int, _ new: Int) -> Int { min(max(new, 0), 1) - min(max(old, 0), 1) }
        let (all, stored) = (change(before.all, after.all), change(before.stored, after.stored))
        if all != 0 || stored != 0 {
            writeToAll(.interest(pattern: pattern, tenant: tenant, loop: index, delta: all, storedDelta: stored))
        }
    }

    /// A loop's interest is a subscriber of the tree like any other, in the slot that has the loop's number. Its QoS says whether
    /// the store has a session that is interested.
    func changeInterest(_ pattern: String, tenant: UInt32, of loop: Int, by delta: Int, storedBy storedDelta: Int) {
        guard loop != index else { return }
        let interest = Interest(pattern: TenantPattern(tenant: tenant, pattern: ExactText(pattern)), loop: loop)
        let before = interests[interest] ?? InterestCount()
        let after = InterestCount(all: before.all + delta, stored: before.stored + storedDelta)
        interests[interest] = after == InterestCount() ? nil : after
        let root = self.tenant(tenant).root
        var text = pattern
        text.withUTF8 {
            let bytes = UnsafeRawBufferPointer($0)
            if after.all > 0, before.all <= 0 || (before.stored > 0) != (after.stored > 0) {
                let qos: QoS = after.stored > 0 ? .exactlyOnce : .atMostOnce
                tree.insert(bytes, root: root, subscriber: UInt32(loop), options: SubscriptionOptions(qos: qos))
            } else if before.all > 0, after.all <= 0 {
                tree.remove(bytes, root: root, subscriber: UInt32(loop))
            }
        }
    }
}
