import CLMDB

/// The one writer. What it does becomes visible, all at once, with `commit`; dropped, it has never been.
///
/// Writes are `mutating`, so that the compiler refuses one inside a closure to which bytes are lent: it could move them.
/// After an error of a write the transaction accepts nothing more and has to be dropped.
@usableFromInline package struct WriteTransaction: ~Copyable {
    @usableFromInline let environment: Environment
    @usableFromInline let pointer: TransactionPointer
    private var isFinished = false

    @usableFromInline
    init(environment: Environment, pointer: TransactionPointer) {
        self.environment = environment
        self.pointer = pointer
    }

    deinit {
        if !isFinished { mdb_txn_abort(pointer.pointer) }
    }

    package consuming func commit() throws(LMDBError) {
        // LMDB has freed the transaction whatever it answers.
        isFinished = true
        try LMDBError.check(mdb_txn_commit(pointer.pointer), "commit a transaction")
    }

    /// Of the commit that this is to become.
    package var id: UInt64 { UInt64(mdb_txn_id(pointer.pointer)) }

    /// Lends the value of `key` to `body`; nil if there is none.
    @inlinable
    package func withValue<R>(
        _ key: UnsafeRawBufferPointer, in database: Database, _ body: (UnsafeRawBufferPointer) throws(LMDBError) -> R
    ) throws(LMDBError) -> R? {
        try pointer.withValue(key, in: database, body)
    }

    /// Lends each entry in ascending order, from the first whose key is not less than `key`, until `body` says false.
    @inlinable
    package func scan(
        _ database: Database, from key: UnsafeRawBufferPointer?,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(LMDBError) -> Bool
    ) throws(LMDBError) {
        try pointer.scan(database, from: key, body)
    }

    package func lastKey(in database: Database) throws(LMDBError) -> [UInt8]? { try pointer.lastKey(in: database) }

    package func count(in database: Database) throws(LMDBError) -> Int { try pointer.count(in: database) }

    /// Sets the value of `key`. `isAppending` says that the key is greater than all others, which fills pages to the brim;
    /// if it isn't, the write fails.
    @inlinable
    package mutating func put(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, in database: Database, isAppending: Bool = false
    ) throws(LMDBError) {
        var key = TransactionPointer.key(key)
        var value = TransactionPointer.value(value)
        try LMDBError.check(mdb_put(pointer.pointer, database.handle, &key, &value, isAppending ? UInt32(MDB_APPEND) : 0), "put a value")
    }

    /// Makes room for a value of `count` bytes and lets `fill` write all of them in place.
    @inlinable
    package mutating func reserve(
        _ key: UnsafeRawBufferPointer, count: Int, in database: Database, isAppending: Bool = false,
        _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(LMDBError) {
        var key = TransactionPointer.key(key)
        var value = MDB_val(mv_size: count, mv_data: nil)
        let flags = MDB_RESERVE | (isAppending ? MDB_APPEND : 0)
        try LMDBError.check(mdb_put(pointer.pointer, database.handle, &key, &value, UInt32(flags)), "reserve a value")
        fill(UnsafeMutableRawBufferPointer(start: value.mv_data, count: count))
    }

    /// Whether there was something to remove.
    @inlinable
    @discardableResult
    package mutating func delete(_ key: UnsafeRawBufferPointer, in database: Database) throws(LMDBError) -> Bool {
        var key = TransactionPointer.key(key)
        let code = mdb_del(pointer.pointer, database.handle, &key, nil)
        if code == MDB_NOTFOUND { return false }
        try LMDBError.check(code, "delete a value")
        return true
    }

    package mutating func dropAll(in database: Database) throws(LMDBError) {
        try LMDBError.check(mdb_drop(pointer.pointer, database.handle, 0), "empty a database")
    }
}
