import Logging
import MQTTModel
import PluginAPI
import Synchronization

/// A route whose messages wait in the store until Kafka has them: its queues, its bounds, and what became of everything.
///
/// Sendable: shared by the event loops, which admit messages, and the shipping threads, which take them out.
final class OutboxRoute: Sendable {
    let route: Route
    let cluster: KafkaCluster
    let store: any PluginStore
    let shards: [OutboxShard]
    /// What Kafka would not take even as a dead letter.
    let deadLetters: any OutboxQueue
    let balance = RouteBalance()
    let control: RouteControl
    let schema: SchemaConversion?
    let logger: Logger
    /// Publishers are stopped for want of room.
    private let isSlowing = Atomic(false)
    private let brokerName: String

    var configuration: KafkaRoute { route.configuration }

    init(_ route: Route, schema: SchemaConversion? = nil, cluster: KafkaCluster, store: any PluginStore, brokerName: String, logger: Logger) {
        self.route = route
        self.schema = schema
        self.cluster = cluster
        self.store = store
        self.brokerName = brokerName
        self.logger = logger
        let name = route.configuration.name
        shards = (0..<route.configuration.delivery.outbox.shards).map {
            OutboxShard(queue: store.queue(named: Self.queueName(route: name, shard: $0)), store: store)
        }
        deadLetters = store.queue(named: LocalDeadLetters.queueName(ofRoute: name))
        control = RouteControl(route: name, store: store)
        for shard in shards {
            let figures = shard.queue.figures
            balance.recovered(entries: figures.entries, bytes: figures.bytes)
        }
    }

    static func queueName(route: String, shard: Int) -> String { "kafka/outbox/\(route)/\(shard)" }

    /// `transactional.id` and consumer group of a shard: `<broker>-<route>-<shard>`.
    func transactionalID(ofShard shard: Int) -> String { "\(brokerName)-\(configuration.name)-\(shard)" }

    /// The queue of a key: records of one key stay in one.
    func shard(for key: [UInt8]?, of message: Message) -> OutboxShard {
        guard shards.count > 1 else { return shards[0] }
        var hash: UInt32 = 2_166_136_261
        func mix(_ bytes: UnsafeRawBufferPointer) { for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 } }
        if let key { key.withUnsafeBytes(mix) } else { message.withParts { topic, _, _ in mix(topic) } }
        return shards[Int(hash % UInt32(shards.count))]
    }

    // MARK: Room

    /// Publishers are stopped until `releaseIfRoom`.
    func slows() { isSlowing.store(true, ordering: .releasing) }

    /// Called by the shipping threads after something has left.
    func releaseIfRoom() {
        guard isSlowing.load(ordering: .acquiring), balance.isBelow(0.9, of: configuration.delivery.outbox) else { return }
        isSlowing.store(false, ordering: .releasing)
        for shard in shards { store.release(shard.queue) }
    }

    /// Why an entry that is next to be sent is not; `nil`: it is.
    func reasonToDrop(_ view: RecordFrameView) -> RouteBalance.DropReason? {
        let bounds = configuration.delivery.outbox
        if let age = bounds.maxAgeSeconds, MessageClock.now.unixMilliseconds - view.receivedUnixMilliseconds > Int64(age) * 1000 { return .expired }
        if bounds.overflow == .dropOldest, !balance.isBelow(1, of: bounds) { return .full }
        return nil
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
        let dead = DeadLetterRecord.make(
            of: record, topic: record.topic, route: configuration.name, reason: reason, text: text,
            unixMilliseconds: MessageClock.now.unixMilliseconds)
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

    func setPaused(_ isPaused: Bool) {
        paused.store(isPaused, ordering: .relaxed)
        store?.commit([.set(key: key, value: isPaused ? [1] : [])]) {}
    }
}
