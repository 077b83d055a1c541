import Glibc

/// The broker's own directory, held by one process at a time.
///
/// The lock is the kernel's and goes with the process, however it ends; a lock file that is left over means nothing.
struct StoreDirectory: ~Copyable {
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    let path: String
    private let lock: Int32

    /// Makes the directory, if need be, for this user alone, and locks it.
    /// - Throws: `Fault`, which says what to do.
    init(path: String) throws(Fault) {
        func fault(_ message: String) -> Fault { Fault(description: "store.directory \(path): \(message)") }
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw fault("can't be made: \(String(cString: strerror(errno)))") }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { throw fault("is not a directory") }
        let lock = open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw fault("no lock file can be made in it: \(String(cString: strerror(errno)))") }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let reason =
                errno == EWOULDBLOCK
                ? "another broker\(Self.owner(lock)) uses it; give each a directory of its own" : String(cString: strerror(errno))
            close(lock)
            throw fault(reason)
        }
        let identity = Array("\(getpid())\n".utf8)
        ftruncate(lock, 0)
        _ = StandardStreams.write(identity, to: lock)
        self.path = path
        self.lock = lock
    }

    deinit { close(lock) }

    /// Writes what listens where, one line each, for programs that start a broker on ports that the system chooses.
    func write(addresses: [String]) throws(Fault) {
        let name = path + "/addresses"
        if let reason = WholeFile.write(addresses.map { $0 + "\n" }.joined(), to: name, mode: 0o600) {
            throw Fault(description: "\(name): \(reason)")
        }
    }

    private static func owner(_ lock: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = read(lock, &bytes, bytes.count)
        let digits = bytes.prefix(max(0, count)).prefix { (48...57).contains($0) }
        return digits.isEmpty ? "" : " (process \(String(decoding: digits, as: UTF8.self)))"
    }
}
