/// Records that librdkafka does not have: it was full, or gave them back. In the order in which the producer accepted
/// them. Bounded by the publishes that the broker lets its connections hold.
struct WaitingRecords {
    private var records: [KafkaRecord?] = []
    private var head = 0

    var isEmpty: Bool { head == records.count }
    var count: Int { records.count - head }
    var first: KafkaRecord? { isEmpty ? nil : records[head] }

    /// Adds the newest record.
    mutating func append(_ record: KafkaRecord) { records.append(record) }

    mutating func removeFirst() {
        records[head] = nil
        head += 1
        // Half is a good moment to move the rest: each record is moved once on average.
        if head == records.count { removeAll() } else if head > 1024, head * 2 > records.count { compact() }
    }

    mutating func removeAll() {
        records.removeAll(keepingCapacity: records.capacity <= 65_536)
        head = 0
    }

    /// Puts records that came back into their places.
    mutating func insert(returned: [KafkaRecord]) {
        let returned = returned.sorted { $0.sequence < $1.sequence }
        compact()
        var merged: [KafkaRecord?] = []
        merged.reserveCapacity(returned.count + records.count)
        var next = 0
        for record in records {
            while next < returned.count, let record, returned[next].sequence < record.sequence {
                merged.append(returned[next])
                next += 1
            }
            merged.append(record)
        }
        for record in returned[next...] { merged.append(record) }
        records = merged
    }

    private mutating func compact() {
        records.removeFirst(head)
        head = 0
    }
}
