import LMDB

/// Every value in the store begins with a CRC-32C over its key and what follows, so that a flipped bit, or a value under
/// the wrong key, is seen when it is read.
enum SealedRecord {
    static let sealBytes = 4

    private static func seal(key: UnsafeRawBufferPointer, content: UnsafeRawBufferPointer) -> UInt32 {
        Checksum.crc32c(content, continuing: Checksum.crc32c(key))
    }

    /// Writes the seal of `record`, whose content from the fifth byte on is complete.
    static func close(_ record: UnsafeMutableRawBufferPointer, key: UnsafeRawBufferPointer) {
        let content = UnsafeRawBufferPointer(rebasing: record[sealBytes...])
        record.storeBytes(of: seal(key: key, content: content).littleEndian, as: UInt32.self)
    }

    /// The content of a record, `nil` if it is damaged.
    static func open(_ record: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard record.count >= sealBytes else { return nil }
        let content = UnsafeRawBufferPointer(rebasing: record[sealBytes...])
        let stored = UInt32(littleEndian: record.loadUnaligned(as: UInt32.self))
        return stored == seal(key: key, content: content) ? content : nil
    }
}

extension WriteTransaction {
    /// Puts `content` under its seal.
    mutating func putSealed(_ key: UnsafeRawBufferPointer, _ content: [UInt8], in database: Database) throws(LMDBError) {
        try reserve(key, count: content.count + SealedRecord.sealBytes, in: database) { record in
            content.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: record[SealedRecord.sealBytes...]).copyMemory(from: $0) }
            SealedRecord.close(record, key: key)
        }
    }
}
