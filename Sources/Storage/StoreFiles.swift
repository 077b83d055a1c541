import LMDB
import MQTTModel

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The files of a store as long as nobody has opened them: checked, rolled back, set aside, restored.
package struct StoreFiles {
    package let directory: String
    package var data: String { directory + "/data.mdb" }
    package var lock: String { data + "-lock" }
    /// What is to become the environment.
    var unfinished: String { data + ".new" }
    package var checkpoint: String { directory + "/checkpoint" }
    /// The last good backup: what `restore` restores.
    package var backup: String { directory + "/backup.mdb" }

    /// What may be spent on pages of queues at a start, so that it does not grow with them.
    static let backlogBudget = Duration.seconds(1)

    package init(directory: String) { self.directory = directory }

    /// After a power cut the newest state may be on the disk in part only, where commits did not wait for it: back to the last
    /// synchronisation. After a mere end of the process everything is in the system's cache, and nothing is to be done.
    func rollBackAfterReboot(bootID: String = Checkpoint.currentBootID(), alarms: inout [String]) {
        guard exists(checkpoint), exists(data) else { return }
        do throws(LMDBError) {
            guard case .intact(let saved) = try Checkpoint.read(path: checkpoint) else {
                return alarms.append("the store's record of its last synchronisation is damaged; the store itself is checked now")
            }
            guard saved.bootID != bootID else { return }
            try saved.restore(into: data)
            if bootID.hasPrefix(Checkpoint.unknownBoot) {
                return alarms.append(
                    "the system doesn't tell whether it was restarted (/proc/sys/kernel/random/boot_id can't be read; with systemd, remove "
                        + "ProcSubset=pid): the store is back at its last synchronisation")
            }
            alarms.append(
                "the system was restarted without an orderly end of the broker: the store is back at its last synchronisation "
                    + "(store.durability sync would not have lost anything)")
        } catch {
            // A damaged checkpoint says nothing about the environment, whose pages are checked next.
            alarms.append("store: the checkpoint of the last synchronisation can't be used: \(error)")
        }
    }

    func verify() throws(StoreFault) {
        guard exists(data) else { return }
        try Self.verify(data, budget: Self.backlogBudget)
    }

    /// - Parameter budget: For what grows with backlog; `nil`: everything is checked.
    static func verify(_ path: String, budget: Duration?) throws(StoreFault) {
        let options = PageVerifier.Options(budget: budget, databasesWithBudget: budget == nil ? [] : Schema.backlogNames)
        let verdict = PageVerifier.verify(path: path, options: options) { _, key, value in SealedRecord.open(value, key: key) != nil }
        switch verdict {
        case .intact: return
        case .damaged(let page, let what):
            throw StoreFault.damaged("\(path): \(what)\(page.map { " (page \($0))" } ?? "")")
        case .foreign(let what): throw StoreFault.damaged("\(path): \(what)")
        case .unreadable(let why):
            throw StoreFault.unusable("store \(path) can't be read: \(why); give the broker's user the right to read and write it")
        }
    }

    // MARK: Damage

    /// Sets the environment aside, and puts in its place what `policy` says.
    func replaceDamaged(_ what: String, policy: StoreOptions.DamagePolicy, alarms: inout [String]) throws(StoreFault) {
        let advice = "see docs/durability.md, \"Damage\""
        if policy == .stop {
            throw StoreFault.stopped("the store is damaged: \(what). It was left as it is, because store.on_damage is stop; \(advice)")
        }
        let backupFault = policy == .empty ? "none asked for" : faultOfBackup()
        if policy == .restore, let backupFault {
            throw StoreFault.stopped(
                "the store is damaged: \(what). store.on_damage is restore, but no backup can take its place (\(backupFault)); \(advice)")
        }
        if backupFault == nil {
            let place = try replace(with: backup, naming: "damaged")
            alarms.append(
                "the store was damaged (\(what)) and is now in \(place); the last backup has taken its place: what came after it is missing"
            )
        } else {
            let place = try setAside(naming: "damaged")
            alarms.append("the store was damaged (\(what)) and is now in \(place); an empty one has taken its place")
        }
    }

    /// - Returns: Why the backup can't be used; `nil`: it can.
    private func faultOfBackup() -> String? {
        guard exists(backup) else { return "there is no \(backup)" }
        do throws(StoreFault) {
            try Self.verify(backup, budget: nil)
            return nil
        } catch {
            return error.description
        }
    }

    /// Puts a copy of `source` in the place of the environment, which goes to a dated directory. A process or a system that ends
    /// on the way leaves the one or the other, and never none.
    /// - Returns: Where the files are now.
    func replace(with source: String, naming: String) throws(StoreFault) -> String {
        try copy(source, to: unfinished)
        let place = try makePlace(naming)
        if exists(data) {
            try forgetCheckpoint(movingItTo: place)
            guard link(data, "\(place)/data.mdb") == 0 else { throw fault("link into \(place)", data) }
            synchronize(place)
        }
        try swapIn()
        return place
    }

    /// Gives the place of the environment to the verified file `unfinished`. The checkpoint is of the old one, and has to go first.
    func swapIn() throws(StoreFault) {
        if exists(data) { try forgetCheckpoint(movingItTo: nil) }
        // LMDB's lock file says which transaction of the old file was the last: a new file gets a new one.
        if unlink(lock) != 0, errno != ENOENT { throw fault("remove", lock) }
        guard rename(unfinished, data) == 0 else { throw fault("rename", unfinished) }
        synchronize(directory)
    }

    /// Without its checkpoint an environment has to be on the disk as a whole, or a power cut would leave a part of it.
    private func forgetCheckpoint(movingItTo place: String?) throws(StoreFault) {
        let descriptor = open(data, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw fault("open", data) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw fault("synchronise", data) }
        if let place {
            if rename(checkpoint, "\(place)/checkpoint") != 0, errno != ENOENT { throw fault("move into \(place)", checkpoint) }
        } else if unlink(checkpoint) != 0, errno != ENOENT {
            throw fault("remove", checkpoint)
        }
        synchronize(directory)
    }

    /// - Returns: Where the files are now.
    private func setAside(naming: String) throws(StoreFault) -> String {
        let place = try makePlace(naming)
        // The checkpoint first: an environment without one is looked at, a checkpoint of another environment would spoil it.
        for path in [checkpoint, lock, data] where exists(path) {
            let name = path.split(separator: "/").last.map(String.init) ?? path
            guard rename(path, "\(place)/\(name)") == 0 else { throw fault("move into \(place)", path) }
            synchronize(directory)
        }
        return place
    }

    private func makePlace(_ naming: String) throws(StoreFault) -> String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var text = [CChar](repeating: 0, count: 32)
        strftime(&text, text.count, "%Y%m%dT%H%M%SZ", &parts)
        let stamp = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var place = "\(directory)/\(naming)-\(stamp)"
        var attempt = 1
        while mkdir(place, 0o700) != 0 {
            guard errno == EEXIST, attempt < 1_000 else { throw fault("make", place) }
            attempt += 1
            place = "\(directory)/\(naming)-\(stamp)-\(attempt)"
        }
        synchronize(directory)
        return place
    }

    /// Copies a file as a whole and onto the disk.
    func copy(_ source: String, to target: String) throws(StoreFault) {
        let input = open(source, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw fault("read", source) }
        defer { close(input) }
        let output = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard output >= 0 else { throw fault("write", target) }
        defer { close(output) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(input, &buffer, buffer.count)
            guard count >= 0 else { throw fault("read", source) }
            if count == 0 { break }
            var written = 0
            while written < count {
                let part = buffer.withUnsafeBytes { write(output, $0.baseAddress! + written, count - written) }
                guard part > 0 else { throw fault("write", target) }
                written += part
            }
        }
        guard fsync(output) == 0 else { throw fault("write", target) }
    }

    // MARK: Files

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    func synchronize(_ directory: String) {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    /// Files that root has made while it looked after the store must not lock out the broker's user.
    func giveToOwner(_ paths: [String]) {
        var status = stat()
        guard geteuid() == 0, stat(directory, &status) == 0, status.st_uid != 0 else { return }
        for path in paths { _ = lchown(path, status.st_uid, status.st_gid) }
    }

    func fault(_ action: String, _ path: String) -> StoreFault {
        .unusable("store: can't \(action) \(path): \(String(cString: strerror(errno)))")
    }
}
