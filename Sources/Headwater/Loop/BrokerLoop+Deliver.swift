import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Storage

/// The last step of a message: into the output buffer of a client that can take it, else into the session's queue.
extension BrokerLoop {
    /// Bytes that the socket has not taken, above which messages wait in the queue instead.
    private static var unsentLimit: Int { 1 << 18 }
    /// Output that is written at once instead of at the end of the tick.
    private static var flushSize: Int { 1 << 16 }

    @inline(__always)
    func deliver(
        _ publication: inout Publication, to session: Session, qos: QoS, retain: Bool, identifiers: [UInt32]?,
        share: ShareReference?, fansOut: Bool
    ) {
        counters.statistics.deliveriesDue &+= 1
        let isDone = session.connectionReference?._withUnsafeGuaranteedRef { connection in
            deliverNow(
                &publication, to: session, on: connection, qos: qos, retain: retain, identifiers: identifiers, share: share,
                fansOut: fansOut)
        }
        if isDone == true { return }
        deliverSlowly(&publication, to: session, qos: qos, retain: retain, identifiers: identifiers, share: share)
    }

    /// - Returns: `false`: the client can't take it now.
    @inline(__always)
    private func deliverNow(
        _ publication: inout Publication, to session: Session, on connection: ConnectionHandler, qos: QoS, retain: Bool,
        identifiers: [UInt32]?, share: ShareReference?, fansOut: Bool
    ) -> Bool {
        guard session.pending.isEmpty, connection.unsentBytes < Self.unsentLimit, hooks.authorizeDelivery.isEmpty else { return false }
        if qos == .atMostOnce {
            if session.stored != nil, session.stored?.isSpooling == true { return false }
            sendAtMostOnce(&publication, to: session, on: connection, retain: retain, identifiers: identifiers, fansOut: fansOut)
            return true
        }
        guard session.outbound.mayAdmit(window: Int(session.window)) else { return false }
        let id: UInt16
        if session.stored == nil {
            id = session.outbound.admit(
                Delivery(message: publication.message(), qos: qos, retain: retain, subscriptionIDs: identifiers, share: share))
        } else {
            let delivery = Delivery(message: publication.message(), qos: qos, retain: retain, subscriptionIDs: identifiers, share: share)
            guard let stored = admitStored(delivery, to: session, on: connection) else { return false }
            id = stored
        }
        counters.statistics.inflightMessages &+= 1
        let firstByte = PublishImage.firstByte(qos: qos, retain: retain)
        if !send(&publication, on: connection, firstByte: firstByte, packetID: id, identifiers: identifiers, fansOut: fansOut) {
            giveUp(id, of: session)
        }
        return true
    }

    /// Into the store and into the window. `nil`: it must wait its turn.
    @inline(never)
    private func admitStored(_ delivery: Delivery, to session: Session, on connection: ConnectionHandler) -> UInt16? {
        guard let part = session.stored, !part.isSpooling,
            session.outbound.mayAdmit(Delivery.packetID(ofSequence: part.nextSequence), window: Int(session.window))
        else { return nil }
        var delivery = delivery
        store(&delivery, in: part, isUrgent: false)
        return admit(delivery, to: session, part, on: connection)
    }

    /// Into the window, under the identifier that its place in the stored queue has. QoS 2 leaves only after it is stored: a
    /// client remembers identifiers across the broker's end.
    private func admit(_ delivery: Delivery, to session: Session, _ part: StoredPart, on connection: ConnectionHandler) -> UInt16 {
        let id = delivery.storedPacketID
        session.outbound.admit(delivery, as: id)
        part.sentSequence = max(part.sentSequence, delivery.sequence)
        if delivery.qos == .exactlyOnce, let ledger, delivery.place.batch > ledger.stored { ledger.hold(connection, until: delivery.place.batch) }
        return id
    }

    @inline(__always)
    private func sendAtMostOnce(
        _ publication: inout Publication, to session: Session, on connection: ConnectionHandler, retain: Bool,
        identifiers: [UInt32]?, fansOut: Bool
    ) {
        guard
            send(
                &publication, on: connection, firstByte: PublishImage.firstByte(qos: .atMostOnce, retain: retain), packetID: 0,
                identifiers: identifiers, fansOut: fansOut)
        else { return dropped(.packetTooLarge, of: session) }
        counters.statistics.delivered &+= 1
        if !hooks.delivered.isEmpty { tellDelivered(publication.message(), session) }
    }

    @inline(never)
    private func deliverSlowly(
        _ publication: inout Publication, to session: Session, qos: QoS, retain: Bool, identifiers: [UInt32]?, share: ShareReference?
    ) {
        if let sink = session.sink {
            guard sink.receive(publication.message()) else { return dropped(.queueFull, of: session) }
            counters.statistics.delivered &+= 1
            return
        }
        if session.connection == nil, qos == .atMostOnce, !configuration.sessions.queuesQoS0WhenOffline || !session.isPersistent {
            return dropped(.offline, of: session)
        }
        let delivery = Delivery(message: publication.message(), qos: qos, retain: retain, subscriptionIDs: identifiers, share: share)
        guard enqueue(delivery, for: session, source: publication.source) else { return }
        // The queue is there only to pass through the delivery hooks.
        if !hooks.authorizeDelivery.isEmpty, session.pending.count == 1 { pump(session) }
    }

    // MARK: Writing a PUBLISH

    /// - Returns: `false`: larger than the client takes; nothing was written [MQTT-3.1.2-24].
    @inline(__always)
    private func send(
        _ publication: inout Publication, on connection: ConnectionHandler, firstByte: UInt8, packetID: UInt16,
        identifiers: [UInt32]?, fansOut: Bool
    ) -> Bool {
        if fansOut, identifiers == nil, connection.extras?.outboundAliases == nil {
            return sendCopy(publication, on: connection, firstByte: firstByte, packetID: packetID)
        }
        var image = PublishImage(
            isV5: connection.version == .v5, firstByte: firstByte, topic: publication.topic, packetID: packetID,
            expirySeconds: publication.expirySeconds, subscriptionIDs: identifiers, properties: publication.properties,
            payload: publication.payload)
        if connection.extras?.outboundAliases != nil { useAlias(in: &image, on: connection) }
        return write(image, on: connection)
    }

    @inline(__always)
    private func write(_ image: PublishImage, on connection: ConnectionHandler) -> Bool {
        let size = image.encodedSize
        if size > connection.maxPacketBytes {
            if image.topicAlias != 0, !image.topic.isEmpty { connection.extras?.outboundAliases?.forget(topic: image.topic) }
            return false
        }
        _ = image.write(to: connection.output.reserve(size, pool: pool))
        wrote(size, payload: image.payload.count, firstByte: image.firstByte, on: connection)
        return true
    }

    /// The receiver of a fan-out gets a copy of what was encoded once for its layout.
    @inline(__always)
    private func sendCopy(_ publication: Publication, on connection: ConnectionHandler, firstByte: UInt8, packetID: UInt16) -> Bool {
        let isV5 = connection.version == .v5
        return images.withImage(isV5: isV5, hasPacketID: packetID != 0) {
            PublishImage(
                isV5: isV5, firstByte: firstByte, topic: publication.topic, packetID: packetID,
                expirySeconds: publication.expirySeconds, properties: publication.properties, payload: publication.payload)
        } _: { bytes, packetIDOffset in
            guard bytes.count <= connection.maxPacketBytes else { return false }
            let target = connection.output.reserve(bytes.count, pool: pool)
            target.copyMemory(from: bytes.baseAddress.unsafelyUnwrapped, byteCount: bytes.count)
            target.storeBytes(of: firstByte, as: UInt8.self)
            if packetID != 0 {
                target.storeBytes(of: UInt8(truncatingIfNeeded: packetID &>> 8), toByteOffset: packetIDOffset, as: UInt8.self)
                target.storeBytes(of: UInt8(truncatingIfNeeded: packetID), toByteOffset: packetIDOffset &+ 1, as: UInt8.self)
            }
            wrote(bytes.count, payload: publication.payload.count, firstByte: firstByte, on: connection)
            return true
        }
    }

    @inline(__always)
    private func wrote(_ size: Int, payload: Int, firstByte: UInt8, on connection: ConnectionHandler) {
        connection.output.commit(size)
        let qos = Int(firstByte &>> 1 & 3)
        counters.statistics.messagesSent[qos] &+= 1
        counters.statistics.payloadBytesSent[qos] &+= payload
        counters.statistics.packetsSent &+= 1
        if let tenant = connection.tenant { tenant._withUnsafeGuaranteedRef { $0.figures.messagesSent &+= 1 } }
        deliveriesInTick &+= 1
        if connection.output.count >= Self.flushSize { connection.flush() }
        if !connection.isTouched { touch(connection) }
    }

    private func useAlias(in image: inout PublishImage, on connection: ConnectionHandler) {
        switch connection.extras?.outboundAliases?.use(for: image.topic) ?? .none {
        case .none: break
        case .introduce(let alias): image.topicAlias = alias
        case .known(let alias):
            image.topicAlias = alias
            image.topic = UnsafeRawBufferPointer(start: nil, count: 0)
        }
    }

    /// Sends what a queue or a window held. `isRepeat`: it was sent before, on this connection's predecessor.
    private func send(_ delivery: Delivery, on connection: ConnectionHandler, packetID: UInt16, isRepeat: Bool) -> Bool {
        Publication.with(delivery.message, source: nil, nowMilliseconds: clock.monotonicMilliseconds) { publication in
            send(
                &publication, on: connection,
                firstByte: PublishImage.firstByte(qos: delivery.qos, retain: delivery.retain, dup: isRepeat), packetID: packetID,
                identifiers: delivery.subscriptionIDs, fansOut: false)
        }
    }

    /// The message in flight under `id` can't be sent to this client.
    private func giveUp(_ id: UInt16, of session: Session, _ reason: BrokerStatistics.DropReason = .packetTooLarge) {
        let delivery = session.outbound.delivery(of: id)
        guard session.outbound.abandon(id), let delivery else { return }
        unstore(delivery, of: session)
        counters.statistics.inflightMessages &-= 1
        dropped(reason, of: session)
    }

    // MARK: Draining

    /// Sends what the client can take now: first what it had not acknowledged on its last connection, then the queue,
    /// then retained messages of new subscriptions.
    func pump(_ session: Session) {
        if session.sink != nil { return continueReplays(session) }
        guard let connection = session.connection, connection.phase == .connected else { return }
        let now = clock.monotonicMilliseconds
        while connection.unsentBytes < Self.unsentLimit, let next = session.outbound.nextToResend(window: Int(session.window)) {
            switch next.phase {
            case .awaitingPubComp:
                sendAcknowledgement(on: connection, type: 0x62, packetID: next.id)
            case .awaitingPubAck, .awaitingPubRec:
                if !mayReceive(next.delivery.message, session) {
                    giveUp(next.id, of: session, .notAuthorized)
                } else if !send(next.delivery, on: connection, packetID: next.id, isRepeat: true) {
                    giveUp(next.id, of: session)
                }
            }
        }
        while connection.unsentBytes < Self.unsentLimit, let first = session.pending.first {
            if first.qos != .atMostOnce, !mayAdmit(first, to: session) { break }
            dequeued(session.pending.popFirst())
            if first.message.isExpired(atMilliseconds: now) {
                unstore(first, of: session)
                counters.statistics.expired += 1
                continue
            }
            sendFromQueue(first, to: session, on: connection)
        }
        session.isStalled = false
        if session.stored?.isSpooling == true { readOn(session) }
        guard session.extras != nil else { return }
        if session.pending.isEmpty { continueReplays(session) }
        if session.pending.count <= slowCount / 2, session.pending.bytes <= slowBytes / 2 { relieve(session) }
    }

    private func mayAdmit(_ delivery: Delivery, to session: Session) -> Bool {
        delivery.sequence == 0
            ? session.outbound.mayAdmit(window: Int(session.window))
            : session.outbound.mayAdmit(delivery.storedPacketID, window: Int(session.window))
    }

    private func sendFromQueue(_ delivery: Delivery, to session: Session, on connection: ConnectionHandler) {
        if !delivery.isReleased, !mayReceive(delivery.message, session) {
            unstore(delivery, of: session)
            return dropped(.notAuthorized, of: session)
        }
        if let client = connection.client, !hooks.authorizeDelivery.isEmpty, !delivery.isReleased {
            for hook in hooks.authorizeDelivery where !hook.mayReceive(client, message: delivery.message) {
                unstore(delivery, of: session)
                return dropped(.notAuthorized, of: session)
            }
        }
        if delivery.qos == .atMostOnce {
            unstore(delivery, of: session)
            guard send(delivery, on: connection, packetID: 0, isRepeat: false) else { return dropped(.packetTooLarge, of: session) }
            counters.statistics.delivered += 1
            if !hooks.delivered.isEmpty { tellDelivered(delivery.message, session) }
            return
        }
        counters.statistics.inflightMessages += 1
        guard delivery.sequence != 0, let part = session.stored else {
            let id = session.outbound.admit(delivery)
            if !send(delivery, on: connection, packetID: id, isRepeat: false) { giveUp(id, of: session) }
            return
        }
        let id = admit(delivery, to: session, part, on: connection)
        if delivery.isReleased {
            sendAcknowledgement(on: connection, type: 0x62, packetID: id)
        } else if !send(delivery, on: connection, packetID: id, isRepeat: delivery.sequence <= part.repeatedSequence) {
            giveUp(id, of: session)
        }
    }

    func tellDelivered(_ message: Message, _ session: Session) {
        guard let client = session.connection?.client else { return }
        for hook in hooks.delivered { hook.delivered(client, message: message) }
    }

    // MARK: Acknowledgements

    /// PUBACK, PUBREC, PUBREL or PUBCOMP. Success is four bytes in every version.
    @inline(__always)
    func sendAcknowledgement(on connection: ConnectionHandler, type: UInt8, packetID: UInt16, reason: ReasonCode = .success) {
        guard connection.phase < .closing else { return }
        let bytes = connection.output.reserve(5, pool: pool)
        bytes.storeBytes(of: type, as: UInt8.self)
        bytes.storeBytes(of: packetID.bigEndian, toByteOffset: 2, as: UInt16.self)
        if reason.rawValue != 0, connection.version == .v5 {
            bytes.storeBytes(of: 3, toByteOffset: 1, as: UInt8.self)
            bytes.storeBytes(of: reason.rawValue, toByteOffset: 4, as: UInt8.self)
            connection.output.commit(5)
        } else {
            bytes.storeBytes(of: 2, toByteOffset: 1, as: UInt8.self)
            connection.output.commit(4)
        }
        counters.statistics.packetsSent &+= 1
        if !connection.isTouched { touch(connection) }
    }

    @inline(__always)
    func receivedAcknowledgement(_ type: UInt8, _ fields: AcknowledgementFields, on connection: ConnectionHandler) {
        connection.sessionReference?._withUnsafeGuaranteedRef { session in
            receivedAcknowledgement(type, fields, of: session, on: connection)
        }
    }

    @inline(__always)
    private func receivedAcknowledgement(
        _ type: UInt8, _ fields: AcknowledgementFields, of session: Session, on connection: ConnectionHandler
    ) {
        let id = fields.packetID
        switch type {
        case 4: finish(session.outbound.receivedPubAck(id), of: session, isRejected: fields.reason.isError, on: connection)
        case 5:
            if ledger != nil, !fields.reason.isError, postpone(5, id, on: connection) { return }
            switch session.outbound.receivedPubRec(id, isError: fields.reason.isError) {
            case .release:
                if session.stored != nil { storeRelease(of: id, of: session, on: connection) }
                sendAcknowledgement(on: connection, type: 0x62, packetID: id)
            case .releaseAgain: sendAcknowledgement(on: connection, type: 0x62, packetID: id)
            case .unknown:
                if !fields.reason.isError {
                    sendAcknowledgement(on: connection, type: 0x62, packetID: id, reason: .packetIdentifierNotFound)
                }
            case let result: finish(result, of: session, isRejected: true, on: connection)
            }
        case 6:
            // [MQTT-4.3.3-11]; an identifier that is not known has been released before
            if ledger != nil, postpone(6, id, on: connection) { return }
            let isKnown = session.inbound.released(id)
            if session.stored != nil { forget(id, of: session, isKnown: isKnown, on: connection) }
            sendAcknowledgement(on: connection, type: 0x70, packetID: id, reason: isKnown ? .success : .packetIdentifierNotFound)
        default: finish(session.outbound.receivedPubComp(id), of: session, isRejected: false, isReleased: true, on: connection)
        }
    }

    @inline(never)
    private func unstore(_ result: OutboundFlow.AcknowledgeResult, of session: Session, isReleased: Bool) {
        if case .finished(let delivery) = result { unstore(delivery, of: session, isReleased: isReleased) }
    }

    @inline(never)
    private func tellDelivered(_ result: OutboundFlow.AcknowledgeResult, _ session: Session) {
        if case .finished(let delivery) = result, !delivery.isReleased { tellDelivered(delivery.message, session) }
    }

    @inline(__always)
    private func finish(
        _ result: OutboundFlow.AcknowledgeResult, of session: Session, isRejected: Bool, isReleased: Bool = false,
        on connection: ConnectionHandler
    ) {
        switch result {
        case .finished:
            // The message itself is looked at where somebody wants it: a copy would count references for every other one.
            counters.statistics.inflightMessages &-= 1
            if session.stored != nil { unstore(result, of: session, isReleased: isReleased) }
            if isRejected {
                dropped(.rejectedByReceiver, of: session)
            } else {
                counters.statistics.delivered &+= 1
                if !hooks.delivered.isEmpty { tellDelivered(result, session) }
            }
            if !session.pending.isEmpty || session.extras != nil || session.stored != nil || !session.outbound.hasResentAll { pump(session) }
        case .outOfOrder:
            protocolError(.protocolError, "acknowledgement of the wrong kind for its packet identifier", on: connection)
        case .release, .releaseAgain, .unknown:
            break  // an acknowledgement that comes twice, or after the session was new: nothing is waiting for it
        }
    }
}
