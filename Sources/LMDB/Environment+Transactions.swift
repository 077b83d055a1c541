import CLMDB

extension Environment {
    /// The state of this moment, until the end of `body`.
    @inlinable
    package func withRead<R>(_ body: (borrowing ReadTransaction) throws(LMDBError) -> R) throws(LMDBError) -> R {
        let transaction = try beginRead()
        return try body(transaction)
    }

    /// The state of this moment, for as long as the result lives. Pages freed since then aren't used again in that time,
    /// so the file grows under a reader that stays.
    @inlinable
    package func beginRead() throws(LMDBError) -> ReadTransaction {
        ReadTransaction(environment: self, pointer: TransactionPointer(try begin(flags: UInt32(MDB_RDONLY))))
    }

    /// Waits until no other write transaction is open. Ends on the thread on which it began.
    @inlinable
    package func beginWrite() throws(LMDBError) -> WriteTransaction {
        WriteTransaction(environment: self, pointer: TransactionPointer(try begin(flags: 0)))
    }
}
