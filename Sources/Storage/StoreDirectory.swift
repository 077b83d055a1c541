#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The broker's own directory, held by one process at a time.
///
/// The lock is the kernel's and goes with the process, however it ends; a lock file that is left over means nothing.
package struct StoreDirectory: ~Copyable {
    package struct Fault: Error, CustomStringConvertible {
        package let description: String
        /// Another process has the directory.
        package var isInUse = false
    }

    package let path: String
    private let lock: Int32

    /// Makes the directory, if need be, for this user alone, and locks it.
    /// - Parameter patience: How long to wait for another process: `headwater db` looks at a store for moments.
    /// - Throws: `Fault`, which says what to do.
    package init(path: String, patience: Duration = .seconds(1)) throws(Fault) {
        func fault(_ message: String) -> Fault { Fault(description: "store.directory \(path): \(message)") }
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw fault("can't be made: \(String(cString: strerror(errno)))") }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { throw fault("is not a directory") }
        let lock = open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw fault("no lock file can be made in it: \(String(cString: strerror(errno)))") }
        let deadline = ContinuousClock.now + patience
        while flock(lock, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EINTR { continue }
            if code == EWOULDBLOCK, ContinuousClock.now < deadline {
                usleep(20_000)
                continue
            }
            let reason =
                code == EWOULDBLOCK
                ? "another broker\(Self.owner(lock)) uses it, or `headwater db` works on it; give each broker a directory of its own"
                : String(cString: strerror(code))
            close(lock)
            var fault = fault(reason)
            fault.isInUse = code == EWOULDBLOCK
            throw fault
        }
        let identity = Array("\(getpid())\n".utf8)
        ftruncate(lock, 0)
        _ = write(lock, identity, identity.count)  // for the text of a fault alone
        self.path = path
        self.lock = lock
    }

    deinit { close(lock) }

    /// Who has the directory now: "process 7" or "another process". `nil`: nobody.
    package static func user(of path: String) -> String? {
        let lock = open(path + "/lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard lock >= 0 else { return nil }
        defer { close(lock) }
        guard flock(lock, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return nil }
        let owner = owner(lock)
        return owner.isEmpty ? "another process" : String(owner.dropFirst(2).dropLast())
    }

    private static func owner(_ lock: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = read(lock, &bytes, bytes.count)
        let digits = bytes.prefix(max(0, count)).prefix { (48...57).contains($0) }
        return digits.isEmpty ? "" : " (process \(String(decoding: digits, as: UTF8.self)))"
    }
}

/// A directory's lock for owners that are classes.
final class HeldDirectory: Sendable {
    let directory: StoreDirectory
    init(_ directory: consuming StoreDirectory) { self.directory = directory }
}
