import Encodings
import Glibc

/// What was fetched, on disk: a broker that starts while the registry is away knows the schemas of yesterday.
///
/// A file appears whole or not at all, readable by its owner alone. Faults are silent: a cache that can't be written is a
/// slower start and nothing else. Nothing is believed that doesn't parse.
struct SchemaFolder: Sendable {
    let path: String

    /// - Returns: `nil` when the directory can't be made.
    init?(_ path: String) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { return nil }
        self.path = path
    }

    /// - Parameters:
    ///   - key: Of `RegistryRequests.escaped` and a prefix; longer ones than file systems take are not kept.
    ///   - maxBytes: Larger files are not read.
    func read(_ key: String, maxBytes: Int) -> JSONValue? {
        let file = open(path + "/" + key + ".json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0, status.st_size <= maxBytes else {
            return nil
        }
        let size = Int(status.st_size)
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let part = Glibc.read(file, buffer.baseAddress! + count, size - count)
                if part <= 0 { break }
                count += part
            }
        }
        return bytes.withUnsafeBytes { try? JSONReader.read($0) }
    }

    func write(_ key: String, _ document: JSONValue) {
        guard key.utf8.count <= 200 else { return }
        let temporary = path + "/.\(key).\(UInt32.random(in: 0 ... .max))"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return }
        let bytes = Array(JSONWriter.text(document).utf8)
        var written = 0
        bytes.withUnsafeBytes { buffer in
            while written < buffer.count {
                let part = Glibc.write(file, buffer.baseAddress! + written, buffer.count - written)
                if part <= 0 { break }
                written += part
            }
        }
        let isWhole = written == bytes.count && fsync(file) == 0
        close(file)
        if !isWhole || rename(temporary, path + "/" + key + ".json") != 0 { unlink(temporary) }
    }
}
