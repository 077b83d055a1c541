/// An entry of the outbox as it lies in the store: length of its head in four bytes, head, value; under a seal.
enum OutboxEntry {
    static func write(_ append: OutboxAppend, payload: UnsafeRawBufferPointer, to record: UnsafeMutableRawBufferPointer, key: UnsafeRawBufferPointer) {
        var offset = SealedRecord.sealBytes
        record.storeBytes(of: UInt32(append.head.count + append.tail.count).littleEndian, toByteOffset: offset, as: UInt32.self)
        offset += 4
        func copy(_ bytes: UnsafeRawBufferPointer) {
            UnsafeMutableRawBufferPointer(rebasing: record[offset...]).copyMemory(from: bytes)
            offset += bytes.count
        }
        append.head.withUnsafeBytes(copy)
        append.tail.withUnsafeBytes(copy)
        if let value = append.value { value.withUnsafeBytes(copy) } else { copy(payload) }
        SealedRecord.close(record, key: key)
    }

    /// - Returns: `nil`: not an entry, or damaged.
    static func read(
        _ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer
    ) -> (head: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)? {
        guard let content = SealedRecord.open(value, key: key) else { return nil }
        var reader = RecordReader(content)
        guard let head = try? reader.data(), let rest = try? reader.raw(reader.rest) else { return nil }
        return (head, rest)
    }
}
