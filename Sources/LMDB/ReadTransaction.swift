import CLMDB

/// One state of the environment, unchanged while it lives.
///
/// May move to another thread but not be used by two at a time. The bytes it lends are the file's own, mapped: they are
/// valid inside the closure only.
@usableFromInline package struct ReadTransaction: ~Copyable {
    // Keeps the environment open for as long as the transaction lives.
    @usableFromInline let environment: Environment
    @usableFromInline let pointer: TransactionPointer

    @usableFromInline
    init(environment: Environment, pointer: TransactionPointer) {
        self.environment = environment
        self.pointer = pointer
    }

    deinit { mdb_txn_abort(pointer.pointer) }

    /// Of the last commit that this state contains.
    package var id: UInt64 { UInt64(mdb_txn_id(pointer.pointer)) }

    /// Moves on to the state of this moment, without the allocation of a new transaction.
    package mutating func refresh() throws(LMDBError) {
        mdb_txn_reset(pointer.pointer)
        try LMDBError.check(mdb_txn_renew(pointer.pointer), "renew a transaction")
    }

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
}
