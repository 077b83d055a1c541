/// One of the two pages, 0 and 1, that say where everything is. Transaction n writes page n & 1, so that the other one
/// still holds the state before it.
struct MetaPage {
    static let byteCount = 152
    /// Of a meta page's fields, counted from the page's beginning.
    static let transactionOffset = 144

    var pageNumber: UInt64
    var flags: UInt16
    var magic: UInt32
    var version: UInt32
    var mapBytes: UInt64
    var free: DatabaseRecord
    var main: DatabaseRecord
    var lastPage: UInt64
    var transactionID: UInt64

    /// `bytes` has at least `byteCount` bytes.
    init(_ bytes: UnsafeRawBufferPointer) {
        pageNumber = bytes.at(0)
        flags = bytes.at(10)
        magic = bytes.at(16)
        version = bytes.at(20)
        mapBytes = bytes.at(32)
        free = DatabaseRecord(bytes.slice(40, DatabaseRecord.byteCount))
        main = DatabaseRecord(bytes.slice(88, DatabaseRecord.byteCount))
        lastPage = bytes.at(136)
        transactionID = bytes.at(Self.transactionOffset)
    }

    /// LMDB keeps it where the free list's database would have the size of its keys.
    var pageSize: Int { Int(free.pad) }

    var hasMagic: Bool { magic == PageLayout.magic }

    /// What is wrong with it as the meta page number `index`, without a look at what it points to; nil if nothing.
    func defect(index: UInt64) -> String? {
        guard hasMagic else { return "no LMDB meta page" }
        guard version == PageLayout.version else { return "another version of the format" }
        guard flags == PageLayout.PageFlags.meta, pageNumber == index else { return "a meta page with another page's header" }
        guard PageLayout.pageSizes.contains(pageSize), pageSize.nonzeroBitCount == 1 else { return "an impossible page size" }
        // A fresh file has transaction 0 on both.
        guard transactionID & 1 == index || transactionID == 0 else { return "a transaction that belongs to the other meta page" }
        guard transactionID < UInt64.max / 2 else { return "an impossible transaction number" }
        // Bit 14 says that the environment had no directory; bit 3, the only other one, that the keys are integers.
        guard free.flags & ~0x4000 == 0x8, main.flags == 0 else { return "impossible flags" }
        guard main.pad == 0 else { return "an impossible main database" }
        guard lastPage >= 1, lastPage < UInt64.max / 65536, mapBytes < UInt64.max / 2, (lastPage + 1) * UInt64(pageSize) <= mapBytes
        else { return "a last page outside the map" }
        return nil
    }
}
