import PluginAPI

/// Entries of one queue, copied out of the store in one go, so that nobody waits for librdkafka while the store is being read.
///
/// Its buffer is used again and again by its thread.
struct RecordPage {
    struct Entry {
        let sequence: UInt64
        fileprivate let head: Range<Int>
        fileprivate let value: Range<Int>

        /// What the outbox charges for it; the store counts the same.
        var charge: Int { RecordPage.charge(head: head.count, value: value.count) }
    }

    private var bytes: [UInt8] = []
    private(set) var entries: [Entry] = []
    /// Numbers of entries that can't be read any more.
    private(set) var damaged: [UInt64] = []

    static func charge(head: Int, value: Int) -> Int { head + value + 44 }

    /// Reads the next entries from `sequence` on, none from `end` on.
    mutating func read(
        _ queue: any OutboxQueue, from sequence: UInt64, below end: UInt64, maxEntries: Int, maxBytes: Int
    ) throws(PluginStoreError) {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 4 << 20)
        entries.removeAll(keepingCapacity: true)
        var (copied, found) = (bytes, entries)
        (bytes, entries) = ([], [])
        defer { (bytes, entries) = (copied, found) }
        damaged = try queue.read(from: sequence, maxEntries: maxEntries, maxBytes: maxBytes) { number, head, value in
            guard number < end else { return }
            let start = copied.count
            copied.append(contentsOf: head)
            copied.append(contentsOf: value)
            found.append(Entry(sequence: number, head: start..<(start + head.count), value: (start + head.count)..<copied.count))
        }
        damaged.removeAll { $0 >= end }
    }

    /// Lends an entry's parts.
    func with<Result>(_ entry: Entry, _ body: (_ head: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes {
            body(UnsafeRawBufferPointer(rebasing: $0[entry.head]), UnsafeRawBufferPointer(rebasing: $0[entry.value]))
        }
    }
}

extension OutboxQueue {
    /// One record; `nil` if it is not there, or can't be read.
    func record(_ sequence: UInt64) -> (record: OutboxRecord, receivedUnixMilliseconds: Int64)? {
        var found: (OutboxRecord, Int64)?
        _ = try? read(from: sequence, maxEntries: 1, maxBytes: .max) { number, head, value in
            guard number == sequence, let view = RecordFrameView(head) else { return }
            found = (view.record(value: value), view.receivedUnixMilliseconds)
        }
        return found
    }
}
