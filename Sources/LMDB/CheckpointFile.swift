import Glibc

/// The content of a side file: a meta page, and in which life of the system it was written.
///
/// Layout, little-endian: magic (8 bytes), version u32, bytes of the boot ID u32, transaction u64, bytes of the page u32,
/// the boot ID, the page, CRC-32C of all before u32.
package struct CheckpointFile: Sendable {
    package let bootID: String
    package let transactionID: UInt64
    let page: [UInt8]

    private static let magic: [UInt8] = Array("HWCHKPNT".utf8)
    private static let version: UInt32 = 1
    private static let headerBytes = 28

    init(bootID: String, transactionID: UInt64, page: [UInt8]) {
        self.bootID = bootID
        self.transactionID = transactionID
        self.page = page
    }

    /// nil unless every byte is as it was written.
    init?(decoding bytes: [UInt8]) {
        guard bytes.count >= Self.headerBytes + 4 else { return nil }
        let checksum = bytes.withUnsafeBytes { Checksum.crc32c($0.slice(0, $0.count - 4)) }
        guard checksum == bytes.withUnsafeBytes({ $0.at($0.count - 4, as: UInt32.self) }) else { return nil }
        guard Array(bytes[..<8]) == Self.magic, bytes.withUnsafeBytes({ $0.at(8, as: UInt32.self) }) == Self.version else { return nil }
        let bootBytes = Int(bytes.withUnsafeBytes { $0.at(12, as: UInt32.self) })
        let pageBytes = Int(bytes.withUnsafeBytes { $0.at(24, as: UInt32.self) })
        guard bytes.count == Self.headerBytes + bootBytes + pageBytes + 4 else { return nil }
        bootID = String(decoding: bytes[Self.headerBytes..<Self.headerBytes + bootBytes], as: UTF8.self)
        transactionID = bytes.withUnsafeBytes { $0.at(16, as: UInt64.self) }
        page = Array(bytes[(Self.headerBytes + bootBytes)..<(bytes.count - 4)])
        guard let meta = Self.meta(in: page), meta.transactionID == transactionID, meta.pageSize == pageBytes else { return nil }
    }

    func encoded() -> [UInt8] {
        var bytes = Self.magic
        func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
        append(Self.version)
        append(UInt32(bootID.utf8.count))
        append(transactionID)
        append(UInt32(page.count))
        bytes += Array(bootID.utf8)
        bytes += page
        append(bytes.withUnsafeBytes { Checksum.crc32c($0) })
        return bytes
    }

    /// nil unless the page is a meta page in which nothing looks wrong.
    static func meta(in page: [UInt8]) -> MetaPage? {
        guard page.count >= MetaPage.byteCount else { return nil }
        let meta = page.withUnsafeBytes { MetaPage($0) }
        return meta.defect(index: meta.transactionID & 1) == nil ? meta : nil
    }

    /// Makes the data file the one of that transaction, durably. Nobody may have it open. May be repeated, so that a power
    /// cut in the middle does no harm: the side file is still there.
    package func restore(into dataPath: String) throws(LMDBError) {
        let operation = "restore \(dataPath)"
        let descriptor = open(dataPath, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw LMDBError(errno, operation) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw LMDBError(errno, operation) }
        guard Int(status.st_size) >= 2 * page.count else { throw LMDBError(EINVAL, operation + ": the file is too short") }
        // The other page says the same of the transaction before, so that LMDB picks this one and the next commit
        // overwrites the other. A fresh file has transaction 0 on both.
        var other = page
        other.withUnsafeMutableBytes {
            $0.storeBytes(of: (transactionID & 1 ^ 1).littleEndian, toByteOffset: 0, as: UInt64.self)
            let previous = transactionID == 0 ? 0 : transactionID - 1
            $0.storeBytes(of: previous.littleEndian, toByteOffset: MetaPage.transactionOffset, as: UInt64.self)
        }
        let isOdd = transactionID & 1 == 1
        let both = isOdd ? other + page : page + other
        try DurableFile.write(both, to: descriptor, operation)
        guard fdatasync(descriptor) == 0 else { throw LMDBError(errno, operation) }
    }
}
