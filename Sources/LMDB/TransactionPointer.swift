import CLMDB

/// What reading and writing transactions have in common, without ownership: that is with the type around it.
///
/// Nothing here allocates except a cursor for a walk.
@usableFromInline
struct TransactionPointer {
    @usableFromInline let pointer: OpaquePointer

    @inlinable
    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    /// LMDB takes keys as mutable and doesn't change them.
    @inlinable
    static func value(_ bytes: UnsafeRawBufferPointer) -> MDB_val {
        MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    @inlinable
    static func key(_ bytes: UnsafeRawBufferPointer) -> MDB_val {
        // Whoever makes keys of foreign bytes has to bound them; an empty key LMDB refuses too.
        precondition((1...511).contains(bytes.count), "an LMDB key has 1 to 511 bytes")
        return value(bytes)
    }

    @inlinable
    static func bytes(_ value: MDB_val) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size)
    }

    @inlinable
    func withValue<R>(
        _ key: UnsafeRawBufferPointer, in database: Database, _ body: (UnsafeRawBufferPointer) throws(LMDBError) -> R
    ) throws(LMDBError) -> R? {
        var key = Self.key(key)
        var value = MDB_val()
        let code = mdb_get(pointer, database.handle, &key, &value)
        if code == MDB_NOTFOUND { return nil }
        try LMDBError.check(code, "read a value")
        return try body(Self.bytes(value))
    }

    @inlinable
    func scan(
        _ database: Database, from start: UnsafeRawBufferPointer?,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(LMDBError) -> Bool
    ) throws(LMDBError) {
        let cursor = try openCursor(database)
        defer { mdb_cursor_close(cursor) }
        var key = MDB_val()
        var value = MDB_val()
        var step = MDB_FIRST
        if let start, !start.isEmpty {
            key = Self.key(start)
            step = MDB_SET_RANGE
        }
        while true {
            let code = mdb_cursor_get(cursor, &key, &value, step)
            if code == MDB_NOTFOUND { return }
            try LMDBError.check(code, "walk a database")
            guard try body(Self.bytes(key), Self.bytes(value)) else { return }
            step = MDB_NEXT
        }
    }

    @usableFromInline
    func lastKey(in database: Database) throws(LMDBError) -> [UInt8]? {
        let cursor = try openCursor(database)
        defer { mdb_cursor_close(cursor) }
        var key = MDB_val()
        var value = MDB_val()
        let code = mdb_cursor_get(cursor, &key, &value, MDB_LAST)
        if code == MDB_NOTFOUND { return nil }
        try LMDBError.check(code, "find the last key")
        return Array(Self.bytes(key))
    }

    @usableFromInline
    func count(in database: Database) throws(LMDBError) -> Int {
        var statistics = MDB_stat()
        try LMDBError.check(mdb_stat(pointer, database.handle, &statistics), "count entries")
        return statistics.ms_entries
    }

    @usableFromInline
    func openCursor(_ database: Database) throws(LMDBError) -> OpaquePointer {
        var cursor: OpaquePointer?
        let code = mdb_cursor_open(pointer, database.handle, &cursor)
        guard code == MDB_SUCCESS, let cursor else { throw LMDBError(code, "open a cursor") }
        return cursor
    }
}
