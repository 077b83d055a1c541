import LMDB
import MQTTModel

/// One change that a loop wants stored. Plain numbers and two references, because the path of a message makes one.
package struct StoreOperation: Sendable {
    package enum Kind: UInt8, Sendable {
        /// Not needed any more: the receivers were faster than the disk.
        case cancelled
        /// A message for a session's queue.
        case enqueue
        /// The receiver has acknowledged, or the message is given up.
        case remove
        /// PUBREC has come: the message may go, the exchange stays.
        case release
        /// The oldest message of a queue goes, above `sequence`.
        case trim
        /// A QoS 2 packet identifier has been seen, and is not to be routed again.
        case remember
        /// PUBREL has come: the identifier is free.
        case forget
        /// What a publish that spans loops has stored on one of them.
        case relayed
        case putSession
        case endSession
        case putSubscription
        case removeSubscription
        /// `sequence` is the number of the retained message.
        case retain
        case clearRetained
        /// A queue of the outbox; `session` is its number here and below, `sequence` its first entry's.
        case putQueue
        /// An entry for the end of the queue. Its sequence number comes from the transaction.
        case append
        /// All entries up to `sequence`.
        case removeEntries
        /// The entry `sequence`.
        case removeEntry
        /// A small value of a plugin's own.
        case putValue
    }

    /// What few operations have.
    package final class Details: Sendable {
        let subscriptionIDs: [UInt32]?
        let share: String?
        let session: SessionRecord?
        let subscription: SubscriptionRecord?
        let filter: String?
        let relay: Relay?
        let sparedSequence: UInt64
        /// Of a retained message.
        let tenant: String
        let append: OutboxAppend?
        /// Of a queue, or of a value.
        let name: String
        let value: [UInt8]

        init(
            subscriptionIDs: [UInt32]? = nil, share: String? = nil, session: SessionRecord? = nil, subscription: SubscriptionRecord? = nil,
            filter: String? = nil, relay: Relay? = nil, sparedSequence: UInt64 = 0, tenant: String = "",
            append: OutboxAppend? = nil, name: String = "", value: [UInt8] = []
        ) {
            self.append = append
            self.name = name
            self.value = value
            self.tenant = tenant
            self.sparedSequence = sparedSequence
            self.subscriptionIDs = subscriptionIDs
            self.share = share
            self.session = session
            self.subscription = subscription
            self.filter = filter
            self.relay = relay
        }
    }

    package var kind: Kind
    let qos: QoS
    let retain: Bool
    /// The message is stored once, and the queue refers to it.
    let isReference: Bool
    let packetID: UInt16
    let bytes: UInt32
    package let session: UInt64
    package let sequence: UInt64
    package var message: Message?
    let details: Details?

    /// The filter of the shared subscription that chose the session.
    package var share: String? { details?.share }

    /// What the batch keeps in memory for it.
    var memoryBytes: Int {
        (message?.byteCount ?? 0) + (details?.append.map { $0.tail.count + ($0.value?.count ?? 0) } ?? 0)
    }

    private init(
        _ kind: Kind, session: UInt64, sequence: UInt64 = 0, qos: QoS = .atMostOnce, retain: Bool = false, isReference: Bool = false,
        packetID: UInt16 = 0, bytes: UInt32 = 0, message: Message? = nil, details: Details? = nil
    ) {
        self.kind = kind
        self.session = session
        self.sequence = sequence
        self.qos = qos
        self.retain = retain
        self.isReference = isReference
        self.packetID = packetID
        self.bytes = bytes
        self.message = message
        self.details = details
    }

    /// - Parameter bytes: What the queue charges for the message.
    package static func enqueue(
        _ message: Message, session: UInt64, sequence: UInt64, qos: QoS, retain: Bool, bytes: Int, subscriptionIDs: [UInt32]?, share: String?
    ) -> StoreOperation {
        let details = subscriptionIDs == nil && share == nil ? nil : Details(subscriptionIDs: subscriptionIDs, share: share)
        return StoreOperation(
            .enqueue, session: session, sequence: sequence, qos: qos, retain: retain,
            isReference: Schema.isShared(byteCount: message.byteCount), bytes: UInt32(clamping: bytes), message: message, details: details)
    }

    /// - Parameters:
    ///   - messageBytes: `Message.byteCount`; 0 after `release`.
    ///   - bytes: What the queue charged, as at `enqueue` or `release`.
    package static func remove(session: UInt64, sequence: UInt64, messageBytes: Int, bytes: Int) -> StoreOperation {
        StoreOperation(
            .remove, session: session, sequence: sequence, isReference: Schema.isShared(byteCount: messageBytes), bytes: UInt32(clamping: bytes))
    }

    /// - Parameter bytes: What the queue charges less from now on.
    package static func release(session: UInt64, sequence: UInt64, messageBytes: Int, bytes: Int) -> StoreOperation {
        StoreOperation(
            .release, session: session, sequence: sequence, isReference: Schema.isShared(byteCount: messageBytes), bytes: UInt32(clamping: bytes))
    }

    /// Drops the oldest message with a sequence number above `sequence`; the report says how many bytes it was.
    ///
    /// - Parameter spared: QoS 2 messages up to this one may have been sent, so that their exchanges have begun.
    package static func trim(session: UInt64, above sequence: UInt64, sparing spared: UInt64, estimatedBytes: Int) -> StoreOperation {
        StoreOperation(
            .trim, session: session, sequence: sequence, bytes: UInt32(clamping: estimatedBytes), details: Details(sparedSequence: spared))
    }

    package static func remember(_ packetID: UInt16, session: UInt64) -> StoreOperation {
        StoreOperation(.remember, session: session, packetID: packetID)
    }

    package static func forget(_ packetID: UInt16, session: UInt64) -> StoreOperation {
        StoreOperation(.forget, session: session, packetID: packetID)
    }

    package static func relayed(_ relay: Relay, loop: UInt8, batch: UInt64) -> StoreOperation {
        StoreOperation(
            .relayed, session: relay.origin.session, sequence: batch, packetID: relay.origin.packetID, bytes: UInt32(loop),
            details: Details(relay: relay))
    }

    package static func putSession(_ record: SessionRecord) -> StoreOperation {
        StoreOperation(.putSession, session: record.number, details: Details(session: record))
    }

    /// The session and all it has.
    package static func endSession(_ number: UInt64) -> StoreOperation { StoreOperation(.endSession, session: number) }

    package static func putSubscription(_ record: SubscriptionRecord, session: UInt64) -> StoreOperation {
        StoreOperation(.putSubscription, session: session, details: Details(subscription: record))
    }

    package static func removeSubscription(_ filter: String, session: UInt64) -> StoreOperation {
        StoreOperation(.removeSubscription, session: session, details: Details(filter: filter))
    }

    /// - Parameter tenant: Name of the message's tenant, empty for the default tenant.
    package static func retain(_ message: Message, number: UInt64, tenant: String) -> StoreOperation {
        StoreOperation(
            .retain, session: 0, sequence: number, message: message, details: tenant.isEmpty ? nil : Details(tenant: tenant))
    }

    package static func clearRetained(number: UInt64) -> StoreOperation { StoreOperation(.clearRetained, session: 0, sequence: number) }

    /// A new queue of the outbox; nothing if it is there.
    package static func putQueue(_ number: UInt64, name: String, nextSequence: UInt64) -> StoreOperation {
        StoreOperation(.putQueue, session: number, sequence: nextSequence, details: Details(name: name))
    }

    /// - Parameter message: Whose payload the entry ends with, if `append` has no value of its own.
    package static func append(_ append: OutboxAppend, queue: UInt64, message: Message?) -> StoreOperation {
        StoreOperation(.append, session: queue, message: message, details: Details(append: append))
    }

    package static func removeEntries(queue: UInt64, upTo sequence: UInt64) -> StoreOperation {
        StoreOperation(.removeEntries, session: queue, sequence: sequence)
    }

    package static func removeEntry(queue: UInt64, _ sequence: UInt64) -> StoreOperation {
        StoreOperation(.removeEntry, session: queue, sequence: sequence)
    }

    /// - Parameter key: At most 480 bytes. An empty value removes it.
    package static func putValue(_ key: String, _ value: [UInt8]) -> StoreOperation {
        StoreOperation(.putValue, session: 0, details: Details(name: key, value: value))
    }
}

/// Names a QoS 2 publish of a stored session, or its will (packet identifier 0), and tells it from another one that uses
/// the same identifier later.
package struct PublishOrigin: Sendable, Hashable {
    package let session: UInt64
    package let packetID: UInt16
    package let contentHash: UInt64

    package init(session: UInt64, packetID: UInt16, topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
        self.session = session
        self.packetID = packetID
        contentHash = UInt64(Checksum.crc32c(topic)) << 32 | UInt64(Checksum.crc32c(payload))
    }

    /// What comes from elsewhere: its source in place of a session.
    package init(source: String, number: UInt64, topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
        self.init(session: Self.number(ofSource: source), packetID: UInt16(truncatingIfNeeded: number), topic: topic, payload: payload)
    }

    /// Stands where sessions have their numbers, which never have the highest bit.
    package static func number(ofSource source: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in source.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash | Self.sourceBit
    }

    package static let sourceBit: UInt64 = 1 << 63

    fileprivate init(session: UInt64, packetID: UInt16, contentHash: UInt64) {
        self.session = session
        self.packetID = packetID
        self.contentHash = contentHash
    }
}

/// Who has a publish already that its client will send again after a crash (docs/adr/0012).
package struct Relay: Sendable, Equatable {
    package let origin: PublishOrigin
    package var sessions: [UInt64]
    /// Filters of shared subscriptions, one of whose members has it.
    package var shares: [String]
    /// Queues of the outbox.
    package var queues: [UInt64]

    package init(origin: PublishOrigin, sessions: [UInt64] = [], shares: [String] = [], queues: [UInt64] = []) {
        self.queues = queues
        self.origin = origin
        self.sessions = sessions
        self.shares = shares
    }

    /// Another record of the same publish.
    package mutating func add(_ other: Relay) {
        sessions += other.sessions
        shares += other.shares
        queues += other.queues
    }

    package var isEmpty: Bool { sessions.isEmpty && shares.isEmpty && queues.isEmpty }

    func encoded() -> [UInt8] {
        var writer = RecordWriter()
        writer.put(origin.contentHash)
        writer.put(UInt32(sessions.count))
        for session in sessions { writer.put(session) }
        writer.put(UInt32(shares.count))
        for share in shares { writer.put(share) }
        guard !queues.isEmpty else { return writer.bytes }  // as it was before there was an outbox
        writer.put(UInt32(queues.count))
        for queue in queues { writer.put(queue) }
        return writer.bytes
    }

    init(session: UInt64, packetID: UInt16, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        var reader = RecordReader(content)
        origin = PublishOrigin(session: session, packetID: packetID, contentHash: try reader.integer())
        sessions = []
        shares = []
        for _ in 0..<(try reader.integer(UInt32.self)) { sessions.append(try reader.integer()) }
        for _ in 0..<(try reader.integer(UInt32.self)) { shares.append(try reader.text()) }
        queues = []
        if !reader.isAtEnd {
            for _ in 0..<(try reader.integer(UInt32.self)) { queues.append(try reader.integer()) }
        }
        guard reader.isAtEnd else { throw RecordReader.Unreadable() }
    }
}
