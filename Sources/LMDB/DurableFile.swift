import Glibc

/// Small files that are there as a whole or not at all, also after a power cut.
enum DurableFile {
    /// nil if there is none.
    static func read(_ path: String) throws(LMDBError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw LMDBError(errno, "open \(path)")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw LMDBError(errno, "read \(path)")
            }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            // Nothing of ours is so large; whatever this is, its reader will say that it isn't what it wanted.
            if bytes.count > 1 << 20 { return bytes }
        }
    }

    /// The new content lies in a file beside it, on the disk, before it takes the name.
    static func replace(_ path: String, with bytes: [UInt8]) throws(LMDBError) {
        let fresh = path + ".new"
        let descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw LMDBError(errno, "create \(fresh)") }
        do throws(LMDBError) {
            defer { close(descriptor) }
            try write(bytes, to: descriptor, "write \(fresh)")
            guard fdatasync(descriptor) == 0 else { throw LMDBError(errno, "sync \(fresh)") }
        } catch {
            unlink(fresh)
            throw error
        }
        guard rename(fresh, path) == 0 else { throw LMDBError(errno, "rename \(fresh)") }
        try syncDirectory(of: path)
    }

    /// From the file's beginning.
    static func write(_ bytes: [UInt8], to descriptor: CInt, _ operation: @autoclosure () -> String) throws(LMDBError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress! + done, $0.count - done, off_t(done)) }
            if count < 0 {
                if errno == EINTR { continue }
                throw LMDBError(errno, operation())
            }
            done += count
        }
    }

    private static func syncDirectory(of path: String) throws(LMDBError) {
        var directory = "."
        if let slash = path.lastIndex(of: "/") { directory = slash == path.startIndex ? "/" : String(path[..<slash]) }
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw LMDBError(errno, "open \(directory)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw LMDBError(errno, "sync \(directory)") }
    }
}
