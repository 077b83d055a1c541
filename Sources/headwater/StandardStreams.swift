import Glibc

/// Bytes and lines to stdout and stderr, each in one write so that lines of several threads don't mix.
enum StandardStreams {
    static func print(_ line: String) { _ = write(Array((line + "\n").utf8), to: STDOUT_FILENO) }

    static func complain(_ line: String) { _ = write(Array("headwater: \(line)\n".utf8), to: STDERR_FILENO) }

    /// What a client has chosen, such as its identifier: control characters in it are not for the operator's terminal.
    static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? "?" : $0 }))
    }

    /// - Returns: `false` when the reader has gone.
    static func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = UnsafeRawBufferPointer(rebasing: rest)
                let written = Glibc.write(descriptor, part.baseAddress, part.count)
                if written < 0, errno == EINTR || errno == EAGAIN { continue }
                guard written > 0 else { return false }
                rest = rest.dropFirst(written)
            }
            return true
        }
    }
}
