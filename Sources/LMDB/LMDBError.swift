import CLMDB
import Glibc

/// Why LMDB, or the system under it, refused: what the caller can act on as a case, the rest as a number.
@usableFromInline package struct LMDBError: Error, Equatable, CustomStringConvertible {
    package enum Kind: Equatable, Sendable {
        /// The environment has reached its map size. The transaction is lost, the environment goes on.
        case mapFull
        /// The disk, or the quota, is full.
        case noSpace
        /// The file or its file system refuses writing.
        case readOnly
        /// The device failed.
        case io
        /// The file isn't what LMDB has written.
        case corrupted
        /// An earlier failure in the middle of a commit: this environment has to be closed, and the file checked.
        case panicked
        /// There is no such database.
        case notFound
        /// Every reader's slot is taken.
        case readersFull
        case other(CInt)
    }

    package let kind: Kind
    /// As LMDB or the system returned it.
    package let code: CInt
    /// What was tried, as a phrase: "commit a transaction".
    package let operation: String

    @usableFromInline
    package init(_ code: CInt, _ operation: String) {
        self.code = code
        self.operation = operation
        kind =
            switch code {
            case MDB_MAP_FULL: .mapFull
            case ENOSPC, EDQUOT: .noSpace
            case EROFS, EACCES, EPERM: .readOnly
            case EIO: .io
            case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INVALID, MDB_VERSION_MISMATCH: .corrupted
            case MDB_PANIC: .panicked
            case MDB_NOTFOUND: .notFound
            case MDB_READERS_FULL: .readersFull
            default: .other(code)
            }
    }

    @usableFromInline package var description: String {
        "can't \(operation): \(String(cString: mdb_strerror(code)))"
    }

    /// Throws unless `code` says success.
    @inlinable
    static func check(_ code: CInt, _ operation: @autoclosure () -> String) throws(LMDBError) {
        if code != MDB_SUCCESS { throw LMDBError(code, operation()) }
    }
}
