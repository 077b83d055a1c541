import MQTTModel
import MQTTSession
import MQTTWire
import PluginAPI
import Routing
import Storage

/// Who gets a message: the cached answer of the tree, and the delivery to each receiver.
extension BrokerLoop {
    /// The cached route of a tenant's topic; `nil`: the bytes are no topic name, or too deep.
    @inline(__always)
    func route(for topic: UnsafeRawBufferPointer, tenant: UInt32) -> Int? {
        routes.lookup(topic, tenant: tenant, generation: tree.generation) ?? renewRoute(for: topic, tenant: tenant)
    }

    /// What other tenants subscribe to and give up leaves this one's routes as they are.
    @inline(never)
    private func renewRoute(for topic: UnsafeRawBufferPointer, tenant: UInt32) -> Int? {
        let lastChange = tree.lastChange(beneath: self.tenant(tenant).root)
        return routes.renew(topic, tenant: tenant, since: lastChange, generation: tree.generation) ?? makeRoute(for: topic, tenant: tenant)
    }

    private func makeRoute(for topic: UnsafeRawBufferPointer, tenant: UInt32) -> Int? {
        guard TopicName.check(topic) == nil, TopicName.levelCount(topic) <= decodeLimits.maxTopicLevels else { return nil }
        tree.match(topic, root: self.tenant(tenant).root, into: &matches)
        // Entries keep their memory when another topic takes their line: ten thousand receivers of every topic, times all
        // lines, would be gigabytes.
        if cachedTargets > Self.maxCachedTargets {
            routes = RouteCache(maximumLines: Self.maxCachedRoutes, empty: RouteEntry())
            cachedTargets = 0
        }
        let index = routes.insert(topic, tenant: tenant, generation: tree.generation)
        routes.withEntry(at: index) { entry in
            cachedTargets -= entry.targets.capacity
            defer { cachedTargets += entry.targets.capacity }
            entry.removeAll()
            for match in matches.matches {
                switch subscribers[Int(match.subscriber)] {
                case .session(let session):
                    if session.stored != nil, match.qos != .atMostOnce { entry.isStored = true }
                    var identifiers: Int32 = -1
                    if match.identifierCount > 0 {
                        identifiers = Int32(entry.identifiers.count)
                        entry.identifiers.append(Array(matches.identifiers(of: match)))
                    }
                    let allowed = session.access.map { $0.readQoS(topic) } ?? .exactlyOnce
                    entry.targets.append(RouteTarget(
                        session: Unmanaged.passUnretained(session), identifiers: identifiers, qos: min(match.qos, allowed ?? .atMostOnce),
                        retainAsPublished: match.retainAsPublished, noLocalAll: match.noLocalAll, noLocalSome: match.noLocalSome,
                        isAllowed: allowed != nil))
                case .share:
                    entry.shareSlots.append(match.subscriber)
                    entry.isStored = ledger != nil
                case .loop(let loop) where loop != self.index:
                    entry.otherLoops |= 1 << UInt64(loop)
                    if match.qos != .atMostOnce, ledger != nil {
                        entry.storingLoops |= 1 << UInt64(loop)
                        entry.isStored = true
                    }
                case .loop: break
                case .free: break
                }
            }
            entry.hookMask = hooks.publishMask(for: topic)
            entry.isReserved = isReservedTopic(topic)
        }
        return index
    }

    static var maxCachedRoutes: Int { 1 << 15 }
    /// About 100 MB for each loop.
    private static var maxCachedTargets: Int { 1 << 22 }

    /// Topics that are the broker's own: no client may publish there.
    func isReservedTopic(_ topic: UnsafeRawBufferPointer) -> Bool {
        guard topic.first == UInt8(ascii: "$") else { return false }
        return ["$SYS", "$CONTROL", "$share"].contains { prefix in
            topic.starts(with: prefix.utf8) && (topic.count == prefix.utf8.count || topic[prefix.utf8.count] == UInt8(ascii: "/"))
        }
    }

    /// Gives a message to everybody who is to have it.
    /// - Returns: Whether there is anybody, as far as this loop knows.
    func deliver(_ publication: inout Publication, route index: Int) -> Bool {
        let targets = routes[index].targets
        if targets.count == 1 {
            deliver(&publication, to: targets[0], of: index, fansOut: false)
        } else if !targets.isEmpty {
            images.begin()
            for target in targets { deliver(&publication, to: target, of: index, fansOut: true) }
        }
        let otherLoops = routes[index].otherLoops
        if otherLoops != 0 { sendToOtherLoops(&publication, otherLoops, storing: routes[index].storingLoops) }
        if !routes[index].shareSlots.isEmpty {
            for slot in routes[index].shareSlots {
                if case .share(let state) = subscribers[Int(slot)] { deliverShared(&publication, of: state) }
            }
        }
        if routes[index].isEmpty {
            counters.statistics.messagesWithoutReceiver &+= 1
            return false
        }
        return true
    }

    private func sendToOtherLoops(_ publication: inout Publication, _ loops: UInt64, storing: UInt64) {
        let message = publication.message()
        for loop in nodes.indices where loops & (1 << UInt64(loop)) != 0 {
            let duty = storing & (1 << UInt64(loop)) != 0 ? duty(for: &publication) : nil
            write(.publish(message, from: publication.source, duty: duty), to: loop)
            slow(publication.source, if: loop)
        }
    }

    /// What another loop is to say when it has stored the message; `nil`: nobody waits for that.
    func duty(for publication: inout Publication) -> StoreDuty? {
        guard publication.qos != .atMostOnce, let ledger else { return nil }
        // A message that came from another loop: its promise goes on to the next.
        if let storage = publication.storage, let promise = storage.promise {
            promise.addKeeper()
            return StoreDuty(promise: promise, origin: storage.origin, exclusion: storage.exclusion)
        }
        guard let storage = publication.storage, let origin = storage.origin else {
            publication.withStorage { $0.hasDuty = true }
            return StoreDuty(promise: ledger.promiseOfOpenBatch(node: nodes[index]), origin: nil, exclusion: nil)
        }
        // Named when it is known what waits for it; its first keeper is this loop.
        let promise = StorePromise(.publish(0), node: nodes[index])
        promise.addKeeper()
        storage.promise = promise
        return StoreDuty(promise: promise, origin: origin, exclusion: storage.exclusion)
    }

    /// A loop that does not keep up is a receiver like any other: a publisher of this loop that feeds it waits. What is on
    /// its way there fits into half of a session's queue, because a session that is full can't stop it any more.
    func slow(_ source: ConnectionReference?, if loop: Int) {
        guard let source, Int(source.loop) == index, isBehind(loop), let connection = connections[source],
            !waitingForLoop[loop].contains(source)
        else { return }
        connection.pause()
        if waitingForLoop[loop].isEmpty { write(.backlogQuery(from: index), to: loop) }
        waitingForLoop[loop].append(source)
    }

    func routeFromOtherLoop(_ message: Message, source: ConnectionReference?, duty: StoreDuty?) {
        let before = operationCount
        defer {
            settle(duty, operationsBefore: before)
            slowForStore(source)
        }
        Publication.with(message, source: source, nowMilliseconds: clock.monotonicMilliseconds) { publication in
            guard let index = route(for: publication.topic, tenant: publication.tenant) else { return }
            publication.take(duty)
            let targets = routes[index].targets
            images.begin()
            for target in targets { deliver(&publication, to: target, of: index, fansOut: true) }
            for slot in routes[index].shareSlots {
                if case .share(let state) = subscribers[Int(slot)] { deliverShared(&publication, of: state) }
            }
        }
    }

    /// Routes a message of the broker's own: a will, an embedding program's, a plugin's.
    ///
    /// Reads no letters: a will is published in the middle of a takeover, and a letter may bring another connection of
    /// the same client.
    func route(_ message: Message) {
        Publication.with(message, source: nil, nowMilliseconds: clock.monotonicMilliseconds) { publication in
            route(&publication)
        }
    }

    func route(_ publication: inout Publication) {
        guard let index = route(for: publication.topic, tenant: publication.tenant) else { return }
        if publication.isRetained { _ = retain(&publication) }
        _ = deliver(&publication, route: index)
    }

    /// Whether the session has the message from before the broker was restarted.
    private func isExcluded(_ session: Session, from publication: Publication) -> Bool {
        guard let part = session.stored, let exclusion = publication.storage?.exclusion else { return false }
        return exclusion.sessions.contains(part.number)
    }

    @inline(__always)
    private func deliver(_ publication: inout Publication, to target: RouteTarget, of entry: Int, fansOut: Bool) {
        target.session._withUnsafeGuaranteedRef { session in
            deliver(&publication, to: session, target: target, of: entry, fansOut: fansOut)
        }
    }

    @inline(__always)
    private func deliver(
        _ publication: inout Publication, to session: Session, target: RouteTarget, of entry: Int, fansOut: Bool
    ) {
        var qos = min(publication.qos, target.qos)
        var identifiers: [UInt32]? = target.identifiers < 0 ? nil : routes[entry].identifiers[Int(target.identifiers)]
        if target.noLocalAll || target.noLocalSome, session.serial == publication.sourceSession {
            // [MQTT-3.8.3-3]
            guard target.noLocalSome,
                let match = tree.matchWithoutNoLocal(
                    publication.topic, root: tenant(session.tenantNumber).root, subscriber: session.slot, into: &ownMatches)
            else { return }
            qos = min(publication.qos, match.qos)
            identifiers = match.identifierCount == 0 ? nil : Array(ownMatches.identifiers(of: match))
        }
        let retain = target.retainAsPublished && publication.isRetained
        if publication.isRetained, let extras = session.extras, !extras.replays.isEmpty { extras.replays.cameLive(publication.message()) }
        if publication.storage != nil, isExcluded(session, from: publication) { return }
        guard target.isAllowed else {
            counters.statistics.deliveriesDue &+= 1
            return dropped(.notAuthorized, of: session)
        }
        deliver(&publication, to: session, qos: qos, retain: retain, identifiers: identifiers, share: nil, fansOut: fansOut)
    }
}
