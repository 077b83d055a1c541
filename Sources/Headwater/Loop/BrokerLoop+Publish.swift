import Logging
import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing

/// A PUBLISH from a client: checks, plugins, retained slot, receivers, acknowledgement. docs/architecture.md walks
/// through it.
extension BrokerLoop {
    func receivedPublish(_ fields: PublishFields, on connection: ConnectionHandler) {
        counters.statistics.messagesReceived[Int(fields.qos.rawValue)] &+= 1
        counters.statistics.payloadBytesReceived[Int(fields.qos.rawValue)] &+= fields.payload.count
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
            aliases.set(fields.topicAlias, topic: fields.topic)
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
        guard let route = route(for: topic) else {
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
            return acknowledge(fields.packetID, .exactlyOnce, .success, on: connection)
        case .acknowledgeLater:
            counters.statistics.duplicatesRecognized += 1
            guard let token = session.extras?.heldExactlyOnce[fields.packetID] else { return }
            return redirectHold(token, packetID: fields.packetID, to: connection)
        case .disconnect(let code):
            return protocolError(code, "more unacknowledged messages than the receive maximum", on: connection)
        }
        if routes[route].isReserved { return refusePublish(fields, .notAuthorized, .notAuthorized, on: connection) }
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
            fields: fields, topic: topic, properties: properties, publisher: connection.client.map { Unmanaged.passUnretained($0) }, sourceSession: session.serial,
            source: connection.reference, clock: clock)
        var isHeld = false
        if routes[route].hookMask != 0 {
            switch askPlugins(&publication, mask: routes[route].hookMask, fields: fields, connection: connection, session: session) {
            case .proceed: break
            case .hold: isHeld = true
            case .drop:
                counters.refused(.plugin)
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
        counters.refused(reason)
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
            switch hook.willPublish(message, completion: completion) {
            case .proceed: break
            case .hold: waiting |= 1 << UInt64(bit)
            case let verdict:
                // A plugin that holds already has taken the message; its completion finds nobody.
                holds.cancel(token)
                return verdict
            }
        }
        guard waiting != 0 else {
            holds.cancel(token)
            return .proceed
        }
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
                packetID: fields.packetID, qos: fields.qos, bytes: message.byteCount + 64, waiting: waiting, failure: nil),
            token: token)
        connection.heldBytes += message.byteCount + 64
        pauseIfTooMuchIsHeld(connection)
        return .hold
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
        }
        guard let connection = connections[hold.connection], connection.phase == .connected else { return }
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
