import LMDB
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The open environment and the files beside it. It is replaced when LMDB gives it up after a failed write; readers take
/// `current` for one reading at a time.
final class StoreEnvironment: Sendable {
    let dataPath: String
    let checkpointPath: String
    private let options: Environment.Options
    private let reserveBytes: Int
    /// The handles are the same after `reopen`, because LMDB numbers databases in the order in which they are opened.
    let databases: Databases
    /// `nil` after an environment could not be opened anew.
    private let open: Mutex<Environment?>
    /// Held by a reader, and by `reopen`: an environment may not be opened twice in one process.
    let reading = Mutex<Void>(())

    init(directory: String, options: StoreOptions) throws(LMDBError) {
        dataPath = directory + "/data.mdb"
        checkpointPath = directory + "/checkpoint"
        var settings = Environment.Options()
        // What is under way when the store is full, and the pages that removing needs.
        settings.mapBytes = options.maxBytes + options.reserveBytes
        reserveBytes = options.reserveBytes
        settings.maxDatabases = Schema.names.count + 4
        settings.isSyncing = options.durability == .sync
        self.options = settings
        let environment = try Environment(path: dataPath, options: settings)
        let databases = try Databases(environment)
        self.databases = databases
        open = Mutex(environment)
    }

    /// - Throws: That of a failed `reopen`.
    var current: Environment {
        get throws(LMDBError) {
            guard let environment = open.withLock({ $0 }) else { throw LMDBError(EIO, "use an environment that could not be opened again") }
            return environment
        }
    }

    /// Nothing else may hold the environment: it is closed first.
    func reopen() throws(LMDBError) {
        var failure: LMDBError?
        reading.withLock { _ in
            open.withLock { open in
                open?.close()
                open = nil
                do throws(LMDBError) {
                    let environment = try Environment(path: dataPath, options: options)
                    _ = try Databases(environment)
                    open = environment
                } catch {
                    failure = error
                }
            }
        }
        if let failure { throw failure }
    }

    func removeCheckpoint() throws(LMDBError) {
        if unlink(checkpointPath) != 0, errno != ENOENT { throw LMDBError(errno, "remove the checkpoint") }
        let directory = Glibc.open(String(dataPath.prefix(upTo: dataPath.lastIndex(of: "/")!)), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    func size() throws(LMDBError) -> StoreSize {
        let environment = try current
        let info = environment.info
        let free = try environment.withRead { transaction throws(LMDBError) in try environment.freePages(in: transaction) }
        return StoreSize(
            maxBytes: info.mapBytes - reserveBytes, usedBytes: (info.lastPage + 1) * environment.pageSize,
            freeBytes: free * environment.pageSize)
    }
}
