#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A text file of the operator's, read whole.
enum FileText {
    struct Fault: Error {
        let reason: String
    }

    private static let maxBytes = 4 << 20

    /// - Throws: `Fault` with the system's reason, also for more than 4 MiB.
    static func read(_ path: String) throws(Fault) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Fault(reason: String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 { throw Fault(reason: String(cString: strerror(errno))) }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[0..<count]
            if bytes.count > maxBytes { throw Fault(reason: "more than 4 MiB") }
        }
    }
}
