import CLMDB
import Glibc

extension Environment {
    /// Returns when everything that was committed before is on the disk.
    package func sync() throws(LMDBError) {
        try LMDBError.check(mdb_env_sync(handle, 1), "sync \(path)")
    }

    /// Writes the state of this moment to a new file and onto the disk. Not on a thread with an open write transaction,
    /// which the copy would wait for. Nothing is left of a copy that fails.
    package func copy(to destination: String, compacting: Bool) throws(LMDBError) {
        // mdb_env_copy2 would create a file that everybody may read.
        let descriptor = Glibc.open(destination, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw LMDBError(errno, "create \(destination)") }
        var code = mdb_env_copyfd2(handle, descriptor, compacting ? UInt32(MDB_CP_COMPACT) : 0)
        if code == MDB_SUCCESS, fsync(descriptor) != 0 { code = errno }
        if Glibc.close(descriptor) != 0, code == MDB_SUCCESS { code = errno }
        if code != MDB_SUCCESS {
            unlink(destination)
            throw LMDBError(code, "copy \(path) to \(destination)")
        }
    }

    package var info: Info {
        var info = MDB_envinfo()
        mdb_env_info(handle, &info)
        return Info(
            mapBytes: info.me_mapsize, lastPage: info.me_last_pgno, lastTransactionID: UInt64(info.me_last_txnid),
            readersUsed: Int(info.me_numreaders), maxReaders: Int(info.me_maxreaders))
    }

    /// Pages inside the file that a later write may use: a full map with many of them isn't full for long.
    package func freePages(in transaction: borrowing ReadTransaction) throws(LMDBError) -> Int {
        var pages = 0
        // Database 0 lists the pages that each transaction has freed: a count, then as many page numbers.
        try transaction.scan(Database(handle: 0), from: nil) { _, list throws(LMDBError) in
            guard list.count >= MemoryLayout<UInt>.size else { throw LMDBError(MDB_CORRUPTED, "read the list of free pages") }
            pages += Int(clamping: list.loadUnaligned(as: UInt.self))
            return true
        }
        return pages
    }

    /// Frees the slots of processes that died while reading; returns their number.
    @discardableResult
    package func clearStaleReaders() throws(LMDBError) -> Int {
        var dead: CInt = 0
        try LMDBError.check(mdb_reader_check(handle, &dead), "clear stale readers")
        return Int(dead)
    }
}
