import Encodings
import MQTTModel
import MQTTSession
import MQTTWire
import Routing
import Storage

/// Shared subscriptions (MQTT 5.0 section 4.8.2). Each group has one owner, the loop that its hash names: it knows the
/// members, wherever they live, and chooses one for each message.
extension BrokerLoop {
    /// The group that a stored message names.
    func shareReference(text: String, of session: Session) -> ShareReference? {
        if let known = session.extras?.shares[ExactText(text)] { return known }
        return (try? TopicFilter(text)).flatMap { $0.isShared ? shareReference($0, of: session) : nil }
    }

    private func shareReference(_ filter: TopicFilter, of session: Session) -> ShareReference {
        let key = ShareReference.Key(tenant: session.key.tenant, name: filter.shareName ?? "", pattern: filter.pattern)
        var text = filter.string
        let owner = text.withUTF8 { Self.shard(of: UnsafeRawBufferPointer($0), tenant: session.tenantNumber, loops: nodes.count) }
        return ShareReference(key: key, tenantNumber: session.tenantNumber, ownerLoop: owner)
    }

    // MARK: The member's side

    /// - Returns: `false` if it would be one subscription too many.
    func enter(_ session: Session, into filter: TopicFilter, options: SubscriptionOptions, mayAdd: Bool) -> Bool {
        let text = ExactText(filter.string)
        let known = session.extras?.shares[text]
        guard known != nil || mayAdd else { return false }
        let reference = known ?? shareReference(filter, of: session)
        session.withExtras { $0.shares[text] = reference }
        if known == nil {
            counters.statistics.sharedSubscriptions += 1
            // Every loop must know the owner before SUBACK is out, so the member says it, not the owner.
            tellInterest(in: reference, delta: 1)
        }
        let member = self.reference(of: session)
        if reference.ownerLoop == index {
            join(reference, member: member, options: options, isOnline: session.isOnline)
        } else {
            write(.joinShare(reference, member: member, options: options, isOnline: session.isOnline), to: reference.ownerLoop)
        }
        return true
    }

    func exit(_ session: Session, from filter: TopicFilter) -> Bool {
        guard let share = session.extras?.shares.removeValue(forKey: ExactText(filter.string)) else { return false }
        withdraw(session, from: share)
        return true
    }

    func withdraw(_ session: Session, from share: ShareReference) {
        counters.statistics.sharedSubscriptions -= 1
        tellInterest(in: share, delta: -1)
        let member = reference(of: session)
        if share.ownerLoop == index {
            leave(share, member: member)
        } else {
            write(.leaveShare(share, member: member), to: share.ownerLoop)
        }
    }

    private func tellInterest(in reference: ShareReference, delta: Int) {
        // Whether a member is stored, its owner knows: the others take it that one is.
        let storedDelta = ledger == nil ? 0 : delta
        changeInterest(
            reference.key.pattern.string, tenant: reference.tenantNumber, of: reference.ownerLoop, by: delta, storedBy: storedDelta)
        for loop in nodes.indices where loop != index && loop != reference.ownerLoop {
            write(
                .interest(
                    pattern: reference.key.pattern.string, tenant: reference.tenantNumber, loop: reference.ownerLoop, delta: delta,
                    storedDelta: storedDelta),
                to: loop)
        }
    }

    func tellShares(_ session: Session, isOnline: Bool) {
        guard let shares = session.extras?.shares else { return }
        for share in shares.values {
            let member = reference(of: session)
            if share.ownerLoop == index {
                self.shares[share.key]?.group.setOnline(member.serial, isOnline)
            } else {
                write(.shareMemberOnline(share, member: member, isOnline: isOnline), to: share.ownerLoop)
            }
        }
    }

    func tell(_ reference: ShareReference, of session: Session, isCongested: Bool) {
        let member = self.reference(of: session)
        if reference.ownerLoop == index {
            shares[reference.key]?.group.setCongested(member.serial, isCongested)
        } else {
            write(.shareMemberCongested(reference, member: member, isCongested: isCongested), to: reference.ownerLoop)
        }
    }

    /// The member has gone: what it had not acknowledged goes to another one. A QoS 2 exchange that has begun stays
    /// with its client, for another one might receive the message twice [MQTT-4.8.2-4] [MQTT-4.8.2-5].
    func handOverShared(_ session: Session, isEnding: Bool = false) {
        guard let extras = session.extras, !extras.shares.isEmpty else { return }
        tellShares(session, isOnline: false)
        let member = reference(of: session)
        func goes(_ delivery: Delivery) -> Bool {
            guard let share = delivery.share else { return false }
            // Until another loop has stored it the client could come back and get it too.
            if delivery.qos == .exactlyOnce, session.stored != nil, !isEnding { return false }
            // Where nobody else is online, it may as well stay. Of a group elsewhere only the owner knows.
            return isEnding || share.ownerLoop != index || shares[share.key]?.group.hasOnlineMember(excluding: member.serial) == true
        }
        let inflight = session.outbound.extract { phase, delivery in phase == .awaitingPubAck && goes(delivery) }
        let waiting = session.pending.extract(where: goes)
        counters.statistics.inflightMessages -= inflight.count
        for delivery in waiting { dequeued(delivery) }
        if isEnding {
            for share in extras.shares.values { withdraw(session, from: share) }
            extras.shares = [:]
        }
        for delivery in inflight + waiting {
            guard let share = delivery.share else { continue }
            counters.statistics.deliveriesDue -= 1  // counted anew where it goes
            let storage = takeFromStore(delivery, of: session)
            if share.ownerLoop == index {
                passOn(delivery.message, of: share, retain: delivery.retain, from: member, storage: storage)
            } else {
                write(.shareReturn(share, delivery.message, retain: delivery.retain, from: member, storage: storage), to: share.ownerLoop)
            }
        }
    }

    /// For the member that its group's owner has chosen.
    func deliverShared(
        _ message: Message, of reference: ShareReference, to member: SessionReference, options: SubscriptionOptions,
        source: ConnectionReference?, storage: ShareStorage
    ) {
        guard let session = session(member) else {
            // It ended while the letter was under way.
            if reference.ownerLoop == index { return passOn(message, of: reference, retain: false, from: member, storage: storage) }
            return write(.shareReturn(reference, message, retain: false, from: member, storage: storage), to: reference.ownerLoop)
        }
        let before = operationCount
        Publication.with(message, source: source, nowMilliseconds: clock.monotonicMilliseconds) { publication in
            deliver(&publication, of: reference, to: session, options: options)
        }
        settle(storage.duty, operationsBefore: before)
        leaveOldPlace(storage)
        slowForStore(source)
    }

    /// The message has its new place: the old one goes in the same transaction.
    private func leaveOldPlace(_ storage: ShareStorage) {
        if let replaced = storage.replaced { ledger?.append(replaced, isUrgent: false) }
    }

    private func deliver(
        _ publication: inout Publication, of reference: ShareReference, to session: Session, options: SubscriptionOptions
    ) {
        let allowed: QoS? = session.access.map { $0.readQoS(publication.topic) } ?? .exactlyOnce
        guard let allowed else {
            counters.statistics.deliveriesDue &+= 1
            return dropped(.notAuthorized, of: session)
        }
        deliver(
            &publication, to: session, qos: min(publication.qos, options.qos, allowed),
            retain: options.retainAsPublished && publication.isRetained,
            identifiers: options.subscriptionID == 0 ? nil : [options.subscriptionID], share: reference, fansOut: false)
    }

    // MARK: The owner's side

    func join(_ reference: ShareReference, member: SessionReference, options: SubscriptionOptions, isOnline: Bool) {
        let state = shares[reference.key] ?? makeShare(reference)
        state.members[member.serial] = (member, options)
        state.group.join(member.serial, options: options, isOnline: isOnline)
    }

    private func makeShare(_ reference: ShareReference) -> ShareState {
        let state = ShareState(reference: reference, slot: takeSlot())
        subscribers[Int(state.slot)] = .share(state)
        shares[reference.key] = state
        let root = tenant(reference.tenantNumber).root
        var pattern = reference.key.pattern.string
        pattern.withUTF8 {
            _ = tree.insert(
                UnsafeRawBufferPointer($0), root: root, subscriber: state.slot, options: SubscriptionOptions(qos: .exactlyOnce))
        }
        return state
    }

    func leave(_ reference: ShareReference, member: SessionReference) {
        guard let state = shares[reference.key] else { return }
        state.members[member.serial] = nil
        state.group.leave(member.serial)
        guard state.group.isEmpty else { return }
        var pattern = reference.key.pattern.string
        let root = tenant(reference.tenantNumber).root
        pattern.withUTF8 { _ = tree.remove(UnsafeRawBufferPointer($0), root: root, subscriber: state.slot) }
        shares[reference.key] = nil
        freeSlot(state.slot)
    }

    func deliverShared(_ publication: inout Publication, of state: ShareState) {
        if let exclusion = publication.storage?.exclusion, exclusion.shares.contains(state.reference.filter) { return }
        guard let chosen = state.group.choose(), let member = state.members[chosen.id] else { return dropWithoutMember(of: state.reference) }
        if Int(member.reference.loop) != index {
            write(
                .shareDelivery(
                    state.reference, publication.message(), member: member.reference, options: member.options,
                    from: publication.source, storage: ShareStorage(duty: duty(for: &publication))),
                to: Int(member.reference.loop))
            return slow(publication.source, if: Int(member.reference.loop))
        }
        guard let session = session(member.reference) else { return dropWithoutMember(of: state.reference) }
        deliver(&publication, of: state.reference, to: session, options: member.options)
    }

    private func dropWithoutMember(of reference: ShareReference, _ storage: ShareStorage = .none) {
        storage.duty?.promise.keep()
        leaveOldPlace(storage)
        counters.statistics.deliveriesDue += 1
        dropped(.noShareMember, tenant: reference.tenantNumber)
    }

    /// A message that a member gave back: to another one if anybody is online, else back to a member that keeps it.
    func passOn(_ message: Message, of reference: ShareReference, retain: Bool, from old: SessionReference, storage: ShareStorage) {
        guard let state = shares[reference.key] else { return dropWithoutMember(of: reference, storage) }
        let chosen = state.group.choose(excluding: state.group.hasOnlineMember(excluding: old.serial) ? old.serial : nil)
        guard let chosen, let member = state.members[chosen.id] else { return dropWithoutMember(of: reference, storage) }
        if Int(member.reference.loop) != index {
            return write(
                .shareDelivery(reference, message, member: member.reference, options: member.options, from: nil, storage: storage),
                to: Int(member.reference.loop))
        }
        deliverShared(message, of: reference, to: member.reference, options: member.options, source: nil, storage: storage)
    }
}
