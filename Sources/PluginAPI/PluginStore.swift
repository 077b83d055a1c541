import MQTTModel

/// What the broker's store keeps for plugins: queues whose entries are stored in the same transaction as the session state of the
/// message that they came with, and small values.
///
/// Usable from any thread. Present where the broker has a store (`PluginContext.store`).
public protocol PluginStore: AnyObject, Sendable {
    /// Tells this store from others. A new store has another one; a backup of a store has the same.
    var identity: String { get }

    /// What `stored` means here: `sync`, `commit` or `relaxed` (docs/durability.md).
    var durability: String { get }

    /// The queue of that name, made if there is none. Names are kept for ever: choose them by what the entries are for.
    func queue(named name: String) -> any OutboxQueue

    /// All queues, by name, also those of plugins that are not there any more.
    var queues: [any OutboxQueue] { get }

    /// The value that `StoreChange.set` has stored; `nil` if there is none.
    /// - Throws: `PluginStoreError` when the store can't be read now.
    func value(_ key: String) throws(PluginStoreError) -> [UInt8]?

    /// Stores all of these in one transaction, behind everything that was committed before.
    ///
    /// A full or broken disk makes it wait, never fail.
    ///
    /// - Parameter completion: Called on a thread of the store's when it is as durable as the store makes it.
    func commit(_ changes: [StoreChange], completion: @escaping @Sendable () -> Void)

    /// Publishers that `PublishOutbox.slow` has stopped for this queue may go on.
    func release(_ queue: any OutboxQueue)
}

/// Why something can't be read from the store now. The text says it to an operator.
public struct PluginStoreError: Error, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A queue of entries in the store. An entry has a number, greater than that of every entry before it in this queue, ever; and
/// two parts whose meaning is the plugin's: a head and a value.
public protocol OutboxQueue: AnyObject, Sendable {
    var name: String { get }
    /// Names the queue in `PublishOutbox`.
    var number: UInt64 { get }
    var figures: OutboxFigures { get }

    /// Called on a thread of the store's after entries have been stored. One at a time: a second call replaces the first.
    func onAppend(_ wake: @escaping @Sendable () -> Void)

    /// Lends entries from `sequence` on, in order: at most `maxEntries`, and no further than `maxBytes` are reached. The bytes are
    /// valid inside `body` alone, which must be quick: nothing else can be read meanwhile.
    ///
    /// - Returns: Numbers of entries that are damaged and can't be read any more; they stay until they are removed.
    /// - Throws: `PluginStoreError` when the store can't be read now.
    func read(
        from sequence: UInt64, maxEntries: Int, maxBytes: Int,
        _ body: (_ sequence: UInt64, _ head: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void
    ) throws(PluginStoreError) -> [UInt64]
}

/// A queue as of its last transaction.
public struct OutboxFigures: Sendable, Equatable {
    public let entries: Int
    /// With about 40 bytes for keeping each entry.
    public let bytes: Int
    /// Every stored entry has a lower number.
    public let nextSequence: UInt64
    /// Entries that were not stored, since the queue had had one with the same deduplication key.
    public let duplicates: Int

    public init(entries: Int, bytes: Int, nextSequence: UInt64, duplicates: Int) {
        self.entries = entries
        self.bytes = bytes
        self.nextSequence = nextSequence
        self.duplicates = duplicates
    }
}

/// One of the changes that `PluginStore.commit` makes together.
public enum StoreChange: Sendable {
    /// At the end of a queue.
    case append(queue: UInt64, head: [UInt8], value: [UInt8])
    /// Entries up to and including this one.
    case removeEntries(queue: UInt64, upTo: UInt64)
    case removeEntry(queue: UInt64, UInt64)
    /// A message that was published with `PluginContext.publish(_:from:number:completion:)` will not be published again.
    case forget(source: String, number: UInt64)
    /// A small value; an empty one removes it. The key has at most 480 bytes and begins with the plugin's name.
    case set(key: String, value: [UInt8])
}

/// Told where an entry has its place, when it is stored. Called on a thread of the store's.
public protocol OutboxEntryTicket: AnyObject, Sendable {
    /// - Parameter sequence: `nil`: it was not stored, since the queue had one with the same deduplication key.
    func stored(sequence: UInt64?)
}

/// Who made an entry, told when it came to nothing.
public protocol OutboxOwner: AnyObject, Sendable {
    /// Called on the event loop: another plugin refused the message, or the queue has had it since before a crash.
    ///
    /// - Parameters:
    ///   - bytes: As the owner said with the entry.
    ///   - tenant: The publisher's.
    func entryNotStored(bytes: Int, tenant: String)
}

/// What plugins add to a message that is being published: entries that are stored with it. Owned by one event loop.
///
/// The publisher's acknowledgement leaves after they are stored. If a plugin refuses or drops the message, or a client sends
/// again after a crash what a queue has already, nothing is stored.
public final class PublishOutbox {
    package struct Entry {
        package let queue: UInt64
        package let head: [UInt8]
        package let tail: [UInt8]
        package let value: [UInt8]?
        package let deduplication: (key: [UInt8], milliseconds: Int64)?
        package let ticket: (any OutboxEntryTicket)?
        package let owner: (any OutboxOwner)?
        package let ownerBytes: Int
    }

    @exclusivity(unchecked) package private(set) var entries: [Entry] = []
    /// Queues for whose sake the publisher is to be stopped.
    @exclusivity(unchecked) package private(set) var slowing: [UInt64] = []

    package init() {}

    /// Adds an entry: `head` and `tail` together become its head, so that entries can share the first.
    ///
    /// - Parameters:
    ///   - value: The value; `nil`: the message's payload, which is not copied before the store does.
    ///   - deduplication: Nothing is stored if the queue has had an entry with this key, of at most 400 bytes, within the time given
    ///     with that one, in milliseconds.
    ///   - owner: Told when the entry is not stored after all, with `ownerBytes`.
    public func append(
        to queue: any OutboxQueue, head: [UInt8], tail: [UInt8] = [], value: [UInt8]? = nil,
        deduplication: (key: [UInt8], milliseconds: Int64)? = nil, ticket: (any OutboxEntryTicket)? = nil,
        owner: (any OutboxOwner)? = nil, ownerBytes: Int = 0
    ) {
        entries.append(
            Entry(
                queue: queue.number, head: head, tail: tail, value: value, deduplication: deduplication, ticket: ticket, owner: owner,
                ownerBytes: ownerBytes))
    }

    /// The publisher is not read any more until `PluginStore.release` is called for this queue. Its message is taken all the same.
    public func slow(for queue: any OutboxQueue) { slowing.append(queue.number) }

    package func removeAll() {
        entries.removeAll(keepingCapacity: true)
        slowing.removeAll(keepingCapacity: true)
    }

    /// Nothing of it is stored.
    package func discard(tenant: String) {
        for entry in entries { entry.owner?.entryNotStored(bytes: entry.ownerBytes, tenant: tenant) }
        removeAll()
    }
}
