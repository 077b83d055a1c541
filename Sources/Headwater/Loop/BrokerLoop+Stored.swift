import MQTTModel
import MQTTSession
import MQTTWire
import Routing
import Storage

/// What of a session goes into the store.
extension BrokerLoop {
    /// A session that is to outlive the broker's process.
    func beginStoring(_ session: Session) {
        guard let ledger, session.stored == nil else { return }
        let part = StoredPart(number: ledger.service.takeSessionNumber(), firstBatch: ledger.open.number)
        session.stored = part
        storedSessions[part.number] = session
    }

    /// Stores what the session is besides its subscriptions and messages.
    func save(_ session: Session) {
        guard let ledger, let part = session.stored else { return }
        var record = SessionRecord(
            number: part.number, tenant: session.key.tenant, clientID: session.key.clientID, expirySeconds: session.expirySeconds)
        if session.connection == nil {
            record.disconnectedAt = session.extras?.disconnectedAt ?? clock.unixMilliseconds
            record.sentSequence = max(part.sentSequence, part.repeatedSequence)
        }
        if let planned = session.extras?.will ?? session.extras?.leavingWill {
            let will = planned.will
            let dueAt = planned.dueAtMilliseconds.map { clock.unixMilliseconds + Int64($0) - Int64(clock.monotonicMilliseconds) }
            record.will = StoredWill(
                topic: will.topic, payload: will.payload, qos: will.qos, retain: will.retain, delaySeconds: will.delaySeconds,
                expirySeconds: will.expirySeconds, properties: will.properties.encoded, username: planned.client.username,
                protocolVersion: planned.client.protocolVersion, peerAddress: planned.client.peerAddress, listener: planned.client.listener,
                dueAt: dueAt)
        }
        ledger.append(.putSession(record))
    }

    func saveSubscription(_ filter: TopicFilter, _ options: SubscriptionOptions, of session: Session) {
        guard let ledger, let part = session.stored else { return }
        ledger.append(
            .putSubscription(
                SubscriptionRecord(
                    filter: filter.string, qos: options.qos, noLocal: options.noLocal, retainAsPublished: options.retainAsPublished,
                    subscriptionID: options.subscriptionID),
                session: part.number))
    }

    func removeSubscription(_ filter: TopicFilter, of session: Session) {
        guard let ledger, let part = session.stored else { return }
        ledger.append(.removeSubscription(filter.string, session: part.number))
    }

    // MARK: Messages

    /// Whether the store is to have a message for this session.
    @inline(__always)
    func isStored(_ session: Session, _ qos: QoS) -> Bool {
        guard let part = session.stored else { return false }
        return qos != .atMostOnce || part.isSpooling || configuration.sessions.queuesQoS0WhenOffline
    }

    /// Gives the message its place in the session's queue and puts it into the open batch.
    ///
    /// - Parameter isUrgent: No receiver can acknowledge it before it is stored.
    func store(_ delivery: inout Delivery, in part: StoredPart, isUrgent: Bool) {
        guard let ledger else { return }
        delivery.sequence = part.nextSequence
        part.nextSequence += 1
        part.lastBatch = ledger.open.number
        let index = ledger.append(
            .enqueue(
                delivery.message, session: part.number, sequence: delivery.sequence, qos: delivery.qos, retain: delivery.retain,
                bytes: delivery.queuedBytes, subscriptionIDs: delivery.subscriptionIDs, share: delivery.share?.filter),
            isUrgent: isUrgent || delivery.qos == .exactlyOnce)
        delivery.place = Delivery.Place(batch: ledger.open.number, index: index)
    }

    /// The session does not have the message any more: it is acknowledged, given up or has gone elsewhere.
    ///
    /// - Parameter isReleased: Of the message, the store has the end of its QoS 2 exchange alone.
    func unstore(_ delivery: Delivery, of session: Session, isReleased: Bool = false) {
        guard delivery.sequence != 0, let ledger, let part = session.stored else { return }
        if delivery.place.batch == ledger.open.number {
            ledger.open.cancel(Int(delivery.place.index))
        } else {
            part.readableAfter = ledger.open.number
            ledger.append(removal(of: delivery, from: part, isReleased: isReleased), isUrgent: false)
        }
    }

    private func removal(of delivery: Delivery, from part: StoredPart, isReleased: Bool) -> StoreOperation {
        .remove(
            session: part.number, sequence: delivery.sequence, messageBytes: isReleased ? 0 : delivery.message.byteCount,
            bytes: isReleased ? Delivery.flatBytes : delivery.queuedBytes)
    }

    /// The receiver has sent PUBREC: that is stored before PUBREL leaves, or the message would be sent again after a crash to a
    /// client that has forgotten its identifier.
    @inline(never)
    func storeRelease(of id: UInt16, of session: Session, on connection: ConnectionHandler) {
        guard let delivery = session.outbound.delivery(of: id), delivery.sequence != 0, !delivery.isReleased, let ledger, let part = session.stored else { return }
        part.readableAfter = ledger.open.number
        ledger.append(
            .release(
                session: part.number, sequence: delivery.sequence, messageBytes: delivery.message.byteCount, bytes: delivery.message.byteCount))
        ledger.hold(connection)
    }

    /// PUBREL has come: PUBCOMP leaves when the identifier is free in the store too.
    @inline(never)
    func forget(_ packetID: UInt16, of session: Session, isKnown: Bool, on connection: ConnectionHandler) {
        guard let ledger, let part = session.stored else { return }
        // One that is not known may have been released on a connection that has gone, and that not be stored yet.
        if isKnown { ledger.append(.forget(packetID, session: part.number)) }
        ledger.hold(connection)
    }

    /// Takes the message out of the session's stored queue for another session, which is to remove it when it stores it itself.
    ///
    /// - Returns: How; and whom the other session's storing is owed to, because this one's will not come.
    func takeFromStore(_ delivery: Delivery, of session: Session) -> ShareStorage {
        guard delivery.sequence != 0, let ledger, let part = session.stored else { return .none }
        guard delivery.place.batch == ledger.open.number else {
            part.readableAfter = ledger.open.number
            part.movedAway.insert(delivery.sequence)
            return ShareStorage(duty: nil, replaced: removal(of: delivery, from: part, isReleased: false))
        }
        ledger.open.cancel(Int(delivery.place.index))
        let promise = ledger.promiseOfOpenBatch(node: nodes[index])
        return ShareStorage(duty: StoreDuty(promise: promise, origin: nil, exclusion: nil), replaced: nil)
    }

    /// A message with its duty has been dealt with on this loop: what it led to is in the open batch since `before`.
    func settle(_ duty: StoreDuty?, operationsBefore before: Int) {
        guard let duty, let ledger else { return }
        if let origin = duty.origin { noteRelayed(origin, since: before, in: ledger) }
        if ledger.open.operations.count > before { ledger.keepWhenStored(duty.promise) } else { duty.promise.keep() }
    }

    /// Notes who has a publish, in the same batch as their copies (docs/adr/0012).
    func noteRelayed(_ origin: PublishOrigin, since before: Int, in ledger: StoreLedger) {
        var relay = Relay(origin: origin)
        for operation in ledger.open.operations[before...] {
            switch operation.kind {
            case .enqueue:
                if let share = operation.share { relay.shares.append(share) } else { relay.sessions.append(operation.session) }
            case .append: relay.queues.append(operation.session)
            default: break
            }
        }
        if !relay.isEmpty { ledger.append(.relayed(relay, loop: UInt8(index), batch: ledger.runSalt &+ (ledger.open.number << 20 | UInt64(before & 0xF_FFFF)))) }
    }

    /// Operations in the open batch: the difference tells whether a message needs the store.
    @inline(__always)
    var operationCount: Int { ledger?.open.operations.count ?? 0 }
}
