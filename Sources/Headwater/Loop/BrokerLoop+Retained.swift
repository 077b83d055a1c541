import MQTTModel
import MQTTSession
import MQTTWire
import Routing
import Storage
import Synchronization

/// Retained messages (MQTT 5.0 section 3.3.1.3). Each topic has one owner, the loop that its hash names; a new
/// subscription gets them in pages, as fast as its client takes them, however many there are.
extension BrokerLoop {
    /// Matches that one page holds at most, and slots that a scan looks at for it.
    private static var pageSize: Int { 256 }
    private static var scanSize: Int { 8192 }

    private func shard(of topic: UnsafeRawBufferPointer, tenant: UInt32) -> Int {
        Self.shard(of: topic, tenant: tenant, loops: nodes.count)
    }

    static func shard(of topic: UnsafeRawBufferPointer, tenant: UInt32, loops: Int) -> Int {
        guard loops > 1 else { return 0 }
        // FNV-1a: every loop must come to the same answer. A topic that all tenants have is not all one loop's.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ UInt64(tenant)
        for byte in topic { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int((hash >> 32) % UInt64(loops))
    }

    /// Sets, replaces or clears the retained message of the topic.
    /// - Returns: `false`: the limits for retained messages leave no room.
    func retain(_ publication: inout Publication) -> Bool {
        let shard = shard(of: publication.topic, tenant: publication.tenant)
        // What it replaces, only the topic's owner knows; elsewhere it counts as new.
        let old = shard == index ? retained.get(publication.topic, root: tenant(publication.tenant).retainedRoot)?.message : nil
        guard publication.payload.isEmpty || hasRoomToRetain(publication.byteCount, inPlaceOf: old) else { return false }
        if shard == index {
            retainHere(publication.message())
        } else {
            let duty = duty(for: &publication)
            write(.retain(publication.message(), duty: duty), to: shard)
        }
        return true
    }

    private func hasRoomToRetain(_ bytes: Int, inPlaceOf old: Message?) -> Bool {
        let growth = bytes - (old?.byteCount ?? 0)
        return (old != nil || totals.retainedMessages.load(ordering: .relaxed) < configuration.retained.maxMessages)
            && (growth <= 0 || totals.retainedBytes.load(ordering: .relaxed) + growth <= configuration.retained.maxBytes)
    }

    func retainHere(_ message: Message) {
        let root = tenant(message.tenant).retainedRoot
        let old = message.withParts { topic, _, payload -> Message? in
            // [MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty payload clears
            guard !payload.isEmpty else { return retained.remove(topic, root: root).map { unstore($0) }?.message }
            let known = ledger == nil ? nil : retained.get(topic, root: root)
            return retained.set(topic, root: root, storedSlot(message, inPlaceOf: known))?.message
        }
        countRetained(message, inPlaceOf: old)
    }

    /// The slot of a new retained message, with its place in the store.
    private func storedSlot(_ message: Message, inPlaceOf old: RetainedSlot?) -> RetainedSlot {
        guard let ledger else { return RetainedSlot(message: message) }
        let number = old?.number ?? ledger.service.takeRetainedNumber()
        let operation = StoreOperation.retain(message, number: number, tenant: tenant(message.tenant).name)
        if let old, old.storeBatch == ledger.open.number {
            ledger.open.cancel(Int(old.storePlace))  // nobody needs the one that was to be written
        }
        return RetainedSlot(message: message, number: number, storeBatch: ledger.open.number, storePlace: ledger.append(operation))
    }

    private func unstore(_ slot: RetainedSlot) -> RetainedSlot {
        ledger?.append(.clearRetained(number: slot.number))
        return slot
    }

    /// From the store, at the start.
    func restoreRetained(_ message: Message, number: UInt64) {
        let root = tenant(message.tenant).retainedRoot
        let old = message.withParts { topic, _, _ in
            retained.set(topic, root: root, RetainedSlot(message: message, number: number))?.message
        }
        countRetained(message, inPlaceOf: old)
    }

    private func countRetained(_ message: Message, inPlaceOf old: Message?) {
        var messages = 0
        var bytes = 0
        if let old {
            messages -= 1
            bytes -= old.byteCount
        }
        if message.payloadLength > 0 {
            messages += 1
            bytes += message.byteCount
            if message.expires, retainedSweepCursor == nil {
                retainedSweepCursor = 0
                addTimer(.retainedSweep, slot: 0, serial: 0, afterMilliseconds: 10_000)
            }
        }
        changeRetained(messages, bytes, tenant: message.tenant)
    }

    private func changeRetained(_ messages: Int, _ bytes: Int, tenant: UInt32) {
        counters.statistics.retainedMessages += messages
        counters.statistics.retainedBytes += bytes
        count(for: tenant) {
            $0.retainedMessages += messages
            $0.retainedBytes += bytes
        }
        totals.retainedMessages.add(messages, ordering: .relaxed)
        totals.retainedBytes.add(bytes, ordering: .relaxed)
    }

    /// Removes what has expired, a slice at a time, while there is anything that may.
    func sweepRetained() {
        guard let cursor = retainedSweepCursor else { return }
        var found: [RetainedSlot] = []
        let next = retained.scanAll(from: cursor, examine: Self.scanSize, into: &found)
        let now = clock.monotonicMilliseconds
        for slot in found where slot.message.isExpired(atMilliseconds: now) { forget(slot.message) }
        retainedSweepCursor = next ?? (retained.count > 0 ? 0 : nil)
        if retainedSweepCursor != nil {
            addTimer(.retainedSweep, slot: 0, serial: 0, afterMilliseconds: next == nil ? 10_000 : 100)
        }
    }

    private func forget(_ message: Message) {
        let root = tenant(message.tenant).retainedRoot
        message.withParts { topic, _, _ in
            guard let current = retained.get(topic, root: root), current.message.isIdentical(to: message) else { return }
            _ = retained.remove(topic, root: root).map { unstore($0) }
            changeRetained(-1, -message.byteCount, tenant: message.tenant)
        }
    }

    // MARK: Replay to a new subscription

    func startReplay(_ pattern: String, qos: QoS, identifier: UInt32, to session: Session) {
        guard totals.retainedMessages.load(ordering: .relaxed) > 0 || nodes.count > 1 else { return }
        var text = pattern
        let shards = text.withUTF8 { bytes in
            let raw = UnsafeRawBufferPointer(bytes)
            let hasWildcard = raw.contains { $0 == UInt8(ascii: "#") || $0 == UInt8(ascii: "+") }
            return hasWildcard ? Array(nodes.indices) : [shard(of: raw, tenant: session.tenantNumber)]
        }
        session.withExtras { $0.replays.begin(pattern, qos: qos, identifier: identifier, shards: shards) }
        pump(session)
    }

    /// Sends what has come, and asks for the next page when that is done. Called when the session's queue is empty.
    ///
    /// Sending may come back here, through the queue and the hooks that judge deliveries: one call is enough.
    func continueReplays(_ session: Session) {
        guard let extras = session.extras, session.isOnline, !extras.replays.isBeingSent else { return }
        extras.replays.isBeingSent = true
        defer { extras.replays.isBeingSent = false }
        while session.pending.isEmpty, let step = extras.replays.next() {
            switch step {
            case .send(let message, let replay): send(message, of: replay, to: session)
            case .ask(let replay, let shard):
                let query = RetainedQuery(
                    pattern: replay.pattern, tenant: session.tenantNumber, session: reference(of: session), replay: replay.number,
                    cursor: replay.cursor)
                if shard == index { extras.replays.take(page(for: query)) } else { write(.retainedQuery(query), to: shard) }
            }
        }
    }

    private func send(_ message: Message, of replay: RetainedReplay, to session: Session) {
        guard !message.isExpired(atMilliseconds: clock.monotonicMilliseconds) else { return }
        var qos = min(message.qos, replay.qos)
        if let access = session.access {
            guard mayStillBeThere(message), let allowed = message.withParts({ topic, _, _ in access.readQoS(topic, isReplay: true) }) else { return }
            qos = min(qos, allowed)
        }
        // What has replaced it since the page was made came as a live message: the old one must not come after it. Of
        // another loop's topics that is not known here.
        if replay.pageShard == index {
            let current = message.withParts { topic, _, _ in retained.get(topic, root: tenant(message.tenant).retainedRoot) }
            guard let current, current.message.isIdentical(to: message) else { return }
        }
        Publication.with(message, source: nil, nowMilliseconds: clock.monotonicMilliseconds) { publication in
            deliver(
                &publication, to: session, qos: qos, retain: true,
                identifiers: replay.subscriptionID == 0 ? nil : [replay.subscriptionID], share: nil, fansOut: false)
        }
    }

    /// Whether who has left it might leave it now. What comes from the store has no publisher any more, and stays.
    private func mayStillBeThere(_ message: Message) -> Bool {
        guard let publisher = message.publisher else { return true }
        return message.withParts { topic, _, _ in mayPublishWill(topic, qos: message.qos, retain: true, client: publisher) }
    }

    func answer(_ query: RetainedQuery) { write(.retainedPage(page(for: query)), to: Int(query.session.loop)) }

    func received(_ page: RetainedPage) {
        guard let session = session(page.session), let extras = session.extras else { return }
        extras.replays.take(page)
        if session.pending.isEmpty { continueReplays(session) }
    }

    /// Few matches come from a walk of the tree at once; many from a scan over the slots, page by page.
    private func page(for query: RetainedQuery) -> RetainedPage {
        var found: [RetainedSlot] = []
        var next: Int?
        let root = tenant(query.tenant).retainedRoot
        var pattern = query.pattern
        pattern.withUTF8 {
            let bytes = UnsafeRawBufferPointer($0)
            if query.cursor == nil, retained.collect(bytes, root: root, limit: Self.pageSize, into: &found) { return }
            next = retained.scan(bytes, root: root, from: query.cursor ?? 0, examine: Self.scanSize, into: &found)
        }
        return RetainedPage(shard: index, session: query.session, replay: query.replay, messages: found.map(\.message), next: next)
    }
}

/// A retained message, and where the store has it.
struct RetainedSlot {
    let message: Message
    /// Of the record; the same for all messages of the topic.
    var number: UInt64 = 0
    /// The batch that it went into, and its place there.
    var storeBatch: UInt64 = 0
    var storePlace: UInt32 = 0
}
