import Dispatch
import LMDB

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What an operator does with a store: `headwater db`.
///
/// Reading and backups go on beside a broker. Then the file is only looked at through LMDB, for a page that is being written
/// while it is read tells nothing; of a store that nobody uses every page is checked first.
package struct StoreMaintenance: Sendable {
    let files: StoreFiles
    package var directory: String { files.directory }

    /// - Throws: `StoreFault` if there is no store.
    package init(directory: String) throws(StoreFault) {
        files = StoreFiles(directory: directory)
        guard access(files.data, F_OK) == 0 else {
            guard errno != ENOENT else {
                throw .unusable("there is no store in \(directory) (no data.mdb): give the directory that store.directory names")
            }
            throw files.fault("read", files.data)
        }
    }

    // MARK: Check

    /// Every page and every record, as far as that can be while a broker writes.
    package func check() throws(StoreFault) -> StoreCheckReport {
        if let lock = try Self.lockUnlessInUse(directory) {
            defer { _ = lock }
            var report = try Self.check(file: files.data)
            if try hasRollBackPending() {
                report.notes.append(
                    "the system was restarted without an orderly end of the broker: at its next start the broker takes the store back to "
                        + "its last synchronisation, and damage found here may go with that")
            }
            files.giveToOwner([files.directory + "/lock"])
            return report
        }
        var report = try withReading { environment, transaction, databases throws(LMDBError) in
            try StoreAudit.report(transaction, databases)
        }
        let user = StoreDirectory.user(of: directory) ?? "another process"
        report.notes.append(
            "\(user) uses the store: its records were read as they were at one moment, its pages were not checked. For the pages, check a "
                + "backup, or stop the broker")
        return report
    }

    /// Of a file that nobody writes: a backup, or the environment of a broker that does not run.
    package static func check(file: String) throws(StoreFault) -> StoreCheckReport {
        // The closure is called where it is made, by the thread that waits for it.
        var audit = StoreAudit()
        let verdict = PageVerifier.verify(path: file) { database, key, value in
            audit.examine(database, key, value)
            return true
        }
        switch verdict {
        case .intact(let summary):
            var report = audit.finish()
            report.pages = StoreCheckReport.Pages(
                fileBytes: summary.fileBytes, pageBytes: summary.pageSize, total: Int(clamping: summary.lastPage) + 1,
                free: summary.freePages, lost: summary.unclaimedPages ?? 0)
            return report
        case .damaged(let page, let what): return StoreCheckReport(damage: "\(file): \(what)\(page.map { " (page \($0))" } ?? "")")
        case .foreign(let what): return StoreCheckReport(damage: "\(file): \(what)")
        case .unreadable(let why): throw .unusable("\(file) can't be read: \(why); run this as the broker's user")
        }
    }

    private func hasRollBackPending() throws(StoreFault) -> Bool {
        do throws(LMDBError) {
            guard case .intact(let saved) = try Checkpoint.read(path: files.checkpoint) else { return false }
            return saved.bootID != Checkpoint.currentBootID()
        } catch {
            throw StoreFault(error)
        }
    }

    // MARK: Backup

    package struct Copy: Sendable {
        package let file: String
        package let bytes: Int
        package let records: Int
        /// Of what was copied: the counts and references in it don't agree.
        package let faults: [String]
        package let alarms: [String]
    }

    /// The file that a backup is made in if none is named, and restored from.
    package var defaultBackup: String { files.backup }

    /// Copies the state of this moment, compacted, and gives the copy its name when it has been checked.
    ///
    /// - Parameter progress: Called about once in a second with the bytes that are written so far.
    package func backup(to target: String?, progress: @escaping @Sendable (Int) -> Void) throws(StoreFault) -> Copy {
        let target = target ?? files.backup
        try refuseTarget(target)
        let place = try ExclusiveDirectory(of: target)
        defer { _ = place }
        var alarms: [String] = []
        let copy = target + ".new"
        unlink(copy)
        let lock = try Self.lockUnlessInUse(directory)
        defer { _ = lock }
        if lock != nil {
            files.rollBackAfterReboot(alarms: &alarms)
            try StoreFiles.verify(files.data, budget: nil)
        }
        try write(copy, progress)
        let report = try verified(copy, insteadOf: target)
        guard rename(copy, target) == 0 else { throw files.fault("rename", copy) }
        files.synchronize(place.path)
        files.giveToOwner([target, files.lock, files.directory + "/lock"])
        return Copy(
            file: target, bytes: report.pages?.fileBytes ?? 0, records: report.records.values.reduce(0, +), faults: report.faults,
            alarms: alarms)
    }

    private func refuseTarget(_ target: String) throws(StoreFault) {
        var (there, ours) = (stat(), stat())
        guard stat(target, &there) == 0 else { return }
        let ownNames = [files.data, files.lock, files.checkpoint, files.directory + "/lock"]
        let isOurs = ownNames.contains { stat($0, &ours) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev }
        if isOurs { throw .unusable("\(target) belongs to the store itself: give the backup another name") }
        if there.st_mode & S_IFMT != S_IFREG { throw .unusable("\(target) is not a file: name a file that the backup can be") }
    }

    /// Writes the state of this moment into a new file.
    private func write(_ copy: String, _ progress: @escaping @Sendable (Int) -> Void) throws(StoreFault) {
        let watch = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "headwater.store.progress"))
        watch.schedule(deadline: .now() + .seconds(1), repeating: .seconds(1))
        watch.setEventHandler {
            var status = stat()
            if stat(copy, &status) == 0 { progress(Int(status.st_size)) }
        }
        watch.resume()
        defer { watch.cancel() }
        do throws(LMDBError) {
            let environment = try Self.environment(files.data)
            try environment.copy(to: copy, compacting: true)
        } catch {
            if error.kind == .noSpace {
                throw .unusable("no room for \(copy): make some, or name a file on another disk")
            }
            throw .unusable("store: \(error)")
        }
    }

    /// A copy with records that can't be read is no backup: the one before stays.
    private func verified(_ copy: String, insteadOf target: String) throws(StoreFault) -> StoreCheckReport {
        let report = try Self.check(file: copy)
        guard report.pages == nil || report.unreadable > 0 else { return report }
        unlink(copy)
        throw .damaged(
            "what was copied has faults, so \(target) was left as it was: \(report.faults.first ?? "unknown"); "
                + "`headwater db check --store \(directory)` names them all")
    }

    // MARK: Compact, restore

    /// Writes the environment anew without its free pages. Nobody else may use the store.
    ///
    /// - Returns: Bytes of the file before and after.
    package func compact(
        progress: @escaping @Sendable (Int) -> Void
    ) throws(StoreFault) -> (before: Int, after: Int, alarms: [String]) {
        let lock = try exclusive("compact it")
        defer { _ = lock }
        var alarms: [String] = []
        files.rollBackAfterReboot(alarms: &alarms)
        try StoreFiles.verify(files.data, budget: nil)
        let before = try size(files.data)
        unlink(files.unfinished)
        try write(files.unfinished, progress)
        _ = try verified(files.unfinished, insteadOf: files.data)
        let after = try size(files.unfinished)
        files.giveToOwner([files.unfinished, files.directory + "/lock"])
        FaultPoint.reach(.copyVerified)
        try files.swapIn()
        return (before, after, alarms)
    }

    /// Puts a backup in the place of the environment. Nobody else may use the store.
    ///
    /// - Returns: Where the environment is now.
    package static func restore(from file: String?, in directory: String) throws(StoreFault) -> String {
        let files = StoreFiles(directory: directory)
        let backup = file ?? files.backup
        guard files.exists(backup) else {
            throw .unusable("there is no \(backup): name the file that `headwater db backup` has made")
        }
        let lock = try exclusive(directory, "restore into it")
        defer { _ = lock }
        let report = try check(file: backup)
        guard report.pages != nil, report.unreadable == 0 else {
            throw .damaged("\(backup) is no good backup, and nothing was changed: \(report.faults.first ?? "unknown")")
        }
        let place = try files.replace(with: backup, naming: "replaced")
        files.giveToOwner([files.data, place, files.directory + "/lock"])
        return place
    }

    private func exclusive(_ purpose: String) throws(StoreFault) -> HeldDirectory { try Self.exclusive(directory, purpose) }

    private static func exclusive(_ directory: String, _ purpose: String) throws(StoreFault) -> HeldDirectory {
        if let lock = try lockUnlessInUse(directory) { return lock }
        let user = StoreDirectory.user(of: directory) ?? "another process"
        throw .unusable("\(user) uses the store in \(directory): stop the broker to \(purpose)")
    }

    /// - Returns: `nil`: another process has it.
    private static func lockUnlessInUse(_ directory: String) throws(StoreFault) -> HeldDirectory? {
        do throws(StoreDirectory.Fault) {
            return HeldDirectory(try StoreDirectory(path: directory))
        } catch {
            guard error.isInUse else { throw .unusable(error.description) }
            return nil
        }
    }

    private func size(_ path: String) throws(StoreFault) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { throw files.fault("read", path) }
        return Int(status.st_size)
    }

    // MARK: Reading

    /// With the map size of whoever wrote it last.
    static func environment(_ path: String) throws(LMDBError) -> Environment {
        var options = Environment.Options()
        options.mapBytes = 0
        options.maxDatabases = Schema.names.count + 4
        options.isReadOnly = true
        return try Environment(path: path, options: options)
    }

    /// Lends one state of the store, whether a broker uses it or not.
    func withReading<Result>(
        _ body: (Environment, borrowing ReadTransaction, [String: Database]) throws(LMDBError) -> Result
    ) throws(StoreFault) -> Result {
        do throws(LMDBError) {
            let environment = try Self.environment(files.data)
            files.giveToOwner([files.lock])
            var byName: [String: Database] = [:]
            for name in Schema.names {
                do throws(LMDBError) {
                    byName[name] = try environment.openDatabases([name], createIfMissing: false).first
                } catch {
                    // An older version that has made the store, and may be using it, does not have them all.
                    guard Schema.newerNames.contains(name), error.kind == .notFound else { throw error }
                }
            }
            let transaction = try environment.beginRead()
            return try body(environment, transaction, byName)
        } catch {
            throw StoreFault(error)
        }
    }
}

/// Keeps two backups from writing the same file: a lock on the directory that ends with the process.
private struct ExclusiveDirectory: ~Copyable {
    let path: String
    private let descriptor: Int32

    init(of file: String) throws(StoreFault) {
        let slash = file.lastIndex(of: "/")
        path = slash.map { $0 == file.startIndex ? "/" : String(file[..<$0]) } ?? "."
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unusable("can't open \(path): \(String(cString: strerror(errno)))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw .unusable("another backup into \(path) is under way")
        }
    }

    deinit { close(descriptor) }
}
