import CRdKafka
import Logging
import MQTTModel
import PluginAPI

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Ships one queue of a route: reads entries in order, hands them to librdkafka, and removes them when Kafka has them.
///
/// Owned by its thread. An entry leaves the store for one of three reasons alone: Kafka has acknowledged it, it is among the dead
/// letters, or the route's own bounds drop it; each is counted. Everything else ends with the entry where it is.
final class OutboxShipper {
    let outbox: OutboxRoute
    let shard: OutboxShard
    let reporter: ShipReporter
    private let bootstrapServers: String
    private let flushMilliseconds: UInt64
    private let schema: (any RecordConversion)?

    var client: KafkaClient?
    private var topics: [String: OpaquePointer] = [:]
    var window: OutboxWindow
    private var page = RecordPage()
    private var messages = [UnsafePointer<rd_kafka_message_t>?](repeating: nil, count: 512)
    /// Entries that go to the dead letters, with the reason.
    var deaths: [UInt64: Death] = [:]
    /// Those of them that nothing has been done about.
    var unburied: [UInt64] = []
    private var removedUpTo: UInt64 = 0
    private var isRemoving = false
    private var lastRemoval: UInt64 = 0
    private var isFatal = false
    private var openNotBefore: UInt64 = 0
    private var openDelay = OutboxShipper.shortestDelay
    /// Milliseconds; nothing that came back is sent before it.
    private var sendNotBefore: UInt64 = 0
    private var stopDeadline: UInt64?

    struct Death {
        let reason: String
        let text: String
        var schema: String?
        /// Milliseconds; when the dead-letter topic was given it.
        var sentAt: UInt64?
    }

    /// Entries and bytes that may be with librdkafka at a time: what a hung cluster costs in memory.
    private static let maxInFlight = 50_000
    private static let maxInFlightBytes = 32 << 20
    private static let pageEntries = 1_000
    private static let pageBytes = 1 << 20
    private static let shortestDelay: UInt64 = 100
    private static let longestDelay: UInt64 = 10_000
    /// Removing costs a transaction, which is better shared by many entries.
    private static let removalMilliseconds: UInt64 = 20
    /// After that long without progress of the oldest entry, a partition without a leader for one, those behind it are removed by
    /// themselves.
    private static let stuckMilliseconds: UInt64 = 5_000
    /// How long the dead-letter topic may keep silent about a record while the cluster acknowledges others: then it is kept here, so that
    /// it holds up nobody's removal.
    static let deadLetterPatience: UInt64 = 30_000

    init(
        _ outbox: OutboxRoute, shard: OutboxShard, bootstrapServers: String, flushSeconds: Int, reporter: ShipReporter
    ) {
        self.outbox = outbox
        self.shard = shard
        self.bootstrapServers = bootstrapServers
        schema = outbox.schema
        self.reporter = reporter
        flushMilliseconds = UInt64(max(flushSeconds, 0)) * 1000
        window = OutboxWindow(from: 0)
    }

    func run() {
        while true {
            let now = MessageClock.now.monotonicMilliseconds
            if client == nil { openClient(now: now) }
            let isBusy = fill(now: now)
            remove(now: now)
            outbox.releaseIfRoom()
            reporter.ticked(waiting: window.sentCount + window.toSendCount, now: now)
            wait(isBusy: isBusy)
            for done in shard.takeDone() {
                switch done {
                case .removed(let sequence): removed(upTo: sequence)
                case .buried(let sequence, let reason): buried(sequence, reason: reason)
                }
            }
            if isFatal { replaceClient() }
            if isDone() { break }
        }
        finish()
    }

    // MARK: The client

    private func openClient(now: UInt64) {
        guard now >= openNotBefore else { return }
        do {
            let made = try KafkaClient(cluster: outbox.cluster, bootstrapServers: bootstrapServers)
            client = made
            isFatal = false
            shard.wakes { rd_kafka_queue_yield(made.queue) }
        } catch {
            openNotBefore = now + openDelay
            openDelay = min(openDelay * 2, Self.longestDelay)
            reporter.log(.error, "Kafka producer can't be made: \(error.reason)")
        }
    }

    /// A fatal error: what is not acknowledged is sent again by a new producer, in order. Some of it may be in Kafka already.
    private func replaceClient() {
        closeClient(waitMilliseconds: 2_000)
        window.takeBackAll()
        reporter.replaced()
        openNotBefore = MessageClock.now.monotonicMilliseconds + openDelay
        openDelay = min(openDelay * 2, Self.longestDelay)
        isFatal = false
    }

    private func closeClient(waitMilliseconds: UInt64) {
        shard.wakes(by: nil)
        guard let client else { return }
        rd_kafka_purge(client.client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
        let deadline = MessageClock.now.monotonicMilliseconds + waitMilliseconds
        while rd_kafka_outq_len(client.client) > 0, MessageClock.now.monotonicMilliseconds < deadline {
            takeEvents(of: client, waitMilliseconds: 10)
        }
        for topic in topics.values { rd_kafka_topic_destroy(topic) }
        topics = [:]
        self.client = nil
        client.destroy()
    }

    func topic(_ name: UnsafeRawBufferPointer, of client: KafkaClient) -> OpaquePointer? {
        let name = String(decoding: name, as: UTF8.self)
        if let known = topics[name] { return known }
        guard topics.count < outbox.cluster.maxTopics else { return nil }
        let made = rd_kafka_topic_new(client.client, name, nil)
        topics[name] = made
        return made
    }

    // MARK: Waiting

    private func wait(isBusy: Bool) {
        guard let client else {
            usleep(20_000)
            return
        }
        var milliseconds: Int32 = 0
        if !isBusy {
            // Whoever is full or paused needs no word of new entries; a look ten times a second is enough.
            milliseconds = canTakeMore && !shard.fallsAsleep(whenNothingFrom: window.nextSequence) ? 0 : isRemovalDue ? 10 : 100
        }
        takeEvents(of: client, waitMilliseconds: milliseconds)
        shard.wokeUp()
    }

    private var canTakeMore: Bool {
        stopDeadline == nil && !outbox.control.isPaused && window.sentCount < Self.maxInFlight && window.bytes < maxInFlightBytes
    }

    /// Where the oldest are dropped, most of them must not be with librdkafka.
    private var maxInFlightBytes: Int {
        let bounds = outbox.bounds
        return bounds.overflow == .dropOldest ? min(Self.maxInFlightBytes, bounds.maxBytes / 4) : Self.maxInFlightBytes
    }

    private var isRemovalDue: Bool { !isRemoving && window.cursor > removedUpTo }

    // MARK: Sending

    /// Sends what has to go out, oldest first.
    /// - Returns: Whether there is more to do at once.
    private func fill(now: UInt64) -> Bool {
        if outbox.isOverfull { shed() }
        guard client != nil, now >= sendNotBefore, !outbox.control.isPaused, stopDeadline == nil else { return false }
        bury()
        var position = window.firstToSend ?? window.nextSequence
        let end = shard.queue.figures.nextSequence
        guard position < end, canTakeMore else { return false }
        do {
            try page.read(shard.queue, from: position, below: end, maxEntries: Self.pageEntries, maxBytes: Self.pageBytes)
        } catch {
            reporter.log(.error, "the outbox can't be read: \(error)")
            sendNotBefore = now + Self.shortestDelay
            return false
        }
        for sequence in page.damaged { drop(sequence, bytes: 0, .damaged) }
        for entry in page.entries {
            position = entry.sequence + 1
            guard ship(entry) else { return false }
        }
        return !page.entries.isEmpty && position < end && canTakeMore
    }

    /// The outbox is larger than it may be: the oldest that are not with librdkafka go.
    private func shed() {
        do {
            try page.read(
                shard.queue, from: window.nextSequence, below: shard.queue.figures.nextSequence, maxEntries: Self.pageEntries,
                maxBytes: Self.pageBytes)
        } catch {
            return
        }
        for entry in page.entries where outbox.isOverfull { drop(entry.sequence, bytes: entry.charge, .full) }
    }

    /// - Returns: `false`: nothing more can be sent now.
    private func ship(_ entry: RecordPage.Entry) -> Bool {
        page.with(entry) { head, value in
            guard let view = RecordFrameView(head) else {
                drop(entry.sequence, bytes: entry.charge, .damaged)
                return true
            }
            let tenant = outbox.tenant(of: view, entry.sequence, in: shard)
            guard
                window.read(
                    entry.sequence, bytes: entry.charge, receivedUnixMilliseconds: view.receivedUnixMilliseconds, tenant: tenant)
            else { return true }
            if deaths[entry.sequence] != nil { return true }
            if let reason = outbox.reasonToDrop(view) {
                ended(entry.sequence, .dropped(reason), .fulfilled)
                return true
            }
            if let death = view.death {
                die(entry.sequence, Death(reason: death.reason, text: death.text))
                return true
            }
            guard window.maySend(entry.sequence) else { return false }
            return send(entry.sequence, view, value)
        }
    }

    private func send(_ sequence: UInt64, _ view: RecordFrameView, _ value: UnsafeRawBufferPointer) -> Bool {
        guard let schema else { return give(sequence, view, value) }
        switch schema.convert(value, topic: String(decoding: view.topic, as: UTF8.self)) {
        case .converted(let bytes): return bytes.withUnsafeBytes { give(sequence, view, $0) }
        case .unfit(let text, let subject):
            die(sequence, Death(reason: "schema", text: text, schema: subject))
            return true
        case .later(let text):
            reporter.log(.warning, "records wait for the schema registry: \(text)")
            sendNotBefore = MessageClock.now.monotonicMilliseconds + 1_000
            return false
        }
    }

    /// Hands a record to librdkafka.
    private func give(_ sequence: UInt64, _ view: RecordFrameView, _ value: UnsafeRawBufferPointer) -> Bool {
        guard let client else { return false }
        guard let topic = topic(view.topic, of: client) else {
            die(sequence, Death(reason: RecordRefusal.tooManyTopics.rawValue, text: RecordRefusal.tooManyTopics.advice))
            return true
        }
        let headers: OpaquePointer = rd_kafka_headers_new(view.headerCount)
        view.forEachHeader { name, value in
            rd_kafka_header_add(
                headers, name.baseAddress?.assumingMemoryBound(to: CChar.self), name.count, value.baseAddress, value.count)
        }
        let error = headwater_produce(
            client.client, topic, view.partition ?? RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, view.key?.baseAddress, view.key?.count ?? 0,
            value.baseAddress, value.count, view.timestamp, headers, UnsafeMutableRawPointer(bitPattern: UInt(sequence)))
        if error != RD_KAFKA_RESP_ERR_NO_ERROR { rd_kafka_headers_destroy(headers) }
        switch DeliveryVerdict(error) {
        case .acknowledged:
            window.sent(sequence)
            return true
        case .again: return false
        case .failed(let failure):
            die(sequence, Death(reason: failure.rawValue, text: String(cString: rd_kafka_err2str(error))))
            return true
        }
    }

    // MARK: Reports

    private func takeEvents(of client: KafkaClient, waitMilliseconds: Int32) {
        guard let event = rd_kafka_queue_poll(client.queue, waitMilliseconds) else { return }
        defer { rd_kafka_event_destroy(event) }
        if rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR { return takeReports(event) }
        if reporter.received(event) { isFatal = true }
    }

    private func takeReports(_ event: OpaquePointer) {
        let now = MessageClock.now
        var sent: [RouteBalance.Ended] = []
        var returned = 0
        while true {
            let count = rd_kafka_event_message_array(event, &messages, messages.count)
            if count == 0 { break }
            for message in messages[0..<count] {
                guard let message, let opaque = message.pointee._private else { continue }
                let sequence = UInt64(UInt(bitPattern: opaque))
                guard let entry = window[sequence], entry.state == .sent || entry.state == .dying else { continue }
                let verdict = DeliveryVerdict(message.pointee.err)
                if entry.state == .dying {
                    reportedDead(sequence, verdict)
                    continue
                }
                switch verdict {
                case .acknowledged:
                    guard let entry = window.handled(sequence) else { continue }
                    sent.append(
                        RouteBalance.Ended(
                            bytes: entry.bytes, receivedUnixMilliseconds: entry.receivedUnixMilliseconds, tenant: entry.tenant))
                    shard.complete(sequence, .fulfilled)
                case .again:
                    window.returned(sequence)
                    returned += 1
                case .failed where verdict.blamesBatch && entry.suspicion < 2:
                    window.suspected(sequence)
                    returned += 1
                case .failed(let failure):
                    die(sequence, Death(reason: failure.rawValue, text: String(cString: rd_kafka_err2str(message.pointee.err))))
                }
            }
        }
        if !sent.isEmpty {
            outbox.balance.ended(sent, .sent(nowUnixMilliseconds: now.unixMilliseconds))
            openDelay = Self.shortestDelay
            reporter.acknowledged(now: now.monotonicMilliseconds)
        }
        if returned > 0 {
            outbox.balance.retried(returned)
            if !isFatal { sendNotBefore = now.monotonicMilliseconds + Self.shortestDelay }
        }
    }

    func ended(_ sequence: UInt64, _ ending: RouteBalance.Ending, _ outcome: PublishOutcome) {
        guard let entry = window.handled(sequence) else { return }
        deaths[sequence] = nil
        outbox.balance.ended(
            [RouteBalance.Ended(bytes: entry.bytes, receivedUnixMilliseconds: entry.receivedUnixMilliseconds, tenant: entry.tenant)], ending)
        shard.complete(sequence, outcome)
    }

    private func drop(_ sequence: UInt64, bytes: Int, _ reason: RouteBalance.DropReason) {
        _ = window.read(sequence, bytes: bytes, receivedUnixMilliseconds: MessageClock.now.unixMilliseconds, tenant: "")
        ended(sequence, .dropped(reason), .fulfilled)
    }

    // MARK: Removing

    private func remove(now: UInt64) {
        if !isRemoving, window.cursor <= removedUpTo, now >= lastRemoval + Self.stuckMilliseconds { return removeAhead(now: now) }
        guard isRemovalDue, now >= lastRemoval + Self.removalMilliseconds || stopDeadline != nil else { return }
        isRemoving = true
        lastRemoval = now
        let (shard, cursor) = (shard, window.cursor)
        shard.store.commit([.removeEntries(queue: shard.queue.number, upTo: cursor)]) { shard.tell(.removed(upTo: cursor)) }
    }

    private func removeAhead(now: UInt64) {
        lastRemoval = now
        let ahead = window.takeHandledAhead(limit: 20_000)
        guard !ahead.isEmpty else { return }
        isRemoving = true
        let (shard, queue, cursor) = (shard, shard.queue.number, removedUpTo)
        shard.store.commit(ahead.map { .removeEntry(queue: queue, $0) }) { shard.tell(.removed(upTo: cursor)) }
    }

    private func removed(upTo sequence: UInt64) {
        removedUpTo = max(removedUpTo, sequence)
        isRemoving = false
    }

    // MARK: The end

    private func isDone() -> Bool {
        guard shard.isStopping else { return false }
        let now = MessageClock.now.monotonicMilliseconds
        if stopDeadline == nil { stopDeadline = now + flushMilliseconds }
        guard let stopDeadline, now < stopDeadline else { return true }
        // With reports as events, flush only stops librdkafka from waiting for fuller batches.
        if let client, window.sentCount + window.dyingCount > 0 {
            // It is stored: where nobody takes it, there is nothing to wait for.
            guard reporter.status.health.condition == .up else { return true }
            rd_kafka_flush(client.client, 10)
            return false
        }
        return !isRemoving && window.cursor <= removedUpTo
    }

    private func finish() {
        closeClient(waitMilliseconds: 1_000)
        shard.ended()
    }
}
