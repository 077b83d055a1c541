@testable import KafkaBridge

/// An outbox in memory, for tests with a real producer.
final class MemoryQueue: ExactlyOnceOutbox {
    let storeID: String
    private(set) var entries: [OutboxEntry]
    private(set) var deadLetters: [FailedRecord] = []

    private var nextSequence: UInt64

    init(storeID: String = "memory", _ entries: [OutboxEntry]) {
        (self.storeID, self.entries, self.nextSequence) = (storeID, entries, (entries.last?.sequence ?? 0) + 1)
    }

    /// Entries of `records`, every second sequence from `first` on.
    convenience init(_ records: [OutboxRecord], first: UInt64 = 10) {
        self.init(records.enumerated().map { OutboxEntry(sequence: first + UInt64($0 * 2), record: $1, bytes: $1.value.count + 50) })
    }

    func append(_ record: OutboxRecord) {
        entries.append(OutboxEntry(sequence: nextSequence, record: record, bytes: record.value.count + 50))
        nextSequence += 1
    }

    func read(from sequence: UInt64, maxEntries: Int, maxBytes: Int) throws(OutboxFault) -> [OutboxEntry] {
        var bytes = 0
        var read: [OutboxEntry] = []
        for entry in entries where entry.sequence >= sequence && read.count < maxEntries {
            bytes += entry.bytes
            if bytes > maxBytes, !read.isEmpty { break }
            read.append(entry)
        }
        return read
    }

    func remove(below sequence: UInt64) throws(OutboxFault) { entries.removeAll { $0.sequence < sequence } }

    func moveToDeadLetters(_ sequence: UInt64, because failure: FailedRecord) throws(OutboxFault) {
        entries.removeAll { $0.sequence == sequence }
        deadLetters.append(failure)
    }
}
