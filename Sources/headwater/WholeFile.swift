import Glibc

/// A small file that appears whole or not at all, for whoever waits for it.
enum WholeFile {
    /// - Returns: What went wrong, `nil` for nothing.
    static func write(_ text: String, to path: String, mode: mode_t) -> String? {
        let unfinished = path + ".new"
        let descriptor = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        let isWritten = StandardStreams.write(Array(text.utf8), to: descriptor)
        guard isWritten, close(descriptor) == 0, rename(unfinished, path) == 0 else {
            let reason = String(cString: strerror(errno))
            unlink(unfinished)
            return reason
        }
        return nil
    }
}
