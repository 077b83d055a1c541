import Glibc

/// Ticket keys on disk, where they survive a restart and several nodes can share them.
///
///     headwater-ticket-keys 1
///     <created, seconds since 1970> <name, 32 hex digits> <AES-256 key, 64 hex digits> <HMAC-SHA-256 key, 64 hex digits>
///
/// One key a line, at most 64; empty lines and those that begin with `#` are skipped. Mode 0600. Written to a new file that takes the
/// place of the old one, under a lock on `<file>.lock`, so that nodes on one file system don't rotate past each other.
enum TicketKeyFile {
    private static let heading = "headwater-ticket-keys 1"
    private static let maxKeys = 64

    /// `nil`: there is no file yet.
    static func read(_ path: String) throws(TLSConfigurationError) -> [TicketKeys.Key]? {
        var facts = stat()
        if stat(path, &facts) != 0, errno == ENOENT { return nil }
        let (bytes, mode) = try CertificateFile.read(path, maxBytes: 65_536)
        guard mode & 0o077 == 0 else {
            throw TLSConfigurationError(
                file: path, "others than its owner may read or change the ticket keys",
                remedy: "chmod 600 it, and remove it if it has leaked")
        }
        return try parse(bytes, file: path)
    }

    static func parse(_ bytes: [UInt8], file: String) throws(TLSConfigurationError) -> [TicketKeys.Key] {
        var keys: [TicketKeys.Key] = []
        var hasHeading = false
        for (index, line) in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
            let text = String(decoding: line, as: UTF8.self)
            if text.isEmpty || text.hasPrefix("#") { continue }
            if !hasHeading, text == heading {
                hasHeading = true
                continue
            }
            let fields = text.split(separator: " ")
            guard hasHeading, fields.count == 4, let created = Int64(fields[0]), created >= 0, let name = bytesOf(fields[1], count: 16),
                let cipherKey = bytesOf(fields[2], count: 32), let macKey = bytesOf(fields[3], count: 32), keys.count < maxKeys
            else {
                throw TLSConfigurationError(
                    file: "\(file):\(index + 1)", "is not a line of a ticket key file",
                    remedy: "remove the file: a new one is made, and clients do one full handshake more")
            }
            keys.append(TicketKeys.Key(createdSeconds: created, name: name, cipherKey: SecretBytes(cipherKey), macKey: SecretBytes(macKey)))
        }
        guard hasHeading else {
            throw TLSConfigurationError(
                file: file, "does not begin with \"\(heading)\"", remedy: "check the path, or remove the file: a new one is made")
        }
        return keys
    }

    static func write(_ keys: [TicketKeys.Key], to path: String) throws(TLSConfigurationError) {
        var text = "\(heading)\n"
        for key in keys {
            text += "\(key.createdSeconds) \(hexDigits(key.name)) \(key.cipherKey.withBytes { hexDigits($0) })"
            text += " \(key.macKey.withBytes { hexDigits($0) })\n"
        }
        let temporary = "\(path).\(getpid()).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        var rest = ArraySlice(Array(text.utf8))
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            rest = rest.dropFirst(count)
        }
        let isWritten = rest.isEmpty && fsync(descriptor) == 0
        let failed = isWritten ? nil : failure(path)
        close(descriptor)
        guard isWritten, rename(temporary, path) == 0 else {
            let failed = failed ?? failure(path)
            unlink(temporary)
            throw failed
        }
    }

    /// Runs `body` while no other process that shares the file does.
    static func withLock<Result>(
        _ path: String, _ body: () throws(TLSConfigurationError) -> Result
    ) throws(TLSConfigurationError) -> Result {
        let descriptor = open("\(path).lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        // Held for a read and a write of one small file; a file system without locks gets none.
        while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
        return try body()
    }

    private static func failure(_ path: String) -> TLSConfigurationError {
        TLSConfigurationError(
            file: path, "the ticket keys can't be written: \(CertificateFile.reason(errno))",
            remedy: "let the user that the broker runs as write in this directory")
    }

    private static func bytesOf(_ text: Substring, count: Int) -> [UInt8]? {
        guard text.utf8.count == 2 * count else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            let digit: UInt8
            switch character {
            case 48...57: digit = character - 48
            case 97...102: digit = character - 87
            case 65...70: digit = character - 55
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }
}
