import Logging
import MQTTModel
import PluginAPI
import Synchronization

/// A route whose messages wait in the store until Kafka has them: its queues, its bounds, and what became of everything.
///
/// Sendable: shared by the event loops, which admit messages, and the shipping threads, which take them out.
final class OutboxRoute: Sendable {
    let route: Route
    let configuration: KafkaRoute
    /// The configuration's, asked for with each message.
    let bounds: RouteOutbox
    let cluster: KafkaCluster
    let store: any PluginStore
    /// Those that messages go to come first; behind them queues that an earlier configuration has filled and that only drain.
    let shards: [OutboxShard]
    /// What Kafka would not take even as a dead letter.
    let deadLetters: any OutboxQueue
    let balance = RouteBalance()
    let control: RouteControl
    let schema: SchemaConversion?
    let logger: Logger
    /// Publishers are stopped for want of room.
    private let isSlowing = Atomic(false)
    /// Tenants among them that have reached a limit of their own.
    private let slowedTenants = Mutex<Set<String>>([])
    private let brokerName: String

    init(_ route: Route, schema: SchemaConversion? = nil, cluster: KafkaCluster, store: any PluginStore, brokerName: String, logger: Logger) {
        self.route = route
        configuration = route.configuration
        bounds = route.configuration.delivery.outbox
        self.schema = schema
        self.cluster = cluster
        self.store = store
        self.brokerName = brokerName
        self.logger = logger
        let name = route.configuration.name
        let names = (0..<route.configuration.delivery.outbox.shards).map { Self.queueName(route: name, shard: $0) }
        let prefix = Self.queuePrefix(route: name)
        let earlier = store.queues.filter { $0.name.hasPrefix(prefix) && !names.contains($0.name) && $0.figures.entries > 0 }
        shards = (names.map { store.queue(named: $0) } + earlier).map { OutboxShard(queue: $0, store: store) }
        deadLetters = store.queue(named: LocalDeadLetters.queueName(ofRoute: name))
        control = RouteControl(route: name, store: store)
        for shard in shards {
            let figures = shard.queue.figures
            let tenants = bounds.maxBytesPerTenant == nil ? [:] : Self.bytesByTenant(in: shard.queue)
            balance.recovered(entries: figures.entries, bytes: figures.bytes, tenants: tenants)
        }
    }

    /// Reads every head, a second for a million or so; for routes that bound their tenants alone.
    private static func bytesByTenant(in queue: any OutboxQueue) -> [String: Int] {
        var bytes: [String: Int] = [:]
        var next: UInt64? = 0
        while let first = next {
            next = nil
            let damaged = try? queue.read(from: first, maxEntries: 1_000, maxBytes: 4 << 20) { sequence, head, value in
                next = sequence + 1
                guard let view = RecordFrameView(head), !view.tenant.isEmpty else { return }
                bytes[String(decoding: view.tenant, as: UTF8.self), default: 0] += RecordPage.charge(head: head.count, value: value.count)
            }
            if let last = damaged?.last { next = max(next ?? 0, last + 1) }
        }
        return bytes
    }

    /// Begins the names of all outbox queues.
    static let namePrefix = "kafka/outbox/"
    static func queuePrefix(route: String) -> String { "\(namePrefix)\(route)/" }
    static func queueName(route: String, shard: Int) -> String { "\(queuePrefix(route: route))\(shard)" }

    /// `transactional.id` and consumer group of a shard: `<broker>-<route>-<shard>`.
    func transactionalID(of shard: OutboxShard) -> String {
        "\(brokerName)-\(configuration.name)-\(shard.queue.name.dropFirst(Self.queuePrefix(route: configuration.name).count))"
    }

    /// The queue of a key: records of one key stay in one.
    func shard(for key: [UInt8]?, of message: Message) -> OutboxShard {
        if let key { key.withUnsafeBytes(shard(of:)) } else { message.withParts { topic, _, _ in shard(of: topic) } }
    }

    /// - Parameter bytes: The record's key; the MQTT topic of one without.
    func shard(of bytes: UnsafeRawBufferPointer) -> OutboxShard {
        let count = bounds.shards
        guard count > 1 else { return shards[0] }
        var hash: UInt32 = 2_166_136_261
        for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return shards[Int(hash % UInt32(count))]
    }

    // MARK: Room

    /// Publishers of this tenant are stopped until `releaseIfRoom`.
    func slows(_ tenant: String) {
        if bounds.maxBytesPerTenant != nil, !tenant.isEmpty { slowedTenants.withLock { _ = $0.insert(tenant) } }
        isSlowing.store(true, ordering: .releasing)
    }

    /// Called by the shipping threads after something has left. Those who still have no room are stopped again at their next message.
    func releaseIfRoom() {
        guard isSlowing.load(ordering: .acquiring), balance.isBelow(0.9, of: bounds) else { return }
        if let limit = bounds.maxBytesPerTenant {
            let mayGo = slowedTenants.withLock { slowed in
                let ready = slowed.filter { balance.outboxBytes(ofTenant: $0) < limit / 10 * 9 }
                slowed.subtract(ready)
                return !ready.isEmpty || slowed.isEmpty
            }
            guard mayGo else { return }
            isSlowing.store(slowedTenants.withLock { !$0.isEmpty }, ordering: .releasing)
        } else {
            isSlowing.store(false, ordering: .releasing)
        }
        for shard in shards { store.release(shard.queue) }
    }

    /// Whose room an entry takes. Empty where nobody has counted it: those of an earlier life are counted for a bound alone.
    func tenant(of view: RecordFrameView, _ sequence: UInt64, in shard: OutboxShard) -> String {
        bounds.maxBytesPerTenant == nil && sequence < shard.firstOfThisLife ? "" : String(decoding: view.tenant, as: UTF8.self)
    }

    /// Why an entry that is next to be sent is not; `nil`: it is.
    func reasonToDrop(_ view: RecordFrameView) -> RouteBalance.DropReason? {
        if let age = bounds.maxAgeSeconds, MessageClock.now.unixMilliseconds - view.receivedUnixMilliseconds > Int64(age) * 1000 { return .expired }
        if bounds.overflow == .dropOldest, let limit = bounds.maxBytesPerTenant, !view.tenant.isEmpty,
            balance.outboxBytes(ofTenant: String(decoding: view.tenant, as: UTF8.self)) >= limit
        {
            return .full
        }
        return nil
    }

    /// Whether the oldest have to go, by the route's policy.
    var isOverfull: Bool {
        bounds.overflow == .dropOldest && !balance.isBelow(1, of: bounds)
    }

    // MARK: Dead letters

    /// The record in place of one that can't be sent; `nil`: the route has no dead-letter topic.
    func deadLetter(of record: OutboxRecord, reason: String, text: String, schema: String? = nil) -> OutboxRecord? {
        configuration.delivery.deadLetterTopic.map {
            DeadLetterRecord.make(
                of: record, topic: $0, route: configuration.name, reason: reason, text: text, schema: schema,
                unixMilliseconds: MessageClock.now.unixMilliseconds)
        }
    }

    /// Changes that take an entry out of its queue and keep it here, together.
    func burial(
        of record: OutboxRecord, sequence: UInt64, receivedUnixMilliseconds: Int64, in shard: OutboxShard, reason: String, text: String
    ) -> [StoreChange] {
        var dead = DeadLetterRecord.make(
            of: record, topic: record.topic, route: configuration.name, reason: reason, text: text,
            unixMilliseconds: MessageClock.now.unixMilliseconds)
        dead.partition = record.partition  // for when it is sent again
        return [
            LocalDeadLetters.change(dead, receivedUnixMilliseconds: receivedUnixMilliseconds, queue: deadLetters.number),
            .removeEntry(queue: shard.queue.number, sequence),
        ]
    }
}

extension OutboxRoute: OutboxOwner {
    func entryNotStored(bytes: Int, tenant: String) {
        balance.takenBack(bytes: bytes, tenant: tenant)
    }
}

/// Whether a route sends: an operator's word, kept over restarts.
final class RouteControl: Sendable {
    private let paused: Atomic<Bool>
    private let store: (any PluginStore)?
    private let key: String

    /// - Parameter store: `nil`: the word is forgotten with the process.
    init(route: String, store: (any PluginStore)?) {
        self.store = store
        key = "kafka/paused/\(route)"
        paused = Atomic(((try? store?.value("kafka/paused/\(route)")) ?? nil) != nil)
    }

    var isPaused: Bool { paused.load(ordering: .relaxed) }

    /// - Parameter stored: Called on a thread of the store's when a restart will find it so.
    func setPaused(_ isPaused: Bool, stored: @escaping @Sendable () -> Void = {}) {
        paused.store(isPaused, ordering: .relaxed)
        guard let store else { return stored() }
        store.commit([.set(key: key, value: isPaused ? [1] : [])], completion: stored)
    }
}
