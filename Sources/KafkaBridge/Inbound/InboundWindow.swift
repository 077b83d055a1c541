/// The records of one partition that have been read and are not behind us yet. Completions come in any order; the place that is stored
/// is the lowest offset that is not complete, so that a crash repeats records and skips none.
struct InboundWindow: Equatable {
    private struct Entry: Equatable {
        let offset: Int64
        let bytes: Int
        /// The store may know who has it.
        let isRemembered: Bool
        var isComplete: Bool
    }

    /// What has become complete since the last call of `advance`.
    struct Advance: Equatable {
        /// Where to go on after a restart.
        let position: Int64
        /// Numbers that will not be published again.
        let forgotten: [Int64]
    }

    /// In order of offset; those before `first` are behind us.
    private var entries: [Entry] = []
    private var first = 0
    /// Where to go on reading; `nil`: nobody knows yet.
    private(set) var end: Int64?
    /// Records below it may have been published in an earlier life of the process.
    private var recoveredUpTo: Int64 = 0
    private(set) var outstanding = 0
    private(set) var outstandingBytes = 0
    /// What `advance` would say has not been said.
    private var isAhead = false

    /// Of one source, fewer than 65,536 consecutive numbers may be unforgotten at a time (`PluginContext.publish`).
    static let widest: Int64 = 60_000

    /// Begins, or begins anew, at `offset`.
    /// - Parameter isKnown: Whether the offset is one that the store has.
    mutating func begin(at offset: Int64, isKnown: Bool) {
        entries = []
        first = 0
        outstanding = 0
        outstandingBytes = 0
        end = offset
        recoveredUpTo = isKnown ? offset + Self.widest : 0
        isAhead = !isKnown
    }

    /// Whether a record may be taken now, or only after others have been stored.
    func mayTake(_ offset: Int64) -> Bool { first == entries.count || offset - entries[first].offset < Self.widest }

    /// A record has been read. `offset` is not below `end`.
    /// - Parameter isPublished: Whether its completion will come.
    mutating func took(_ offset: Int64, bytes: Int, isPublished: Bool) {
        entries.append(
            Entry(offset: offset, bytes: bytes, isRemembered: isPublished || offset < recoveredUpTo, isComplete: !isPublished))
        end = offset + 1
        if isPublished {
            outstanding += 1
            outstandingBytes += bytes
        }
        noteProgress()
    }

    /// - Returns: The bytes that are free again; `nil`: nobody waits for it.
    mutating func completed(_ offset: Int64) -> Int? {
        var low = first
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        guard low < entries.count, entries[low].offset == offset, !entries[low].isComplete else { return nil }
        entries[low].isComplete = true
        outstanding -= 1
        outstandingBytes -= entries[low].bytes
        noteProgress()
        return entries[low].bytes
    }

    var canAdvance: Bool { isAhead }

    /// `nil`: nothing new to store.
    mutating func advance() -> Advance? {
        guard isAhead, let end else { return nil }
        isAhead = false
        var forgotten: [Int64] = []
        while first < entries.count, entries[first].isComplete {
            if entries[first].isRemembered { forgotten.append(entries[first].offset) }
            first += 1
        }
        let position = first < entries.count ? entries[first].offset : end
        if first == entries.count || first > 4_096 {
            entries.removeFirst(first)
            first = 0
        }
        return Advance(position: position, forgotten: forgotten)
    }

    private mutating func noteProgress() { if first < entries.count, entries[first].isComplete { isAhead = true } }
}
