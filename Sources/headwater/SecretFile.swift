import Glibc
import Security

/// A file of secrets that is changed by one program at a time, and is whole at every moment.
enum SecretFile {
    /// Reads the file, lets `body` change its bytes, and puts the outcome in its place: written beside it, synchronised, and
    /// renamed. Owner, group and mode stay; a new file has mode 0600. A symbolic link stays one, and what it points to is
    /// replaced. Other programs that use this function wait meanwhile.
    static func change<Report>(
        _ path: String, mayCreate: Bool, _ body: (inout [UInt8]) throws(PasswdFault) -> Report
    ) throws(PasswdFault) -> Report {
        let target = resolved(path)
        let slash = target.lastIndex(of: "/")
        let directoryPath = slash.map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
        let directory = open(directoryPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw fault(directoryPath, "can't be opened") }
        defer { close(directory) }  // ends the lock as well
        guard flock(directory, LOCK_EX) == 0 else { throw fault(directoryPath, "can't be locked") }

        var old = stat()
        let exists = stat(target, &old) == 0
        guard exists || errno == ENOENT && mayCreate else { throw fault(path, "can't be changed") }
        var bytes: [UInt8] = []
        if exists {
            do throws(SecurityFault) { bytes = try SecurityFile.read(target, maxBytes: PasswordFile.maxFileBytes).bytes } catch {
                throw PasswdFault(error.description)
            }
        }
        let report = try body(&bytes)
        try replace(target, with: bytes, like: exists ? old : nil)
        guard fsync(directory) == 0 else { throw fault(directoryPath, "can't be synchronised") }
        return report
    }

    private static func replace(_ target: String, with bytes: [UInt8], like old: stat?) throws(PasswdFault) {
        let unfinished = "\(target).new-\(getpid())"
        let file = open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw fault(unfinished, "can't be made") }
        var isOpen = true
        do throws(PasswdFault) {
            guard StandardStreams.write(bytes, to: file) else { throw fault(unfinished, "can't be written") }
            if let old {
                // The owner before the mode: a change of owner takes set-id bits away, never adds rights.
                guard old.st_uid == geteuid() && old.st_gid == getegid() || fchown(file, old.st_uid, old.st_gid) == 0 else {
                    throw fault(target, "belongs to somebody else, and would not any more")
                }
                guard fchmod(file, old.st_mode & 0o7777) == 0 else { throw fault(unfinished, "can't be given the mode of the old file") }
            }
            guard fsync(file) == 0 else { throw fault(unfinished, "can't be synchronised") }
            isOpen = false
            guard close(file) == 0 else { throw fault(unfinished, "can't be written") }
            guard rename(unfinished, target) == 0 else { throw fault(target, "can't be replaced") }
        } catch {
            if isOpen { close(file) }
            unlink(unfinished)
            throw error
        }
    }

    /// Where a link points to in the end; the path itself where there is nothing yet.
    private static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    private static func fault(_ path: String, _ what: String) -> PasswdFault {
        PasswdFault("\(path) \(what): \(String(cString: strerror(errno)))")
    }
}
