import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing
import Storage

/// What the service around the loops asks of one: subscriptions in this process, figures, the end.
extension BrokerLoop {
    /// A session without a connection, whose messages go to `sink`.
    /// - Parameter tenantNumber: Whose messages.
    func subscribe(_ sink: MessageSink, to filter: TopicFilter, tenantNumber: UInt32) -> SessionReference {
        beginWork()
        // No client can have this identifier: U+0000 is not allowed in one.
        let key = SessionKey(tenant: tenant(tenantNumber).name, clientID: "\0embedded-\(nextSerial)")
        let session = begin(key, tenantNumber: tenantNumber)
        session.sink = sink
        let options = SubscriptionOptions(qos: .exactlyOnce, retainAsPublished: true)
        if filter.isShared {
            _ = enter(session, into: filter, options: options, mayAdd: true)
        } else {
            _ = insert(filter.pattern, options: options, for: session, mayAdd: true)
            startReplay(filter.pattern, qos: .exactlyOnce, identifier: 0, to: session)
        }
        return reference(of: session)
    }

    /// A message of an embedding program or a plugin.
    /// - Parameter done: Called when what it led to is stored.
    func publish(_ message: Message, done: (@Sendable () -> Void)? = nil) {
        beginWork()
        let before = operationCount
        let hasDuty = Publication.with(message, source: nil, nowMilliseconds: clock.monotonicMilliseconds) { publication in
            route(&publication)
            return publication.storage?.hasDuty == true
        }
        guard let done else { return }
        if let ledger, hasDuty || operationCount > before, ledger.service.isAwaited { ledger.whenComplete(done) } else { done() }
    }

    /// A message of a plugin's that comes from elsewhere. Who has it is stored with it, until the plugin lets it be forgotten.
    func publish(_ message: Message, from source: String, number: UInt64, done: @escaping @Sendable () -> Void) {
        guard let ledger else {
            publish(message)
            return done()
        }
        beginWork()
        let before = operationCount
        let promise = Publication.with(message, source: nil, nowMilliseconds: clock.monotonicMilliseconds) { publication in
            let origin = PublishOrigin(source: source, number: number, topic: publication.topic, payload: publication.payload)
            let relay = relays.removeValue(forKey: origin)
            publication.withStorage {
                $0.origin = origin
                $0.exclusion = relay
            }
            route(&publication)
            noteRelayed(origin, since: before, in: ledger)
            return publication.storage?.promise
        }
        let isStoring = operationCount > before
        guard let promise else {
            if isStoring, ledger.service.isAwaited { ledger.whenComplete(done) } else { done() }
            return
        }
        sourced[nextSourced] = done
        promise.name(.sourced(nextSourced))
        nextSourced += 1
        if isStoring { ledger.keepWhenStored(promise) } else { promise.keep() }
    }

    func unsubscribe(_ reference: SessionReference) {
        beginWork()
        if let session = session(reference) { end(session) }
    }

    /// The figures, with those that are not counted but looked up.
    func report() -> BrokerStatistics {
        var report = counters.statistics
        report.queuedMessages += report.inflightMessages
        report.heldPublishes = holds.count
        for tenant in tenants.dropFirst() {
            if let tenant { report.tenants[tenant.name] = tenant.figures }
        }
        return report
    }

    /// SIGTERM: v5 clients get 0x8B, and wills are published as for any connection that the server closes.
    func disconnectAll() {
        beginWork()
        for connection in connections.all {
            if connection.phase == .connected {
                connection.close(DisconnectReason(cause: .serverShutdown, code: .serverShuttingDown))
            } else if connection.phase < .closing {
                connection.beginClosing()
            }
        }
    }

    /// No more letters and timers; the loop is about to go.
    func shutDown() {
        isStopping = true
        cancelTimers()
        for connection in connections.all { connection.closeNow() }
        for session in sessionsByKey.values {
            session.sink?.finish()
            session.sink = nil
        }
    }
}
