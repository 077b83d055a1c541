#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Reads a file of passwords, keys or rules: whole or not at all, bounded, and without ever waiting.
///
/// Symbolic links are followed, since that is how Kubernetes mounts a secret. A directory, a FIFO or a device is refused.
package enum SecurityFile {
    package struct Contents: Sendable {
        package let path: String
        package let bytes: [UInt8]
        /// Permission bits, as in `0o600`.
        package let mode: UInt32
        package let owner: UInt32

        package init(path: String, bytes: [UInt8], mode: UInt32 = 0o600, owner: UInt32 = 0) {
            self.path = path
            self.bytes = bytes
            self.mode = mode
            self.owner = owner
        }

        /// A warning for a file with secrets in it that everybody may read.
        package var exposure: SecurityFault? {
            guard mode & 0o007 != 0 else { return nil }
            let verb = mode & 0o002 != 0 ? "changed" : "read"
            return SecurityFault(
                file: path, what: "every user of this machine may have this file \(verb)",
                mend: "chmod o= it, and make the broker's user its owner or its group")
        }
    }

    /// - Parameter maxBytes: A larger file is refused before it is read.
    /// - Throws: One fault of the file, without a line.
    package static func read(_ path: String, maxBytes: Int) throws(SecurityFault) -> Contents {
        func fault(_ what: String, _ mend: String) -> SecurityFault { SecurityFault(file: path, what: what, mend: mend) }
        guard !path.isEmpty, !path.utf8.contains(0) else { throw fault("the path is empty or has a NUL in it", "name a file") }
        // O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else {
            throw switch errno {
            case ENOENT: fault("there is no such file", "make it, or correct the path")
            case EACCES: fault("the broker may not read it", "let its user read the file and enter the directories above")
            case ELOOP: fault("symbolic links go round in a circle", "let the link point to a file")
            case let code: fault("can't be opened: \(reason(code))", "see that it is a file that the broker's user can read")
            }
        }
        defer { close(descriptor) }
        var before = stat()
        guard fstat(descriptor, &before) == 0 else { throw fault("can't be examined: \(reason(errno))", "see that the disk is well") }
        guard before.st_mode & S_IFMT == S_IFREG else {
            throw fault("is \(kind(before.st_mode)), not a file", "name a regular file, or a link to one")
        }
        guard before.st_size <= maxBytes else {
            throw fault("has \(before.st_size) bytes, more than the \(maxBytes) that are read", "make it smaller, or split it")
        }
        let bytes: [UInt8]
        do {
            bytes = try contents(descriptor, expecting: Int(before.st_size), maxBytes: maxBytes)
        } catch {
            throw error.code == EFBIG
                ? fault("grew beyond \(maxBytes) bytes while it was read", "write a new file beside it and rename that")
                : fault("can't be read: \(reason(error.code))", "see that the disk is well")
        }
        var after = stat()
        guard fstat(descriptor, &after) == 0, after.st_size == bytes.count, before.st_mtim.tv_sec == after.st_mtim.tv_sec,
            before.st_mtim.tv_nsec == after.st_mtim.tv_nsec
        else {
            throw fault("changed while it was read", "write a new file beside it and rename that, so that it is whole at every moment")
        }
        return Contents(path: path, bytes: bytes, mode: UInt32(before.st_mode & 0o7777), owner: before.st_uid)
    }

    private struct Failure: Error { let code: Int32 }

    private static func contents(_ descriptor: Int32, expecting: Int, maxBytes: Int) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(expecting)
        var part = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = part.withUnsafeMutableBytes { systemRead(descriptor, $0) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(code: errno) }
            if count == 0 { return bytes }
            guard bytes.count + count <= maxBytes else { throw Failure(code: EFBIG) }
            bytes += part[..<count]
        }
    }

    /// `read` of the C library, which the function above hides.
    private static func systemRead(_ descriptor: Int32, _ into: UnsafeMutableRawBufferPointer) -> Int {
        #if canImport(Glibc)
        Glibc.read(descriptor, into.baseAddress, into.count)
        #else
        Musl.read(descriptor, into.baseAddress, into.count)
        #endif
    }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

    private static func kind(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFDIR: "a directory"
        case S_IFIFO: "a FIFO"
        case S_IFSOCK: "a socket"
        default: "a device"
        }
    }
}
