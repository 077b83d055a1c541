import DequeModule
import MQTTModel
import MQTTSession
import NIOCore
import PluginAPI
import Storage

/// Queues that are in the store alone, and how they come back: pages of them, as the client's window opens. Memory grows with
/// connected clients, not with backlog.
extension BrokerLoop {
    /// What a page holds at most, and how short the queue in memory must be for the next one.
    private static var pageMessages: Int { 512 }
    private static var pageBytes: Int { 1 << 20 }
    private static var lowWater: Int { 256 }
    /// Bounds of what is kept in memory beside the store while reading catches up.
    private static var maxTailMessages: Int { 4_096 }
    private static var maxTailBytes: Int { 4 << 20 }
    /// A connected client that is this far behind gets the rest from the store.
    private static var maxLiveMessages: Int { 8_192 }
    private static var maxLiveBytes: Int { 8 << 20 }

    /// Appends to the stored queue of a session that is away or behind.
    func spool(_ delivery: Delivery, for session: Session, _ part: StoredPart) {
        var delivery = delivery
        store(&delivery, in: part, isUrgent: true)
        part.spooledCount += 1
        part.spooledBytes += delivery.queuedBytes
        if part.tail == nil { return readOn(session) }
        part.tail?.deliveries.append(delivery)
        part.tail?.bytes += delivery.queuedBytes
        if let tail = part.tail, tail.deliveries.count > Self.maxTailMessages || tail.bytes > Self.maxTailBytes { part.tail = nil }
    }

    /// From here on messages go into the store alone, if the client is far behind.
    func spoolIfBehind(_ session: Session) {
        guard let part = session.stored, !part.isSpooling,
            session.pending.count > Self.maxLiveMessages || session.pending.bytes > Self.maxLiveBytes
        else { return }
        part.isSpooling = true
        part.readSequence = part.lastSequence
        part.readNumber += 1
        part.isReading = false
    }

    /// The client has gone: what it had in memory is in the store, and memory is given back.
    func leaveToStore(_ session: Session, _ part: StoredPart) {
        var count = 0
        var bytes = 0
        session.outbound.forEach { _, phase, delivery in
            count += 1
            bytes += phase == .awaitingPubComp ? Delivery.flatBytes : delivery.queuedBytes
        }
        counters.statistics.inflightMessages -= count
        counters.statistics.queuedMessages += count
        counters.statistics.queuedBytes += bytes
        session.outbound = OutboundFlow()
        while let delivery = session.pending.popFirst() {
            if delivery.sequence == 0 {
                dequeued(delivery)
                dropped(.offline, of: session)
            } else {
                count += 1
                bytes += delivery.isReleased ? Delivery.flatBytes : delivery.queuedBytes
            }
        }
        part.spooledCount += count
        part.spooledBytes += bytes
        part.isSpooling = true
        part.tail = nil
        part.readSequence = 0
        part.repeatedSequence = max(part.repeatedSequence, part.sentSequence)
        part.readNumber += 1
        part.isReading = false
    }

    /// Asks for the next page if there is one and the client could take it.
    func readOn(_ session: Session) {
        guard let part = session.stored, part.isSpooling, !part.isReading, session.connection?.phase == .connected, let ledger,
            session.pending.count < Self.lowWater
        else { return }
        if part.tail == nil, part.spooledCount == 0 || part.lastSequence <= part.readSequence { return endSpool(session, part) }
        guard part.readableAfter <= ledger.stored || ledger.hasFailed else { return wait(session, for: part.readableAfter, ledger) }
        if part.tail == nil {
            part.tail = StoredPart.Tail(firstSequence: part.nextSequence, readableAfter: part.lastBatch)
        }
        part.isReading = true
        part.readNumber += 1
        let (number, read) = (part.number, part.readNumber)
        let isCovering = (part.tail?.readableAfter ?? 0) <= ledger.stored
        // What is removed and not yet stored so would be read again; it waits, unless nothing can be stored now.
        let removed = part.readableAfter <= ledger.stored ? [] : removedSequences(of: number, in: ledger)
        let node = nodes[index]
        ledger.service.store.reader.read(
            number, tenant: session.tenantNumber, above: part.readSequence, maxMessages: Self.pageMessages, maxBytes: Self.pageBytes
        ) { page in
            node.eventLoop.execute { node.bound.value?.received(page, of: number, read: read, isCovering: isCovering, removed: removed) }
        }
    }

    private func wait(_ session: Session, for batch: UInt64, _ ledger: StoreLedger) {
        let reference = reference(of: session)
        guard !ledger.waitingReaders.contains(where: { $0.session == reference }) else { return }
        ledger.waitingReaders.append((batch, reference))
    }

    private func removedSequences(of number: UInt64, in ledger: StoreLedger) -> Set<UInt64> {
        var removed: Set<UInt64> = []
        for batch in [ledger.submitted, ledger.open] {
            guard let batch else { continue }
            for operation in batch.operations where operation.session == number && operation.kind == .remove { removed.insert(operation.sequence) }
        }
        return removed
    }

    private func endSpool(_ session: Session, _ part: StoredPart) {
        // Records that could not be read are missing from what was counted.
        dropped(.damaged, part.spooledCount, of: session)
        counters.statistics.queuedMessages -= part.spooledCount
        counters.statistics.queuedBytes -= part.spooledBytes
        part.spooledCount = 0
        part.spooledBytes = 0
        part.isSpooling = false
        part.tail = nil
    }

    private func received(_ page: QueueReader.Page?, of number: UInt64, read: UInt64, isCovering: Bool, removed: Set<UInt64>) {
        beginWork()
        guard let session = storedSessions[number], let part = session.stored, part.isReading, part.readNumber == read, let ledger else { return }
        part.isReading = false
        guard let page else {
            // The environment is being opened again, or the disk does not answer.
            return addTimer(.readAgain, slot: session.slot, serial: session.serial, afterMilliseconds: 500)
        }
        let tailStart = part.tail?.firstSequence ?? .max
        for entry in page.entries where entry.sequence < tailStart {
            part.readSequence = entry.sequence
            if !removed.contains(entry.sequence), !part.movedAway.contains(entry.sequence) { take(entry, for: session, part) }
        }
        if !part.movedAway.isEmpty {
            let seen = Set(page.entries.map(\.sequence))
            part.movedAway = part.movedAway.filter { $0 > part.readSequence || seen.contains($0) }
        }
        for sequence in page.damaged where sequence < tailStart {
            part.readSequence = max(part.readSequence, sequence)
            ledger.append(.remove(session: number, sequence: sequence, messageBytes: 0, bytes: Delivery.flatBytes), isUrgent: false)
        }
        let hasReachedTail = page.entries.last.map { $0.sequence >= tailStart - 1 } ?? false
        if part.tail != nil, hasReachedTail || (page.isEnd && isCovering) {
            joinTail(session, part)
        } else if part.tail != nil, page.isEnd, !isCovering {
            wait(session, for: part.lastBatch, ledger)
        } else if part.tail == nil, page.isEnd, part.lastBatch > ledger.stored {
            wait(session, for: part.lastBatch, ledger)
        }
        pump(session)
    }

    private func take(_ entry: QueueEntry, for session: Session, _ part: StoredPart) {
        var delivery = Delivery(
            message: entry.message ?? Self.noMessage, qos: entry.qos, retain: entry.retain, subscriptionIDs: entry.subscriptionIDs,
            share: entry.share.flatMap { shareReference(text: $0, of: session) }, isReleased: entry.message == nil)
        delivery.sequence = entry.sequence
        move(delivery, to: session, part)
    }

    private func joinTail(_ session: Session, _ part: StoredPart) {
        guard let tail = part.tail else { return }
        part.tail = nil
        for delivery in tail.deliveries { move(delivery, to: session, part) }
        part.readSequence = part.lastSequence
        endSpool(session, part)
    }

    /// From the store's account to the one of the queue in memory.
    private func move(_ delivery: Delivery, to session: Session, _ part: StoredPart) {
        part.spooledCount -= 1
        part.spooledBytes -= delivery.isReleased ? Delivery.flatBytes : delivery.queuedBytes
        session.pending.append(delivery)
    }

    /// What stands for a message that the receiver has.
    static let noMessage = Message(
        restoring: UnsafeRawBufferPointer(start: nil, count: 0), properties: UnsafeRawBufferPointer(start: nil, count: 0),
        payload: UnsafeRawBufferPointer(start: nil, count: 0), qos: .exactlyOnce, isRetained: false, tenant: TenantDirectory.defaultTenant,
        received: .now, expiresAtMilliseconds: nil)

    // MARK: Full queues

    /// Drops the oldest message that waits in the store alone. How large it was, the writer tells.
    /// - Returns: `false`: there is none.
    func dropOldestSpooled(_ session: Session) -> Bool {
        guard let part = session.stored, part.isSpooling, part.spooledCount > 0, !part.isReading, let ledger else { return false }
        let estimate = part.spooledBytes / part.spooledCount
        part.spooledCount -= 1
        part.spooledBytes -= estimate
        counters.statistics.queuedMessages -= 1
        counters.statistics.queuedBytes -= estimate
        dropped(.queueFull, of: session)
        part.readableAfter = ledger.open.number
        ledger.append(.trim(session: part.number, above: part.readSequence, sparing: part.repeatedSequence, estimatedBytes: estimate))
        return true
    }

    func trimmed(_ trim: StoreReport.Trim) {
        guard let part = storedSessions[trim.session]?.stored else { return }
        // Exchanges that may have begun are spared: then the queue is longer than its limit until the client comes.
        let spared = trim.asked - trim.messages
        part.spooledCount += spared
        counters.statistics.queuedMessages += spared
        counters.statistics.dropped[.queueFull, default: 0] -= spared
        // The estimates of all trims under way end with the last of them.
        let difference = trim.bytes - trim.estimate
        part.spooledBytes -= difference
        counters.statistics.queuedBytes -= difference
    }
}
