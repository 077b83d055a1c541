import Logging
import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing
import Storage

/// A PUBLISH from a client: checks, plugins, retained slot, receivers, acknowledgement. docs/architecture.md walks
/// through it.
extension BrokerLoop {
    func receivedPublish(_ fields: PublishFields, on connection: ConnectionHandler) {
        counters.statistics.messagesReceived[Int(fields.qos.rawValue)] &+= 1
        counters.statistics.payloadBytesReceived[Int(fields.qos.rawValue)] &+= fields.payload.count
        if let tenant = connection.tenant { tenant._withUnsafeGuaranteedRef { $0.figures.messagesReceived &+= 1 } }
        connection.sessionReference?._withUnsafeGuaranteedRef { session in
            if fields.topicAlias == 0 {
                publish(fields, topic: fields.topic, on: connection, session: session)
            } else {
                receivedAliased(fields, on: connection, session: session)
            }
        }
    }

    private func receivedAliased(_ fields: PublishFields, on connection: ConnectionHandler, session: Session) {
        let maximum = configuration.sessions.topicAliasMaximum
        var aliases = connection.withExtras { $0.inboundAliases } ?? InboundTopicAliases(maximum: maximum)
        guard aliases.isLegal(fields.topicAlias) else {
            return protocolError(.topicAliasInvalid, "topic alias above the maximum", on: connection)
        }
        if !fields.topic.isEmpty {
            guard aliases.set(fields.topicAlias, topic: fields.topic) else {
                return protocolError(.quotaExceeded, "topics of topic aliases longer than allowed", on: connection)
            }
            connection.extras?.inboundAliases = aliases
            return publish(fields, topic: fields.topic, on: connection, session: session)
        }
        let topic = aliases.topic(for: fields.topicAlias)
        connection.extras?.inboundAliases = aliases
        guard let topic else { return protocolError(.protocolError, "topic alias was never set", on: connection) }
        topic.withUnsafeBytes { publish(fields, topic: $0, on: connection, session: session) }
    }

    private func publish(
        _ fields: PublishFields, topic: UnsafeRawBufferPointer, on connection: ConnectionHandler, session: Session
    ) {
        let qos = fields.qos
        guard Int(qos.rawValue) <= configuration.sessions.maxQoS else {
            return protocolError(.qosNotSupported, "QoS above the announced maximum", on: connection)
        }
        guard !fields.retain || configuration.retained.isAvailable else {
            return protocolError(.retainNotSupported, "RETAIN though it is not available", on: connection)
        }
        guard let route = route(for: topic, tenant: session.tenantNumber) else {
            if TopicName.check(topic) == .invalidUTF8 { return malformed(.invalidUTF8, on: connection) }
            return protocolError(.topicNameInvalid, "topic name invalid or too deep", on: connection)
        }
        switch session.inbound.received(
            qos: qos, packetID: fields.packetID, unacknowledged: connection.gate.waitingAtLeastOnce,
            receiveMaximum: connection.version == .v5 ? configuration.sessions.receiveMaximum : nil)
        {
        case .route: break
        case .acknowledgeAgain:
            counters.statistics.duplicatesRecognized += 1
            if session.stored != nil { ledger?.hold(connection) }
            return acknowledge(fields.packetID, .exactlyOnce, .success, on: connection)
        case .acknowledgeLater:
            counters.statistics.duplicatesRecognized += 1
            guard let token = session.extras?.heldExactlyOnce[fields.packetID] else { return }
            return redirectHold(token, packetID: fields.packetID, to: connection)
        case .disconnect(let code):
            return protocolError(code, "more unacknowledged messages than the receive maximum", on: connection)
        }
        if qos != .atMostOnce, let ledger, ledger.isRefusing, needsStore(fields, route: route, session: session) {
            return refuseForStore(fields, on: connection, session: session, ledger)
        }
        if let quota = connection.quota, !charge(fields, to: quota, of: connection) {
            return refusePublish(fields, .quotaExceeded, .quota, on: connection)
        }
        if routes[route].isReserved || !mayPublish(topic, route: route, qos: qos, retain: fields.retain, session: session) {
            return refusePublish(fields, .notAuthorized, .notAuthorized, on: connection)
        }
        if !hooks.authorizePublish.isEmpty, let client = connection.client {
            for hook in hooks.authorizePublish {
                if case .deny(let code) = hook.mayPublish(client, topic: topic, qos: qos, isRetained: fields.retain) {
                    return refusePublish(fields, code, .notAuthorized, on: connection)
                }
            }
        }
        var properties = fields.properties
        if !fields.propertiesTravelWhole {
            propertyScratch.removeAll(keepingCapacity: true)
            PublishFields.travellingProperties(fields.properties, into: &propertyScratch)
            return propertyScratch.withUnsafeBytes {
                properties = $0
                finishPublish(fields, topic: topic, properties: properties, route: route, on: connection, session: session)
            }
        }
        finishPublish(fields, topic: topic, properties: properties, route: route, on: connection, session: session)
    }

    @inline(__always)
    private func finishPublish(
        _ fields: PublishFields, topic: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer, route: Int,
        on connection: ConnectionHandler, session: Session
    ) {
        var publication = Publication(
            fields: fields, topic: topic, properties: properties, publisher: connection.client.map { Unmanaged.passUnretained($0) },
            tenant: session.tenantNumber, sourceSession: session.serial, source: connection.reference, clock: clock)
        if let ledger { return finishStored(&publication, fields, route: route, on: connection, session: session, ledger) }
        var isHeld = false
        if routes[route].hookMask != 0 {
            switch askPlugins(&publication, mask: routes[route].hookMask, fields: fields, connection: connection, session: session) {
            case .proceed: break
            case .hold: isHeld = true
            case .drop:
                refused(.plugin, tenant: session.tenantNumber)
                return acknowledge(fields.packetID, fields.qos, .success, on: connection)
            case .refuse(let code): return refusePublish(fields, code, .plugin, on: connection)
            }
        }
        if fields.retain, !retain(&publication), !isHeld {
            return refusePublish(fields, .quotaExceeded, .quota, on: connection)
        }
        let hasReceivers = deliver(&publication, route: route)
        guard !isHeld else { return }
        acknowledge(
            fields.packetID, fields.qos, hasReceivers || connection.version != .v5 ? .success : .noMatchingSubscribers, on: connection)
    }

    /// The same where a store is: what the message led to is stored before its acknowledgement leaves.
    ///
    /// A QoS 2 publish of a stored session is remembered in the same transaction as its copies. Where that can't be, because other
    /// loops have copies or a plugin has yet to take it, every copy notes whose it is, and it is remembered when all is stored.
    private func finishStored(
        _ publication: inout Publication, _ fields: PublishFields, route: Int, on connection: ConnectionHandler, session: Session,
        _ ledger: StoreLedger
    ) {
        var hold: UInt64?
        if routes[route].hookMask != 0 {
            switch askPlugins(&publication, mask: routes[route].hookMask, fields: fields, connection: connection, session: session) {
            case .proceed: break
            case .hold: hold = lastHold
            case .drop:
                refused(.plugin, tenant: session.tenantNumber)
                return acknowledge(fields.packetID, fields.qos, .success, on: connection)
            case .refuse(let code): return refusePublish(fields, code, .plugin, on: connection)
            }
        }
        let before = ledger.open.operations.count
        if !publishOutbox.slowing.isEmpty { slowForQueues(connection) }
        let remembered = fields.qos == .exactlyOnce ? session.stored : nil
        if let remembered, nodes.count > 1 || hold != nil || !relays.isEmpty {
            let origin = PublishOrigin(
                session: remembered.number, packetID: fields.packetID, topic: publication.topic, payload: publication.payload)
            let relay = relays.removeValue(forKey: origin)
            publication.withStorage {
                $0.origin = origin
                $0.exclusion = relay
            }
        }
        if fields.retain, !retain(&publication), hold == nil {
            publishOutbox.discard(tenant: connection.client?.tenant ?? "")
            return refusePublish(fields, .quotaExceeded, .quota, on: connection)
        }
        let isKept = storeEntries(of: publication.message(), except: publication.storage?.exclusion)
        let hasReceivers = deliver(&publication, route: route) || isKept
        let reason: ReasonCode = hasReceivers || connection.version != .v5 ? .success : .noMatchingSubscribers
        if let remembered {
            if hold != nil || publication.storage?.promise != nil {
                if let origin = publication.storage?.origin { noteRelayed(origin, since: before, in: ledger) }
                return rememberLater(
                    publication, hold: hold, isStoring: ledger.open.operations.count > before, fields, on: connection, session: session, ledger)
            }
            ledger.append(.remember(fields.packetID, session: remembered.number))
        }
        slowForStore(publication.source)
        if let hold { return holds.note(batch: ledger.open.number, token: hold) }
        if fields.qos != .atMostOnce, remembered != nil || publication.storage?.hasDuty == true || ledger.open.operations.count > before {
            ledger.hold(connection)
        }
        acknowledge(fields.packetID, fields.qos, reason, on: connection)
    }

    /// The acknowledgement, and the memory of the identifier, wait until every copy is stored and the plugins are done.
    private func rememberLater(
        _ publication: Publication, hold: UInt64?, isStoring: Bool, _ fields: PublishFields, on connection: ConnectionHandler, session: Session,
        _ ledger: StoreLedger
    ) {
        let token = hold ?? holds.reserve()
        let waiting: UInt64 = publication.storage?.promise == nil && !isStoring ? 0 : 1 << HeldPublishes.storeBit
        if hold == nil {
            let bytes = publication.byteCount + 64
            beginHold(token, bytes: bytes, waiting: waiting, fields: fields, connection: connection, session: session)
        } else {
            holds.wait(token, for: waiting)
        }
        holds.rememberWhenDone(token)
        guard waiting != 0 else { return }
        let promise = publication.storage?.promise ?? StorePromise(.publish(0), node: nodes[index])
        promise.name(.publish(HeldPublishes.token(token, ofPlugin: Int(HeldPublishes.storeBit))))
        // The first keeper is this loop.
        if isStoring { ledger.keepWhenStored(promise) } else { promise.keep() }
    }

    /// Whether a message could be acknowledged only after something is stored.
    private func needsStore(_ fields: PublishFields, route: Int, session: Session) -> Bool {
        routes[route].isStored || fields.retain || fields.qos == .exactlyOnce && session.stored != nil
            || routes[route].hookMask & hooks.storing != 0
    }

    /// Nothing can be stored now: v5 is told, MQTT 3 has no word for it and waits unread.
    private func refuseForStore(_ fields: PublishFields, on connection: ConnectionHandler, session: Session, _ ledger: StoreLedger) {
        guard connection.version != .v5 else { return refusePublish(fields, .quotaExceeded, .quota, on: connection) }
        if fields.qos == .exactlyOnce { session.inbound.refused(fields.packetID) }
        counters.statistics.messagesReceived[Int(fields.qos.rawValue)] &-= 1
        counters.statistics.payloadBytesReceived[Int(fields.qos.rawValue)] &-= fields.payload.count
        count(for: session.tenantNumber) { $0.messagesReceived &-= 1 }
        connection.mustComeAgain = true
        connection.pause()
        ledger.postponed.append(connection.reference)
    }

    /// Sends PUBACK or PUBREC, behind those that are held.
    @inline(__always)
    func acknowledge(_ packetID: UInt16, _ qos: QoS, _ reason: ReasonCode, on connection: ConnectionHandler) {
        guard qos != .atMostOnce else { return }
        if connection.gate.isOpen {
            sendAcknowledgement(on: connection, type: qos == .atLeastOnce ? 0x40 : 0x50, packetID: packetID, reason: reason)
        } else {
            connection.gate.append(AckGate.Acknowledgement(packetID: packetID, qos: qos, reason: reason))
            pauseIfTooMuchIsHeld(connection)
        }
    }

    /// The message is not routed. MQTT 3 has no way to say so: it is acknowledged and dropped.
    private func refusePublish(
        _ fields: PublishFields, _ code: ReasonCode, _ reason: BrokerStatistics.RefusalReason, on connection: ConnectionHandler
    ) {
        refused(reason, tenant: connection.client?.tenantNumber ?? 0)
        let isV5 = connection.version == .v5
        if isV5, fields.qos == .exactlyOnce { connection.session?.inbound.refused(fields.packetID) }
        acknowledge(fields.packetID, fields.qos, isV5 ? code : .success, on: connection)
    }

    // MARK: Plugins

    private func askPlugins(
        _ publication: inout Publication, mask: UInt64, fields: PublishFields, connection: ConnectionHandler, session: Session
    ) -> PublishDecision {
        let message = publication.message()
        let token = holds.reserve()
        var waiting: UInt64 = 0
        for (bit, hook) in hooks.publish.enumerated() where mask & (1 << UInt64(bit)) != 0 {
            let completion = PublishCompletion(sink: nodes[index], token: HeldPublishes.token(token, ofPlugin: bit))
            switch hook.willPublish(message, completion: completion, outbox: publishOutbox) {
            case .proceed: break
            case .hold: waiting |= 1 << UInt64(bit)
            case let verdict:
                // A plugin that holds already has taken the message; its completion finds nobody.
                holds.cancel(token)
                publishOutbox.discard(tenant: connection.client?.tenant ?? "")
                return verdict
            }
        }
        guard waiting != 0 else {
            holds.cancel(token)
            return .proceed
        }
        beginHold(token, bytes: message.byteCount + 64, waiting: waiting, fields: fields, connection: connection, session: session)
        lastHold = token
        return .hold
    }

    private func beginHold(
        _ token: UInt64, bytes: Int, waiting: UInt64, fields: PublishFields, connection: ConnectionHandler, session: Session
    ) {
        var sequence: UInt64 = 0
        if fields.qos == .atMostOnce {
            connection.heldQoS0 += 1
        } else {
            sequence = connection.gate.hold(packetID: fields.packetID, qos: fields.qos)
            if fields.qos == .exactlyOnce {
                session.inbound.hold(fields.packetID)
                session.withExtras { $0.heldExactlyOnce[fields.packetID] = token }
            }
        }
        holds.hold(
            HeldPublishes.Hold(
                session: reference(of: session), connection: connection.reference, gateSequence: sequence,
                packetID: fields.packetID, qos: fields.qos, bytes: bytes, waiting: waiting, failure: nil),
            token: token)
        connection.heldBytes += bytes
        pauseIfTooMuchIsHeld(connection)
    }

    /// A held QoS 2 message that its client sends again: PUBREC goes to the connection that asked last.
    private func redirectHold(_ token: UInt64, packetID: UInt16, to connection: ConnectionHandler) {
        // The same connection has its place in the gate already.
        guard let hold = holds[token], hold.connection != connection.reference else { return }
        let sequence = connection.gate.hold(packetID: packetID, qos: .exactlyOnce)
        holds.redirect(token, to: connection.reference, gateSequence: sequence)
        connection.heldBytes += hold.bytes
        pauseIfTooMuchIsHeld(connection)
    }

    /// Held messages and the acknowledgements behind them are memory that the publisher fills: by count, by bytes, and
    /// by the bytes that plugins hold for all publishers of this loop.
    private func pauseIfTooMuchIsHeld(_ connection: ConnectionHandler) {
        guard !connection.pausedForHolds,
            connection.gate.count + Int(connection.heldQoS0) >= configuration.sessions.receiveMaximum
                || connection.heldBytes >= slowBytes || holds.bytes >= maxQueuedBytes && connection.heldBytes > 0
        else { return }
        connection.pausedForHolds = true
        connection.pause()
    }

    /// A plugin has kept its promise, or never will.
    func completed(_ token: UInt64, _ outcome: PublishOutcome) {
        beginWork()
        var failure: ReasonCode?
        if case .failed(let code) = outcome { failure = code }
        guard let hold = holds.complete(token, failure: failure) else { return }
        if hold.qos == .exactlyOnce, let session = session(hold.session) {
            session.inbound.endHold(hold.packetID)
            session.extras?.heldExactlyOnce[hold.packetID] = nil
            if hold.failure != nil { session.inbound.refused(hold.packetID) }
            if hold.isToBeRemembered, let part = session.stored {
                ledger?.append(
                    hold.failure == nil ? .remember(hold.packetID, session: part.number) : .forget(hold.packetID, session: part.number))
            }
        }
        guard let connection = connections[hold.connection], connection.phase == .connected else { return }
        if let ledger {
            if hold.isToBeRemembered { ledger.hold(connection) } else { ledger.hold(connection, until: hold.batch) }
        }
        connection.heldBytes -= hold.bytes
        if hold.qos == .atMostOnce {
            connection.heldQoS0 -= 1
        } else if let failure = hold.failure, connection.version != .v5 {
            // MQTT 3 can't say no. Not acknowledged is the truth, so the connection can't go on.
            return connection.close(
                DisconnectReason(cause: .administrative, code: failure), detail: "a plugin could not take the message")
        } else {
            connection.gate.complete(hold.gateSequence, reason: hold.failure ?? .success)
            while let ready = connection.gate.popReady() {
                sendAcknowledgement(on: connection, type: ready.qos == .atLeastOnce ? 0x40 : 0x50, packetID: ready.packetID, reason: ready.reason)
            }
        }
        if connection.pausedForHolds,
            connection.gate.count + Int(connection.heldQoS0) <= configuration.sessions.receiveMaximum / 2,
            connection.heldBytes <= slowBytes / 2
        {
            connection.pausedForHolds = false
            connection.unpause()
        }
    }
}
