/// What the store knows of a queue of the outbox besides its entries.
struct OutboxQueueRecord: Sendable, Equatable {
    let name: String
    /// Of the next entry. Never given twice, whatever state of the store a crash or a restored backup brings back.
    var nextSequence: UInt64
    var entries: UInt64 = 0
    /// Of the entries, as `entryBytes` counts them.
    var bytes: UInt64 = 0

    init(name: String, nextSequence: UInt64) {
        self.name = name
        self.nextSequence = nextSequence
    }

    init(_ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        var reader = RecordReader(content)
        name = try reader.text()
        nextSequence = try reader.integer()
        entries = try reader.integer()
        bytes = try reader.integer()
        guard reader.isAtEnd else { throw RecordReader.Unreadable() }
    }

    func encoded() -> [UInt8] {
        var writer = RecordWriter()
        writer.put(name)
        writer.put(nextSequence)
        writer.put(entries)
        writer.put(bytes)
        return writer.bytes
    }

    /// Sequence numbers that one life of the process may give out before they could meet those of the next.
    private static let perLife: UInt64 = 1 << 31

    /// Where a life of the process begins: above everything that any earlier one gave out. A store may be taken back to an older
    /// state, by a power cut or a backup, while Kafka remembers later numbers: those must not be given again. The clock sees to
    /// that, and where it is wrong, the distance between two lives.
    static func firstSequence(after stored: UInt64, unixSeconds: Int64) -> UInt64 {
        max(stored == 0 ? 1 : stored + perLife, UInt64(clamping: unixSeconds) &* perLife)
    }

    /// What an entry of this size is charged with: its bytes, and about what keeping it takes.
    static func entryBytes(_ content: Int) -> UInt64 { UInt64(content + 40) }
}
