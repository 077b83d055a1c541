import CLMDB
import Glibc

extension WriteTransaction {
    /// Removes up to `limit` entries whose keys begin with `prefix`, in ascending order, each lent to `willRemove` before, as long as
    /// `isWanted` says so of their keys.
    /// Returns how many; fewer than `limit` says that none is left.
    @inlinable
    @discardableResult
    package mutating func removeAll(
        withPrefix prefix: UnsafeRawBufferPointer, in database: Database, limit: Int = .max,
        willRemove: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(LMDBError) -> Void = { _, _ in },
        while isWanted: (_ key: UnsafeRawBufferPointer) -> Bool = { _ in true }
    ) throws(LMDBError) -> Int {
        let cursor = try pointer.openCursor(database)
        defer { mdb_cursor_close(cursor) }
        var key = MDB_val()
        var value = MDB_val()
        var step = MDB_FIRST
        if !prefix.isEmpty {
            key = TransactionPointer.key(prefix)
            step = MDB_SET_RANGE
        }
        var removed = 0
        while removed < limit {
            let code = mdb_cursor_get(cursor, &key, &value, step)
            if code == MDB_NOTFOUND { break }
            try LMDBError.check(code, "walk a database")
            guard TransactionPointer.bytes(key).starts(with: prefix), isWanted(TransactionPointer.bytes(key)) else { break }
            try willRemove(TransactionPointer.bytes(key), TransactionPointer.bytes(value))
            try LMDBError.check(mdb_cursor_del(cursor, 0), "delete a value")
            removed += 1
            // The cursor stands on the successor already and LMDB remembers that: its next step stays there once.
            step = MDB_NEXT
        }
        return removed
    }
}
