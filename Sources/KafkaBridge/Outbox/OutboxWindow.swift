/// Entries of one queue that were read and not removed: which of them Kafka has, how far they may be removed, and which have to be
/// sent again. No I/O, no clock.
///
/// Entries are handled in any order and removed in theirs: the cursor stays below the oldest that is not handled.
struct OutboxWindow {
    enum State: UInt8 {
        /// Not with librdkafka: it came back, or was never given.
        case toSend
        case sent
        /// On its way to the dead letters.
        case dying
        /// In Kafka, in the dead letters, or dropped.
        case handled
    }

    struct Entry {
        let sequence: UInt64
        /// What the outbox charges for it.
        let bytes: Int
        let receivedUnixMilliseconds: Int64
        let tenant: String
        fileprivate(set) var state: State
        /// How often a batch that held it was turned down as a whole.
        fileprivate(set) var suspicion: UInt8 = 0
    }

    private var entries: [Entry] = []
    private var head = 0
    /// Of those that are not handled.
    private(set) var bytes = 0
    private(set) var sentCount = 0
    private(set) var suspectsSent = 0
    private(set) var dyingCount = 0
    /// The last entry that may be removed, with all before it.
    private(set) var cursor: UInt64 = 0
    /// Where reading goes on.
    private(set) var nextSequence: UInt64

    init(from sequence: UInt64) { nextSequence = sequence }

    var count: Int { entries.count - head }
    var isEmpty: Bool { count == 0 }
    /// Entries of the window that have to be sent before anything new, so that the order is kept.
    private(set) var toSendCount = 0

    subscript(sequence: UInt64) -> Entry? { index(of: sequence).map { entries[$0] } }

    private func index(of sequence: UInt64) -> Int? {
        guard head < entries.count, sequence >= entries[head].sequence else { return nil }
        // Numbers follow each other but for the gaps between two lives of the process.
        let guess = head + Int(clamping: sequence - entries[head].sequence)
        if guess < entries.count, entries[guess].sequence == sequence { return guess }
        var (low, high) = (head, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].sequence == sequence ? low : nil
    }

    /// A new entry was read, or one that has to be sent again.
    /// - Returns: Whether it is to be sent.
    mutating func read(_ sequence: UInt64, bytes: Int, receivedUnixMilliseconds: Int64, tenant: String) -> Bool {
        if let index = index(of: sequence) { return entries[index].state == .toSend }
        guard sequence >= nextSequence else { return false }
        entries.append(
            Entry(sequence: sequence, bytes: bytes, receivedUnixMilliseconds: receivedUnixMilliseconds, tenant: tenant, state: .toSend))
        self.bytes += bytes
        toSendCount += 1
        nextSequence = sequence + 1
        return true
    }

    mutating func sent(_ sequence: UInt64) { change(sequence, to: .sent) }
    mutating func dying(_ sequence: UInt64) { change(sequence, to: .dying) }

    /// Given back by librdkafka: to be sent again.
    mutating func returned(_ sequence: UInt64) { change(sequence, to: .toSend) }

    /// A batch that held it was turned down.
    mutating func suspected(_ sequence: UInt64) {
        change(sequence, to: .toSend)
        if let index = index(of: sequence) { entries[index].suspicion += 1 }
    }

    /// It is where it belongs.
    /// - Returns: `nil`: that was known.
    mutating func handled(_ sequence: UInt64) -> Entry? {
        guard let index = index(of: sequence), entries[index].state != .handled else { return nil }
        change(sequence, to: .handled)
        bytes -= entries[index].bytes
        let entry = entries[index]
        advance()
        return entry
    }

    private mutating func change(_ sequence: UInt64, to state: State) {
        guard let index = index(of: sequence) else { return }
        count(entries[index], -1)
        entries[index].state = state
        count(entries[index], 1)
    }

    private mutating func count(_ entry: Entry, _ change: Int) {
        switch entry.state {
        case .toSend: toSendCount += change
        case .sent:
            sentCount += change
            if entry.suspicion > 0 { suspectsSent += change }
        case .dying: dyingCount += change
        case .handled: break
        }
    }

    private mutating func advance() {
        while head < entries.count, entries[head].state == .handled {
            cursor = entries[head].sequence
            head += 1
        }
        if head == entries.count {
            entries.removeAll(keepingCapacity: entries.capacity <= 65_536)
            head = 0
        } else if head > 4096, head * 2 > entries.count {
            entries.removeFirst(head)
            head = 0
        }
    }

    /// Entries that are handled, though an older one is not: they may be removed one by one, where that one takes long. From now on the
    /// window does not know them any more.
    mutating func takeHandledAhead(limit: Int) -> [UInt64] {
        var taken: [UInt64] = []
        entries.removeFirst(head)
        head = 0
        entries.removeAll { entry in
            guard entry.state == .handled, taken.count < limit else { return false }
            taken.append(entry.sequence)
            return true
        }
        return taken
    }

    /// The oldest entry that has to be sent; everything new waits behind it.
    var firstToSend: UInt64? {
        guard toSendCount > 0 else { return nil }
        return entries[head...].first { $0.state == .toSend }?.sequence
    }

    /// A new producer: nothing is on its way any more.
    mutating func takeBackAll() {
        for index in entries.indices[head...] where entries[index].state == .sent || entries[index].state == .dying {
            change(entries[index].sequence, to: .toSend)
        }
    }

    /// Whether an entry may go out now: suspects go alone, in groups of 64 and then one by one, so that the verdict can only mean
    /// the one.
    func maySend(_ sequence: UInt64) -> Bool {
        guard let index = index(of: sequence) else { return false }
        let suspicion = entries[index].suspicion
        guard suspicion > 0 else { return suspectsSent == 0 }
        return sentCount == suspectsSent && suspectsSent < (suspicion == 1 ? 64 : 1)
    }
}
