import Glibc

/// What LMDB looks at before any tree of the user's: the meta pages, the list of databases and the list of free pages.
extension PageVerifier {
    /// The meta page that LMDB will pick, after checks of both: it reads the second where the first says that it is.
    static func currentMeta(of file: borrowing PageFile) throws(PageFinding) -> MetaPage {
        guard file.byteCount > 0 else { throw .damaged(nil, "the file is empty") }
        guard file.byteCount >= MetaPage.byteCount else { throw .foreign("too short for an LMDB file") }
        let first = try readMeta(0, at: 0, file)
        guard first.hasMagic else {
            // Either no LMDB file at all, or one whose beginning was overwritten: its second meta page tells.
            if let second = try? readMeta(1, at: Int(sysconf(CInt(_SC_PAGESIZE))), file), second.hasMagic {
                throw .damaged(0, "no LMDB meta page")
            }
            throw .foreign("not an LMDB file")
        }
        guard first.version == PageLayout.version else { throw .foreign("version \(first.version) of LMDB's file format") }
        if [512, 1024, 2048, 65536].contains(first.pageSize) { throw .foreign("pages of \(first.pageSize) bytes") }
        if let defect = first.defect(index: 0) { throw .damaged(0, defect) }
        guard file.byteCount >= 2 * first.pageSize else { throw .damaged(1, "the file ends before this page does") }
        let second = try readMeta(1, at: first.pageSize, file)
        if let defect = second.defect(index: 1) { throw .damaged(1, defect) }
        guard second.pageSize == first.pageSize else { throw .damaged(1, "meta pages of different page sizes") }
        let (older, newer) = first.transactionID < second.transactionID ? (first, second) : (second, first)
        // Each transaction writes the page that the one before it didn't; a gap says that a write was lost.
        guard newer.transactionID == 0 || newer.transactionID == older.transactionID + 1 else {
            throw .damaged(older.transactionID & 1, "meta pages of transactions that don't follow each other")
        }
        // Pages past the file's end are possible, but then each is listed as free, in 8 bytes of this file. Without this
        // limit a damaged number would have us allocate any amount of memory.
        let pages = UInt64(file.byteCount / newer.pageSize)
        guard newer.lastPage < pages + UInt64(file.byteCount / 8) else {
            throw .damaged(newer.transactionID & 1, "a last page far outside the file")
        }
        return newer
    }

    private static func readMeta(_ page: UInt64, at offset: Int, _ file: borrowing PageFile) throws(PageFinding) -> MetaPage {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: MetaPage.byteCount, alignment: 8)
        defer { bytes.deallocate() }
        try file.read(bytes, at: offset, page: page)
        return MetaPage(UnsafeRawBufferPointer(bytes))
    }

    static func namedDatabases(
        _ meta: MetaPage, _ file: borrowing PageFile, _ walk: inout TreeWalk
    ) throws(PageFinding) -> [(name: String, record: DatabaseRecord)] {
        var databases: [(name: String, record: DatabaseRecord)] = []
        _ = try walk.walk(meta.main, .main, of: file, readsValues: true) { (page, key, value) throws(PageFinding) in
            let record = DatabaseRecord(value)
            guard record.flags == 0, record.pad == 0 else { throw .damaged(page, "a database with impossible flags") }
            databases.append((String(decoding: key, as: UTF8.self), record))
        }
        return databases
    }

    /// The free list: by the transaction that freed them, a count and then so many page numbers, in descending order.
    /// LMDB sorts and merges these lists in arrays sized by the counts.
    static func checkFreeList(_ meta: MetaPage, _ file: borrowing PageFile, _ walk: inout TreeWalk) throws(PageFinding) -> Int {
        var lists: [(page: UInt64, numbers: [UInt64])] = []
        _ = try walk.walk(meta.free, .free, of: file, readsValues: true) { (page, key, value) throws(PageFinding) in
            guard (1...max(meta.transactionID, 1)).contains(key.at(0, as: UInt64.self)) else {
                throw .damaged(page, "pages freed by a transaction that was never there")
            }
            guard value.count >= 8, value.count % 8 == 0 else { throw .damaged(page, "a list of free pages of impossible size") }
            // Room that LMDB had reserved and then didn't need is left behind the numbers.
            let count: UInt64 = value.at(0)
            guard count <= UInt64(value.count / 8 - 1) else { throw .damaged(page, "a list of free pages longer than its value") }
            lists.append((page, (0..<Int(count)).map { value.at(8 + 8 * $0) }))
        }
        var freePages = 0
        for (page, numbers) in lists {
            var previous = UInt64.max
            for number in numbers {
                guard number < previous else { throw .damaged(page, "a list of free pages out of order") }
                try walk.claim(number)
                previous = number
            }
            freePages += numbers.count
        }
        return freePages
    }

    /// Called before the named databases are walked, whose pages are inside the file or found not to be.
    static func checkEnd(_ meta: MetaPage, _ file: borrowing PageFile, _ walk: borrowing TreeWalk) throws(PageFinding) {
        var page = UInt64(file.byteCount / meta.pageSize)
        while page <= meta.lastPage {
            guard walk.claims.isClaimed(page) else { throw .damaged(page, "the file ends before this page does") }
            page += 1
        }
    }
}
