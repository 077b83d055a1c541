import Glibc

/// A file read with distrust: it may be a directory, a pipe that never ends, a picture, or huge.
///
/// What comes out is text that a parser may see: UTF-8, without NUL, without a byte order mark. Used for the configuration
/// and for files that hold a secret.
struct ConfigurationText {
    /// Configurations of a thousand routes have some 200 KiB.
    static let maxConfigurationBytes = 4 * 1024 * 1024
    static let maxSecretBytes = 64 * 1024

    let string: String

    /// - Throws: A diagnostic that names the file and what it is instead.
    init(file: String, maxBytes: Int) throws(ConfigurationDiagnostic) {
        func refusal(_ message: String) -> ConfigurationDiagnostic {
            ConfigurationDiagnostic(location: .file(file), message: message)
        }
        // Non-blocking: opening a FIFO that nobody writes to would wait for ever.
        let descriptor = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw refusal("can't be opened: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw refusal("can't be examined: \(String(cString: strerror(errno)))") }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw refusal("is a directory, not a file")
        case S_IFIFO: throw refusal("is a named pipe (FIFO), not a regular file")
        default: throw refusal("is not a regular file")
        }
        // One byte more than allowed: the file may have grown since fstat.
        var bytes = [UInt8](repeating: 0, count: min(Int(status.st_size), maxBytes) + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress.map { $0 + count }, $0.count - count) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw refusal("can't be read: \(String(cString: strerror(errno)))") }
            if got == 0 { break }
            count += got
            if count == bytes.count, count <= maxBytes {
                bytes.append(contentsOf: repeatElement(0, count: min(4096, maxBytes + 1 - count)))
            }
        }
        guard count <= maxBytes else { throw refusal("is larger than \(Quantity.bytes(maxBytes)), which no configuration needs") }
        try self.init(bytes: bytes[..<count], file: file)
    }

    /// - Throws: A diagnostic with the line of the first byte that is not text.
    init(bytes: ArraySlice<UInt8>, file: String) throws(ConfigurationDiagnostic) {
        var text = bytes
        if text.starts(with: [0xEF, 0xBB, 0xBF]) { text = text.dropFirst(3) }
        if text.starts(with: [0xFF, 0xFE]) || text.starts(with: [0xFE, 0xFF]) {
            throw ConfigurationDiagnostic(location: .file(file), message: "is UTF-16; save it as UTF-8")
        }
        func refusal(at index: Int, _ message: String) -> ConfigurationDiagnostic {
            let before = text[..<index]
            let line = before.reduce(1) { $1 == UInt8(ascii: "\n") ? $0 + 1 : $0 }
            let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? text.startIndex
            return ConfigurationDiagnostic(location: .line(file: file, line: line, column: index - start + 1), message: message)
        }
        if let index = text.firstIndex(of: 0) { throw refusal(at: index, "holds a NUL byte; this is no text file") }
        guard let string = String(validating: text, as: UTF8.self) else {
            var index = text.startIndex
            var decoder = UTF8()
            var iterator = text.makeIterator()
            scan: while true {
                switch decoder.decode(&iterator) {
                case .scalarValue(let scalar): index += UTF8.width(scalar)
                case .emptyInput, .error: break scan
                }
            }
            throw refusal(at: min(index, text.endIndex - 1), "is not valid UTF-8 here; save the file as UTF-8")
        }
        self.string = string
    }
}

extension ConfigurationDiagnostic: Error {}
