import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing

/// SUBSCRIBE and UNSUBSCRIBE, and what the other loops hear of it.
extension BrokerLoop {
    func received(_ subscribe: Subscribe, on connection: ConnectionHandler) {
        guard let session = connection.session, let client = connection.client else { return }
        var reasons: [ReasonCode] = []
        var replays: [(TopicFilter, QoS)] = []
        for entry in subscribe.entries {
            let reason = add(entry, identifier: subscribe.subscriptionID ?? 0, of: session, client: client, replays: &replays)
            reasons.append(connection.version == .v5 || !reason.isError ? reason : .unspecifiedError)
        }
        connection.send(.subAck(SubAck(packetID: subscribe.packetID, reasons: reasons)))
        for (filter, qos) in replays { startReplay(filter.pattern, qos: qos, identifier: subscribe.subscriptionID ?? 0, to: session) }
    }

    private func add(
        _ entry: Subscribe.Entry, identifier: UInt32, of session: Session, client: ClientInfo,
        replays: inout [(TopicFilter, QoS)]
    ) -> ReasonCode {
        guard let filter = try? TopicFilter(entry.filter), filter.levelCount <= decodeLimits.maxTopicLevels else {
            return .topicFilterInvalid
        }
        var qos = min(entry.qos, QoS(rawValue: UInt8(configuration.sessions.maxQoS)) ?? .exactlyOnce)
        for hook in hooks.authorizeSubscribe {
            switch hook.maySubscribe(client, filter: filter, qos: qos) {
            case .grant(let granted): qos = min(qos, granted)
            case .refuse(let code): return code
            }
        }
        let options = SubscriptionOptions(
            qos: qos, noLocal: entry.noLocal, retainAsPublished: entry.retainAsPublished, subscriptionID: identifier)
        let isFull = session.subscriptions.count + (session.extras?.shares.count ?? 0) >= configuration.limits.maxSubscriptionsPerSession
        if filter.isShared {
            guard enter(session, into: filter, options: options, mayAdd: !isFull) else { return .quotaExceeded }
        } else {
            guard let isNew = insert(filter.pattern, options: options, for: session, mayAdd: !isFull) else { return .quotaExceeded }
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
            if !mayAdd, tree.find(bytes, subscriber: session.slot) == nil { return nil }
            return tree.insert(bytes, subscriber: session.slot, options: options)
        }
        guard let inserted else { return nil }
        if !inserted.existed {
            session.subscriptions.append(inserted.subscription)
            counters.statistics.subscriptions += 1
            if nodes.count > 1 { announce(pattern) }
        }
        return !inserted.existed
    }

    func received(_ unsubscribe: Unsubscribe, on connection: ConnectionHandler) {
        guard let session = connection.session, let client = connection.client else { return }
        var reasons: [ReasonCode] = []
        for text in unsubscribe.filters {
            guard let filter = try? TopicFilter(text) else {
                reasons.append(.topicFilterInvalid)
                continue
            }
            let existed = filter.isShared ? exit(session, from: filter) : remove(filter.pattern, of: session)
            reasons.append(existed ? .success : .noSubscriptionExisted)
            if existed { for hook in hooks.unsubscribed { hook.unsubscribed(client, filter: filter) } }
        }
        connection.send(.unsubAck(UnsubAck(packetID: unsubscribe.packetID, reasons: reasons)))
    }

    private func remove(_ pattern: String, of session: Session) -> Bool {
        var text = pattern
        guard let subscription = text.withUTF8({ tree.find(UnsafeRawBufferPointer($0), subscriber: session.slot) }) else { return false }
        tree.remove(subscription: subscription)
        session.subscriptions.remove(subscription)
        session.extras?.replays.cancel(pattern)
        counters.statistics.subscriptions -= 1
        if nodes.count > 1 { retract(pattern) }
        return true
    }

    // MARK: What other loops know

    /// A subscription here: the first one with this pattern is told to the other loops. The letters leave before SUBACK.
    private func announce(_ pattern: String) {
        let count = announced[ExactText(pattern), default: 0] + 1
        announced[ExactText(pattern)] = count
        if count == 1 { writeToAll(.interest(pattern: pattern, loop: index, delta: 1)) }
    }

    func retract(_ pattern: String) {
        guard let count = announced[ExactText(pattern)] else { return }
        announced[ExactText(pattern)] = count > 1 ? count - 1 : nil
        if count == 1 { writeToAll(.interest(pattern: pattern, loop: index, delta: -1)) }
    }

    /// A loop's interest is a subscriber of the tree like any other, in the slot that has the loop's number.
    func changeInterest(_ pattern: String, of loop: Int, by delta: Int) {
        guard loop != index else { return }
        let interest = Interest(pattern: ExactText(pattern), loop: loop)
        let before = interests[interest] ?? 0
        let after = before + delta
        interests[interest] = after == 0 ? nil : after
        var text = pattern
        text.withUTF8 {
            let bytes = UnsafeRawBufferPointer($0)
            if before <= 0, after > 0 {
                tree.insert(bytes, subscriber: UInt32(loop), options: SubscriptionOptions(qos: .exactlyOnce))
            } else if before > 0, after <= 0 {
                tree.remove(bytes, subscriber: UInt32(loop))
            }
        }
    }
}
