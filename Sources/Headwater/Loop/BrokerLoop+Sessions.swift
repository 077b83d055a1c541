import Logging
import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing

/// Sessions from birth to end, and the wills they leave (MQTT 5.0 sections 4.1 and 3.1.2.5).
extension BrokerLoop {
    /// A session that nobody had. Its connection is set by the caller.
    func begin(_ key: SessionKey) -> Session {
        let slot = takeSlot()
        let session = Session(key: key, serial: UInt64(index) << 48 | nextSerial, slot: slot)
        nextSerial += 1
        subscribers[Int(slot)] = .session(session)
        sessionsByKey[key] = session
        counters.statistics.sessions += 1
        return session
    }

    /// The network connection of a client is over, for whatever reason.
    func connectionEnded(
        _ connection: ConnectionHandler, _ reason: DisconnectReason, detail: String? = nil, ending: WillPlan.Ending = .other
    ) {
        guard let session = connection.session, session.connection === connection else {
            if connection.phase < .connected, let client = connection.client {
                strangerLog.line(.info, "connection lost before CONNACK", nowMilliseconds: clock.monotonicMilliseconds,
                    metadata: ["client": "\(client.clientID)", "peer": "\(client.peerAddress)"])
            }
            return
        }
        session.connection = nil
        connection.session = nil
        counters.statistics.sessionsOffline += 1
        counters.statistics.disconnects[reason.cause.rawValue, default: 0] += 1
        relieve(session)
        session.extras?.replays.removeAll()
        if let client = connection.client {
            var metadata: Logger.Metadata = [
                "client": "\(client.clientID)", "user": "\(client.username ?? "")", "peer": "\(client.peerAddress)",
                "cause": "\(reason.cause.rawValue)", "code": "\(reason.code)",
            ]
            if let detail { metadata["why"] = "\(detail)" }
            clientLog.line(.info, "disconnected", nowMilliseconds: clock.monotonicMilliseconds, metadata: metadata)
            for hook in hooks.disconnected { hook.clientDisconnected(client, reason: reason) }
        }
        planWill(of: session, ending: ending)
        guard session.isPersistent else { return end(session) }
        handOverShared(session)
        if session.expirySeconds != .max {
            let wait = UInt64(session.expirySeconds) * 1000
            session.withExtras { $0.endsAtMilliseconds = clock.monotonicMilliseconds + wait }
            addTimer(.sessionEnd, slot: session.slot, serial: session.serial, afterMilliseconds: wait)
        }
    }

    func endIfDue(_ session: Session) {
        guard session.connection == nil, let due = session.extras?.endsAtMilliseconds, due <= clock.monotonicMilliseconds else { return }
        end(session)
    }

    /// The session is over: everything it had is given back, and what waited for it is dropped and counted.
    func end(_ session: Session) {
        if let planned = session.extras?.will {
            session.extras?.will = nil
            publish(planned, of: session)  // a will delayed beyond its session is due at the session's end
        }
        for subscription in session.subscriptions.all {
            let pattern = nodes.count > 1 ? tree.pattern(of: subscription) : ""
            tree.remove(subscription: subscription)
            if nodes.count > 1 { retract(pattern) }
        }
        counters.statistics.subscriptions -= session.subscriptions.count
        session.subscriptions.removeAll()
        handOverShared(session, isEnding: true)
        counters.dropped(.sessionEnded, session.outbound.count + session.pending.count)
        counters.statistics.inflightMessages -= session.outbound.count
        counters.statistics.queuedBytes -= session.pending.bytes
        counters.statistics.queuedMessages -= session.pending.removeAll()
        session.outbound = OutboundFlow()
        if sessionsByKey[session.key] === session {
            sessionsByKey[session.key] = nil
            if nodes.count > 1, session.key != keyInTransition { directory.release(session.key, by: index) }
        }
        session.sink?.finish()
        lastSessions.append(session)
        counters.statistics.sessions -= 1
        if session.connection == nil, session.sink == nil { counters.statistics.sessionsOffline -= 1 }
        freeSlot(session.slot)
    }

    // MARK: Wills

    private func planWill(of session: Session, ending: WillPlan.Ending) {
        guard let planned = session.extras?.will else { return }
        switch WillPlan(ending: ending, delaySeconds: planned.will.delaySeconds, sessionExpirySeconds: session.expirySeconds) {
        case .discard: session.extras?.will = nil
        case .publishNow:
            session.extras?.will = nil
            publish(planned, of: session)
        case .publishAfter(let seconds):
            let wait = UInt64(seconds) * 1000
            session.extras?.will?.dueAtMilliseconds = clock.monotonicMilliseconds + wait
            addTimer(.will, slot: session.slot, serial: session.serial, afterMilliseconds: wait)
        }
    }

    func publishWillIfDue(_ session: Session) {
        guard let planned = session.extras?.will, let due = planned.dueAtMilliseconds, due <= clock.monotonicMilliseconds else { return }
        session.extras?.will = nil
        publish(planned, of: session)
    }

    private func publish(_ planned: PlannedWill, of session: Session) {
        let will = planned.will
        guard let topic = try? TopicName(will.topic) else { return }
        var text = will.topic
        for hook in hooks.authorizePublish {
            let decision = text.withUTF8 {
                hook.mayPublish(planned.client, topic: UnsafeRawBufferPointer($0), qos: will.qos, isRetained: will.retain)
            }
            if case .deny = decision { return counters.refused(.notAuthorized) }
        }
        counters.statistics.willsPublished += 1
        let message = Message(
            topic: topic, payload: will.payload, qos: will.qos, isRetained: will.retain, properties: will.properties,
            expirySeconds: will.expirySeconds, publisher: planned.client, sourceSession: session.serial, received: clock)
        showPlugins(message)
        route(message)
    }

    /// A will has a publisher, but nobody who waits for an acknowledgement.
    private func showPlugins(_ message: Message) {
        let mask = message.withParts { topic, _, _ in hooks.publishMask(for: topic) }
        guard mask != 0 else { return }
        let token = holds.reserve()
        for (bit, hook) in hooks.publish.enumerated() where mask & (1 << UInt64(bit)) != 0 {
            _ = hook.willPublish(message, completion: PublishCompletion(sink: nodes[index], token: token))
        }
        holds.cancel(token)
    }
}
