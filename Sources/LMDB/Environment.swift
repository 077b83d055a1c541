import CLMDB
import Glibc
import Synchronization

/// A file of key-value maps with one writer and any number of readers that never wait for it.
///
/// Readers see the state of their beginning. A process opens a file once: the system drops all locks of a process on a
/// file when it closes any descriptor of it. LMDB trusts the file, so one that may be damaged goes to PageVerifier first.
// @unchecked: the handle is set in init and closed in deinit, which no transaction outlives, since each holds a
// reference, or by `close`, whose caller answers for that; between the two LMDB's functions for environments may be called from any thread.
@usableFromInline package final class Environment: @unchecked Sendable {
    package struct Options: Sendable {
        /// Address space, not disk space. The file can't grow beyond it.
        package var mapBytes: Int
        package var maxDatabases: Int
        package var maxReaders: Int
        /// False: a commit doesn't wait for the disk, and a power cut may leave a damaged file (see Checkpoint).
        package var isSyncing: Bool
        package var isReadOnly: Bool
        package var mode: mode_t

        package init(
            mapBytes: Int = 1 << 30, maxDatabases: Int = 16, maxReaders: Int = 126, isSyncing: Bool = true, isReadOnly: Bool = false,
            mode: mode_t = 0o600
        ) {
            self.mapBytes = mapBytes
            self.maxDatabases = maxDatabases
            self.maxReaders = maxReaders
            self.isSyncing = isSyncing
            self.isReadOnly = isReadOnly
            self.mode = mode
        }
    }

    package struct Info: Sendable {
        package let mapBytes: Int
        /// Pages are numbered from 0, so the file's content ends after this one.
        package let lastPage: Int
        package let lastTransactionID: UInt64
        /// Slots in the table, which never shrinks while the environment is open: the most readers there ever were at once.
        package let readersUsed: Int
        package let maxReaders: Int
    }

    @usableFromInline let handle: OpaquePointer
    private let isClosed = Atomic<Bool>(false)
    package let path: String
    package let pageSize: Int
    package let fileDescriptor: CInt

    /// `path` is the data file; its lock file stands beside it, named `path` + "-lock".
    package init(path: String, options: Options) throws(LMDBError) {
        handle = try Self.open(path, options)
        self.path = path
        var statistics = MDB_stat()
        mdb_env_stat(handle, &statistics)
        pageSize = Int(statistics.ms_psize)
        var descriptor: CInt = -1
        mdb_env_get_fd(handle, &descriptor)
        fileDescriptor = descriptor
    }

    deinit { close() }

    /// Gives the file back before the last reference goes. No transaction may be open, and nothing else be done afterwards.
    package func close() {
        if !isClosed.exchange(true, ordering: .acquiringAndReleasing) { mdb_env_close(handle) }
    }

    /// Containers and cautious kernels limit address space. A smaller map is better than no broker, down to a point.
    private static let smallestHalvedMap = 1 << 30

    private static func open(_ path: String, _ options: Options) throws(LMDBError) -> OpaquePointer {
        var mapBytes = options.mapBytes
        while true {
            do throws(LMDBError) {
                return try open(path, options, mapBytes: mapBytes)
            } catch {
                guard error.code == ENOMEM, mapBytes / 2 >= smallestHalvedMap else { throw error }
                mapBytes /= 2
            }
        }
    }

    private static func open(_ path: String, _ options: Options, mapBytes: Int) throws(LMDBError) -> OpaquePointer {
        var created: OpaquePointer?
        try LMDBError.check(mdb_env_create(&created), "create an environment")
        guard let handle = created else { throw LMDBError(ENOMEM, "create an environment") }
        // Readers belong to their transaction and not to their thread: event loops and tasks have no thread of their own.
        var flags = UInt32(MDB_NOSUBDIR | MDB_NOTLS)
        if !options.isSyncing { flags |= UInt32(MDB_NOSYNC) }
        if options.isReadOnly { flags |= UInt32(MDB_RDONLY) }
        do throws(LMDBError) {
            try LMDBError.check(mdb_env_set_mapsize(handle, mapBytes), "set the map size")
            try LMDBError.check(mdb_env_set_maxdbs(handle, MDB_dbi(clamping: options.maxDatabases)), "set the number of databases")
            try LMDBError.check(mdb_env_set_maxreaders(handle, UInt32(clamping: options.maxReaders)), "set the number of readers")
            try LMDBError.check(mdb_env_open(handle, path, flags, options.mode), "open \(path)")
            return handle
        } catch {
            mdb_env_close(handle)
            throw error
        }
    }

    /// Opens (and with `createIfMissing` creates) named maps, in one transaction. Not while another one opens some.
    package func openDatabases(_ names: [String], createIfMissing: Bool) throws(LMDBError) -> [Database] {
        let transaction = try begin(flags: createIfMissing ? 0 : UInt32(MDB_RDONLY))
        var databases: [Database] = []
        for name in names {
            var database: MDB_dbi = 0
            let code = mdb_dbi_open(transaction, name, createIfMissing ? UInt32(MDB_CREATE) : 0, &database)
            if code != MDB_SUCCESS {
                mdb_txn_abort(transaction)
                throw LMDBError(code, "open the database \(name)")
            }
            databases.append(Database(handle: database))
        }
        // Also for a reader: an abort would close the handles again.
        try LMDBError.check(mdb_txn_commit(transaction), "open databases")
        return databases
    }

    @usableFromInline
    func begin(flags: UInt32) throws(LMDBError) -> OpaquePointer {
        var transaction: OpaquePointer?
        let code = mdb_txn_begin(handle, nil, flags, &transaction)
        guard code == MDB_SUCCESS, let transaction else { throw LMDBError(code, "begin a transaction") }
        return transaction
    }
}
