@testable import KafkaBridge

/// The store of a broker in small: what is durable, what is only in memory, and one queue of the outbox.
final class ModelStore {
    struct Entry {
        let sequence: UInt64
        let message: Int
    }

    struct Durable {
        /// In order.
        var entries: [Entry] = []
        /// Packet ids between PUBREC and PUBREL.
        var unreleased: Set<Int> = []
        var nextSequence: UInt64 = 5
        var deadLetters: [UInt64: Int] = [:]
    }

    var storeID = "store"
    private(set) var durable = Durable()
    /// What a transaction that is not committed has written.
    private(set) var pending: (sequence: UInt64, message: Int, packetID: Int)?
    /// Entries below it are removed, in memory for now.
    private(set) var removedBelow: UInt64 = 0
    /// Everything that has ever been made durable, by sequence and message.
    private(set) var history: [Entry] = []
    private var writes = 0
    /// Grows with every change that one could object to.
    private(set) var changes = 0
    /// The queue object in use.
    var owner = 0
    let isLazy: Bool
    /// Mutants of the store's side of the contract.
    let readsUndurable: Bool
    let forgetsSequences: Bool

    init(isLazy: Bool, readsUndurable: Bool, forgetsSequences: Bool) {
        (self.isLazy, self.readsUndurable, self.forgetsSequences) = (isLazy, readsUndurable, forgetsSequences)
    }

    func write(message: Int, packetID: Int) {
        // Gaps, as other messages take sequences too, and not the same ones in each life.
        writes += 1
        pending = (durable.nextSequence + UInt64(2 * message + writes) % 3, message, packetID)
        changes += 1
    }

    func commit() {
        guard let pending else { return }
        durable.entries.append(Entry(sequence: pending.sequence, message: pending.message))
        durable.unreleased.insert(pending.packetID)
        durable.nextSequence = pending.sequence + 1
        history.append(Entry(sequence: pending.sequence, message: pending.message))
        self.pending = nil
        changes += 1
        makeRemovalDurable()
    }

    func release(packetID: Int) { durable.unreleased.remove(packetID) }

    func crash() {
        pending = nil
        removedBelow = 0
        changes += 1
        if forgetsSequences { durable.nextSequence = (durable.entries.last?.sequence ?? 4) + 1 }
    }

    func live(from sequence: UInt64) -> [Entry] {
        var entries = durable.entries
        if readsUndurable, let pending { entries.append(Entry(sequence: pending.sequence, message: pending.message)) }
        let least = max(sequence, removedBelow)
        entries.removeAll { $0.sequence < least }
        return entries
    }

    func remove(below sequence: UInt64) {
        removedBelow = max(removedBelow, sequence)
        changes += 1
        if !isLazy { makeRemovalDurable() }
    }

    func moveToDeadLetters(_ sequence: UInt64) {
        guard let index = durable.entries.firstIndex(where: { $0.sequence == sequence }) else { return }
        durable.deadLetters[sequence] = durable.entries.remove(at: index).message
        changes += 1
    }

    private func makeRemovalDurable() {
        durable.entries.removeAll { $0.sequence < removedBelow }
    }
}

/// The queue as one instance has it.
final class ModelQueue: ExactlyOnceOutbox {
    private let world: ModelWorld
    private let instance: ModelInstance
    private let generation: Int
    private var store: ModelStore { world.store }

    init(world: ModelWorld, instance: ModelInstance) {
        (self.world, self.instance) = (world, instance)
        world.store.owner += 1
        generation = world.store.owner
    }

    var storeID: String { store.storeID }

    func read(from sequence: UInt64, maxEntries: Int, maxBytes: Int) throws(OutboxFault) -> [OutboxEntry] {
        try call(.read) { () throws(OutboxFault) in
            store.live(from: sequence).prefix(min(maxEntries, max(1, maxBytes / 10))).map {
                OutboxEntry(sequence: $0.sequence, record: ModelWorld.record(of: $0.message), bytes: 10)
            }
        }
    }

    func remove(below sequence: UInt64) throws(OutboxFault) {
        try call(.remove) { () throws(OutboxFault) in store.remove(below: sequence) }
    }

    func moveToDeadLetters(_ sequence: UInt64, because failure: FailedRecord) throws(OutboxFault) {
        try call(.move) { () throws(OutboxFault) in
            guard generation == store.owner || world.mutant == .movesWithoutOwnership else { throw .superseded }
            store.moveToDeadLetters(sequence)
        }
    }

    private func call<Result>(_ call: ModelPoint.StoreCall, _ effect: () throws(OutboxFault) -> Result) throws(OutboxFault) -> Result {
        if world.point(.store(call, .before), of: instance) != nil { throw .unavailable("model") }
        let result = try effect()
        if world.point(.store(call, .after), of: instance) != nil { throw .unavailable("model") }
        return result
    }
}
