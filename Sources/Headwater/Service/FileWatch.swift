import Glibc
import Synchronization

/// Notices that files have other content than before: certificates, keys, CRLs, passwords, ACLs.
///
/// By looking every few seconds, and not by inotify, which sees nothing of what happens behind a mount (Kubernetes volumes of some
/// kinds, NFS), and follows names badly where `..data` is a symbolic link that is swapped. A look is one `stat` of whatever the name
/// leads to now, so that renames over the file, swapped links and writes in place are all the same. A directory counts as the files in it.
///
/// Make it before the files are read for the first time: what changes after that is told.
final class FileWatch: Sendable {
    /// When to look, and when to speak.
    struct Pace: Sendable, Equatable {
        /// From look to look.
        var interval = Duration.seconds(2)
        /// How long nothing may have changed before it is told: a set of files is not written in one instant.
        var quiet = Duration.seconds(1)
        /// Told at the latest after this, even if there was no quiet: one restless file must not hide the others.
        var longestUnrest = Duration.seconds(30)
        init() {}
    }

    private let pace: Pace
    private let changes: Mutex<FileChanges>
    private let changed: @Sendable ([String]) async -> Void

    /// Looks once, at once.
    ///
    /// - Parameter changed: Gets the paths that have changed, appeared or vanished since it was told last, sorted. The next look waits
    ///   until it returns.
    init(_ paths: [String], pace: Pace = Pace(), changed: @escaping @Sendable ([String]) async -> Void) {
        self.pace = pace
        self.changed = changed
        changes = Mutex(FileChanges(FileState.look(at: paths)))
    }

    /// Watches these from now on, and those of them that were watched before go on as they are.
    func watch(_ paths: [String]) {
        let states = FileState.look(at: paths)
        changes.withLock { $0.replaceSet(states) }
    }

    /// Looks until the task is cancelled.
    func run<C: Clock<Duration>>(clock: C = ContinuousClock()) async {
        let start = clock.now
        while !Task.isCancelled {
            let (paths, pause) = changes.withLock { changes in
                let told = changes.looked(
                    FileState.look(at: changes.paths), at: start.duration(to: clock.now), quiet: pace.quiet,
                    longestUnrest: pace.longestUnrest)
                return (told, changes.isRestless ? min(pace.quiet, pace.interval) : pace.interval)
            }
            if !paths.isEmpty { await changed(paths) }
            do { try await clock.sleep(for: pause) } catch { return }
        }
    }
}

/// What is known of some files, and what of it has been told. No clock and no files.
struct FileChanges {
    /// As it was told last, or as it was at the beginning.
    private var told: [String: FileState]
    private var last: [String: FileState]
    private var restlessSince: Duration?
    private var lastChange = Duration.zero

    init(_ states: [String: FileState]) {
        told = states
        last = states
    }

    var paths: [String] { Array(told.keys) }
    /// Something has changed that is not told yet.
    var isRestless: Bool { restlessSince != nil }

    /// - Returns: Paths to tell of now, sorted.
    mutating func looked(_ now: [String: FileState], at time: Duration, quiet: Duration, longestUnrest: Duration) -> [String] {
        if now != last {
            lastChange = time
            last = now
        }
        guard now != told else {
            restlessSince = nil
            return []
        }
        let since = restlessSince ?? time
        restlessSince = since
        guard time - lastChange >= quiet || time - since >= longestUnrest else { return [] }
        let paths = now.filter { told[$0.key] != $0.value }.keys.sorted()
        told = now
        restlessSince = nil
        return paths
    }

    mutating func replaceSet(_ states: [String: FileState]) {
        told = states.merging(told.filter { states[$0.key] != nil }) { _, before in before }
        last = states.merging(last.filter { states[$0.key] != nil }) { _, before in before }
    }
}

/// What tells one content of a file from another without reading it. The time of the last change of the file's data can be set back by
/// who writes it; that of its inode can't.
enum FileState: Hashable, Sendable {
    /// Not there, or not to be seen.
    case none
    case file(device: UInt64, inode: UInt64, bytes: Int64, modified: Int64, changed: Int64)
    /// The names in a directory with the states of what they lead to, as a hash.
    case directory(Int)

    /// Entries of a directory that are looked at.
    private static let maxEntries = 10_000

    static func look(at paths: [String]) -> [String: FileState] {
        Dictionary(paths.map { ($0, look(at: $0)) }, uniquingKeysWith: { first, _ in first })
    }

    static func look(at path: String) -> FileState {
        var status = stat()
        guard stat(path, &status) == 0 else { return .none }
        if status.st_mode & S_IFMT == S_IFDIR { return .directory(entries(of: path)) }
        return file(status)
    }

    private static func file(_ status: stat) -> FileState {
        .file(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), bytes: Int64(status.st_size),
            modified: nanoseconds(status.st_mtim), changed: nanoseconds(status.st_ctim))
    }

    private static func nanoseconds(_ time: timespec) -> Int64 { Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec) }

    private static func entries(of path: String) -> Int {
        guard let directory = opendir(path) else { return 0 }
        defer { closedir(directory) }
        // A sum, since a directory is in no order.
        var sum = 0
        for _ in 0..<maxEntries {
            guard let entry = readdir(directory) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            var status = stat()
            let state = fstatat(dirfd(directory), name, &status, 0) == 0 ? file(status) : .none
            var hasher = Hasher()
            hasher.combine(name)
            hasher.combine(state)
            sum &+= hasher.finalize()
        }
        return sum
    }
}
