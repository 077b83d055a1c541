import Logging
import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing
import Storage

/// Sessions from birth to end, and the wills they leave (MQTT 5.0 sections 4.1 and 3.1.2.5).
extension BrokerLoop {
    /// A session that nobody had. Its connection is set by the caller.
    /// - Parameter tenantNumber: Of the key's tenant.
    func begin(_ key: SessionKey, tenantNumber: UInt32) -> Session {
        let slot = takeSlot()
        let session = Session(key: key, tenantNumber: tenantNumber, serial: UInt64(index) << 48 | nextSerial, slot: slot)
        nextSerial += 1
        subscribers[Int(slot)] = .session(session)
        sessionsByKey[key] = session
        counters.statistics.sessions += 1
        count(for: tenantNumber) { $0.sessions += 1 }
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
        count(for: session.tenantNumber) { $0.connections -= 1 }
        giveQuotaPlace(ofTenant: session.tenantNumber)
        counters.statistics.disconnects[reason.cause.rawValue, default: 0] += 1
        relieve(session)
        session.extras?.replays.removeAll()
        if let client = connection.client {
            var metadata: Logger.Metadata = [
                "client": "\(client.clientID)", "user": "\(client.username ?? "")", "peer": "\(client.peerAddress)",
                "cause": "\(reason.cause.rawValue)", "code": "\(reason.code)", "tenant": "\(client.tenant)",
            ]
            if let detail { metadata["why"] = "\(detail)" }
            clientLog.line(.info, "disconnected", nowMilliseconds: clock.monotonicMilliseconds, metadata: metadata)
            for hook in hooks.disconnected { hook.clientDisconnected(client, reason: reason) }
        }
        if session.stored != nil { session.withExtras { $0.disconnectedAt = clock.unixMilliseconds } }
        planWill(of: session, ending: ending)
        guard session.isPersistent else { return end(session) }
        handOverShared(session)
        if let part = session.stored { leaveToStore(session, part) }
        endLater(session, afterMilliseconds: UInt64(session.expirySeconds) * 1000)
        save(session)
    }

    /// The session is over when nobody has connected by then.
    func endLater(_ session: Session, afterMilliseconds wait: UInt64) {
        guard session.expirySeconds != .max else { return }
        session.withExtras { $0.endsAtMilliseconds = clock.monotonicMilliseconds + wait }
        addTimer(.sessionEnd, slot: session.slot, serial: session.serial, afterMilliseconds: wait)
    }

    func endIfDue(_ session: Session) {
        guard session.connection == nil, let due = session.extras?.endsAtMilliseconds, due <= clock.monotonicMilliseconds else { return }
        end(session)
    }

    /// The session is over: everything it had is given back, and what waited for it is dropped and counted.
    func end(_ session: Session) {
        publishWill(of: session)  // a will delayed beyond its session is due at the session's end
        for subscription in session.subscriptions.all {
            let pattern = nodes.count > 1 ? tree.pattern(of: subscription) : ""
            tree.remove(subscription: subscription)
            if nodes.count > 1 { retract(pattern, of: session) }
        }
        counters.statistics.subscriptions -= session.subscriptions.count
        session.subscriptions.removeAll()
        handOverShared(session, isEnding: true)
        dropped(.sessionEnded, session.outbound.count + session.pending.count, of: session)
        counters.statistics.inflightMessages -= session.outbound.count
        counters.statistics.queuedBytes -= session.pending.bytes
        counters.statistics.queuedMessages -= session.pending.removeAll()
        session.outbound = OutboundFlow()
        endStoring(session)
        if sessionsByKey[session.key] === session {
            sessionsByKey[session.key] = nil
            if nodes.count > 1, session.key != keyInTransition { directory.release(session.key, by: index) }
        }
        session.sink?.finish()
        lastSessions.append(session)
        counters.statistics.sessions -= 1
        count(for: session.tenantNumber) { $0.sessions -= 1 }
        if session.connection == nil, session.sink == nil { counters.statistics.sessionsOffline -= 1 }
        freeSlot(session.slot)
    }

    // MARK: Wills

    func planWill(of session: Session, ending: WillPlan.Ending) {
        guard let planned = session.extras?.will else { return }
        switch WillPlan(ending: ending, delaySeconds: planned.will.delaySeconds, sessionExpirySeconds: session.expirySeconds) {
        case .discard: session.extras?.will = nil
        case .publishNow: publishWill(of: session)
        case .publishAfter(let seconds):
            let wait = UInt64(seconds) * 1000
            session.extras?.will?.dueAtMilliseconds = clock.monotonicMilliseconds + wait
            addTimer(.will, slot: session.slot, serial: session.serial, afterMilliseconds: wait)
        }
    }

    func publishWillIfDue(_ session: Session) {
        guard let planned = session.extras?.will, let due = planned.dueAtMilliseconds, due <= clock.monotonicMilliseconds else { return }
        publishWill(of: session)
    }

    /// The store forgets a will when those who are to have it are in the store, so that a crash repeats it rather than losing it.
    private func publishWill(of session: Session) {
        guard let planned = session.extras?.will else { return }
        session.extras?.will = nil
        let number = session.stored?.number ?? 0
        guard let promise = publish(planned, of: session) else { return save(session) }
        session.extras?.leavingWill = planned
        promise.name(.will(reference(of: session), number: number))
        promise.keep()
    }

    /// What the store has of a session goes.
    private func endStoring(_ session: Session) {
        guard let part = session.stored, let ledger else { return }
        dropped(.sessionEnded, part.spooledCount, of: session)
        counters.statistics.queuedMessages -= part.spooledCount
        counters.statistics.queuedBytes -= part.spooledBytes
        part.readNumber += 1
        part.isReading = false
        part.spooledCount = 0
        part.spooledBytes = 0
        storedSessions[part.number] = nil
        // One whose will is on its way ends with its arrival (`kept`).
        if session.extras?.leavingWill == nil { ledger.append(.endSession(part.number)) }
        session.stored = nil
    }

    /// - Returns: The promise that other loops keep for it, with one keeper left for the caller; `nil`: nobody has to.
    private func publish(_ planned: PlannedWill, of session: Session) -> StorePromise? {
        let will = planned.will
        guard let topic = try? TopicName(will.topic) else { return nil }
        var text = will.topic
        let isAllowed = text.withUTF8 {
            mayPublishWill(UnsafeRawBufferPointer($0), qos: will.qos, retain: will.retain, client: planned.client)
        }
        guard isAllowed else {
            refused(.notAuthorized, tenant: session.tenantNumber)
            return nil
        }
        for hook in hooks.authorizePublish {
            let decision = text.withUTF8 {
                hook.mayPublish(planned.client, topic: UnsafeRawBufferPointer($0), qos: will.qos, isRetained: will.retain)
            }
            if case .deny = decision {
                refused(.notAuthorized, tenant: session.tenantNumber)
                return nil
            }
        }
        counters.statistics.willsPublished += 1
        let message = Message(
            topic: topic, payload: will.payload, qos: will.qos, isRetained: will.retain, properties: will.properties,
            expirySeconds: will.expirySeconds, publisher: planned.client, sourceSession: session.serial, received: clock)
        showPlugins(message)
        guard let part = session.stored, let ledger, will.qos != .atMostOnce else {
            storeEntries(of: message, except: nil)
            route(message)
            return nil
        }
        // Like a QoS 2 publish of the session with packet identifier 0: published again after a crash, it goes only to those who
        // don't have it.
        let before = operationCount
        return Publication.with(message, source: nil, nowMilliseconds: clock.monotonicMilliseconds) { publication in
            let origin = PublishOrigin(session: part.number, packetID: 0, topic: publication.topic, payload: publication.payload)
            let relay = relays.removeValue(forKey: origin)
            publication.withStorage {
                $0.origin = origin
                $0.exclusion = relay
            }
            storeEntries(of: message, except: relay)
            route(&publication)
            let promise = publication.storage?.promise
            if promise != nil { noteRelayed(origin, since: before, in: ledger) }
            return promise
        }
    }

    /// A will has a publisher, but nobody who waits for an acknowledgement.
    private func showPlugins(_ message: Message) {
        let mask = message.withParts { topic, _, _ in hooks.publishMask(for: topic) }
        guard mask != 0 else { return }
        let token = holds.reserve()
        for (bit, hook) in hooks.publish.enumerated() where mask & (1 << UInt64(bit)) != 0 {
            _ = hook.willPublish(message, completion: PublishCompletion(sink: nodes[index], token: token), outbox: publishOutbox)
        }
        holds.cancel(token)
    }
}
