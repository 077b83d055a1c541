import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing
import Storage

/// What a loop takes over from the store before the listeners open.
extension BrokerLoop {
    /// Sessions with their subscriptions, and retained messages. The other loops hear of the subscriptions; wills and ends wait for
    /// `settleRestored`, so that nobody misses a will.
    func restore(_ part: RestoredPart) {
        beginWork()
        for relay in part.relays {
            relays[relay.origin, default: Relay(origin: relay.origin)].add(relay)
        }
        for (number, message) in part.retained { restoreRetained(message, number: number) }
        for session in part.sessions { restore(session) }
    }

    private func restore(_ stored: StoredState.StoredSession) {
        let record = stored.record
        let key = SessionKey(tenant: record.tenant, clientID: record.clientID)
        _ = directory.home(of: key, orClaimFor: index)
        let tenantNumber = tenantDirectory.restored(record.tenant)
        let session = begin(key, tenantNumber: tenantNumber)
        counters.statistics.sessionsOffline += 1
        session.expirySeconds = record.expirySeconds
        let part = StoredPart(number: record.number, firstBatch: 0)
        part.nextSequence = stored.lastSequence + 1
        part.repeatedSequence = record.sentSequence ?? stored.lastSequence
        part.isSpooling = true
        part.spooledCount = stored.queuedMessages
        part.spooledBytes = stored.queuedBytes
        session.stored = part
        storedSessions[part.number] = session
        counters.statistics.deliveriesDue += stored.queuedMessages
        counters.statistics.queuedMessages += stored.queuedMessages
        counters.statistics.queuedBytes += stored.queuedBytes
        for packetID in stored.inbound { session.inbound.restore(packetID) }
        for subscription in stored.subscriptions { restore(subscription, of: session) }
        if let will = record.will {
            session.withExtras { $0.will = planned(will, clientID: record.clientID, tenant: record.tenant, number: tenantNumber) }
        }
        if let time = record.disconnectedAt { session.withExtras { $0.disconnectedAt = time } }
    }

    private func restore(_ subscription: SubscriptionRecord, of session: Session) {
        guard let filter = try? TopicFilter(subscription.filter) else { return }  // the store has read it as a filter
        let options = SubscriptionOptions(
            qos: subscription.qos, noLocal: subscription.noLocal, retainAsPublished: subscription.retainAsPublished,
            subscriptionID: subscription.subscriptionID)
        if filter.isShared {
            _ = enter(session, into: filter, options: options, mayAdd: true)
        } else {
            _ = insert(filter.pattern, options: options, for: session, mayAdd: true)
        }
    }

    private func planned(_ will: StoredWill, clientID: String, tenant: String, number: UInt32) -> PlannedWill {
        var restored = Connect.Will(topic: will.topic, payload: will.payload, qos: will.qos, retain: will.retain)
        restored.delaySeconds = will.delaySeconds
        restored.expirySeconds = will.expirySeconds
        restored.properties = will.properties.withUnsafeBytes { PublishProperties(encoded: $0) }
        let client = ClientInfo(
            tenant: tenant, clientID: clientID, username: will.username, protocolVersion: will.protocolVersion, peerAddress: will.peerAddress,
            listener: will.listener)
        return PlannedWill(will: restored, client: client.numbered(number), dueAtMilliseconds: will.dueAt.map(monotonic))
    }

    /// Milliseconds of the monotonic clock for a time of the wall clock.
    private func monotonic(_ unixMilliseconds: Int64) -> UInt64 {
        let distance = unixMilliseconds - clock.unixMilliseconds
        return distance >= 0 ? clock.monotonicMilliseconds + UInt64(distance) : clock.monotonicMilliseconds - min(clock.monotonicMilliseconds, UInt64(-distance))
    }

    /// All loops know of all subscriptions: connections that the broker's end has cut are over now, wills and sessions go on
    /// towards their times.
    func settleRestored() {
        beginWork()
        for session in storedSessions.values where session.connection == nil {
            let wasConnected = session.extras?.disconnectedAt == nil
            let disconnectedAt = session.extras?.disconnectedAt ?? clock.unixMilliseconds
            session.withExtras { $0.disconnectedAt = disconnectedAt }
            if wasConnected { planWill(of: session, ending: .other) } else { resumeWill(of: session) }
            guard session.isPersistent else {
                end(session)
                continue
            }
            let passed = UInt64(max(0, clock.unixMilliseconds - disconnectedAt))
            let whole = UInt64(session.expirySeconds) * 1000
            endLater(session, afterMilliseconds: whole > passed ? whole - passed : 0)
            if wasConnected { save(session) }
        }
    }

    private func resumeWill(of session: Session) {
        guard let due = session.extras?.will?.dueAtMilliseconds else {
            if session.extras?.will != nil { session.extras?.will?.dueAtMilliseconds = clock.monotonicMilliseconds }
            return publishWillIfDue(session)
        }
        let now = clock.monotonicMilliseconds
        addTimer(.will, slot: session.slot, serial: session.serial, afterMilliseconds: due > now ? due - now : 0)
    }
}

/// One loop's share of what the store had.
struct RestoredPart: Sendable {
    var sessions: [StoredState.StoredSession] = []
    var retained: [(number: UInt64, message: Message)] = []
    var relays: [Relay] = []

    /// Each session and each retained message gets one loop.
    static func split(_ state: StoredState, loops: Int) -> [RestoredPart] {
        var parts = [RestoredPart](repeating: RestoredPart(), count: loops)
        for (index, session) in state.sessions.enumerated() { parts[index % loops].sessions.append(session) }
        for retained in state.retained {
            let tenant = retained.message.tenant
            let loop = retained.message.withParts { topic, _, _ in BrokerLoop.shard(of: topic, tenant: tenant, loops: loops) }
            parts[loop].retained.append(retained)
        }
        let homes = Dictionary(uniqueKeysWithValues: state.sessions.enumerated().map { ($0.element.record.number, $0.offset % loops) })
        for relay in state.relays {
            if relay.origin.session & PublishOrigin.sourceBit != 0 {
                parts[0].relays.append(relay)  // where plugins publish
            } else if let home = homes[relay.origin.session] {
                parts[home].relays.append(relay)
            }
        }
        return parts
    }
}
