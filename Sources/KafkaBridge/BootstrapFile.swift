#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The file that tells other programs where the embedded cluster listens. Appears whole or not at all.
struct BootstrapFile {
    let path: String

    /// - Throws: `BootstrapFileError` with the system's reason.
    func write(_ bootstrapServers: String) throws(BootstrapFileError) {
        let unfinished = path + ".new"
        let descriptor = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else { throw failure() }
        let bytes = Array((bootstrapServers + "\n").utf8)
        let written = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        let closed = close(descriptor)
        guard written == bytes.count, closed == 0, rename(unfinished, path) == 0 else {
            let failure = failure()
            unlink(unfinished)
            throw failure
        }
    }

    func remove() { unlink(path) }

    private func failure() -> BootstrapFileError { BootstrapFileError(path: path, reason: String(cString: strerror(errno))) }
}

struct BootstrapFileError: Error {
    let path: String
    let reason: String
}
