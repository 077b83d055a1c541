/// The lines of a file in which each line is one entry and `#` begins a comment.
///
/// A byte order mark at the beginning and carriage returns at line ends are taken for what they are; the last line needs no
/// end. Blank lines and comments are left out.
struct SecurityLines: Sequence, IteratorProtocol {
    struct Line {
        /// Counted from 1.
        let number: Int
        /// Without its end. May hold any byte but line feed.
        let bytes: ArraySlice<UInt8>
    }

    private var rest: ArraySlice<UInt8>
    private var number = 0

    init(_ bytes: [UInt8]) {
        rest = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...]
    }

    mutating func next() -> Line? {
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: "\n"))
            var line = rest[..<(end ?? rest.endIndex)]
            rest = end.map { rest[($0 + 1)...] } ?? []
            number += 1
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            guard !line.trimmed.isEmpty, line.first != UInt8(ascii: "#") else { continue }
            return Line(number: number, bytes: line)
        }
        return nil
    }
}

extension ArraySlice<UInt8> {
    /// Without blanks and tabs at both ends.
    var trimmed: ArraySlice<UInt8> {
        var slice = self
        while let first = slice.first, first == 0x20 || first == 0x09 { slice.removeFirst() }
        while let last = slice.last, last == 0x20 || last == 0x09 { slice.removeLast() }
        return slice
    }
}

/// Text that came from a file or a peer, made fit for one line of a message: printable ASCII, the rest as `\xNN`.
package enum PrintableText {
    /// - Parameter maxBytes: What is longer ends in `...`.
    package static func escaped(_ bytes: some Sequence<UInt8>, maxBytes: Int = 128) -> String {
        var out: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if index == maxBytes {
                out += Array("...".utf8)
                break
            }
            if (0x20..<0x7F).contains(byte), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                out.append(byte)
            } else {
                out += [UInt8(ascii: "\\"), UInt8(ascii: "x"), hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)
}
