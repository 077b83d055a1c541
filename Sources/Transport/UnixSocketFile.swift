#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The file of a listening Unix socket. A crash leaves one behind that nobody listens on; it may be replaced. One that a
/// running process listens on may not, or a second broker would silently take the first one's clients.
package struct UnixSocketFile: Sendable {
    private let path: String
    private let device: UInt64
    private let inode: UInt64

    /// Why a path can't be listened on. The text says what to do.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// Makes way for a new socket: removes a file that is left over.
    package static func prepare(_ path: String) throws(Fault) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }  // bind() says what is wrong, if anything is
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw Fault(description: "\(path) is there and is no socket; name another path") }
        switch answer(at: path) {
        case ECONNREFUSED: unlink(path)
        case 0, EAGAIN: throw Fault(description: "another process listens on \(path); stop it or name another path")
        case let error: throw Fault(description: "whether \(path) is in use can't be told: \(String(cString: strerror(error)))")
        }
    }

    /// Remembers the socket that was just bound to `path`, `nil` if it is gone already.
    package init?(bound path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
        self.path = path
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }

    /// Removes the file, unless another has taken its place.
    package func remove() {
        guard let now = UnixSocketFile(bound: path), now.device == device, now.inode == inode else { return }
        unlink(path)
    }

    /// The error of a connection attempt that does not wait, 0 for none.
    private static func answer(at path: String) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return ENAMETOOLONG }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result == 0 ? 0 : errno
    }
}
