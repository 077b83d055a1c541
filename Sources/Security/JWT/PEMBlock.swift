import Encodings

/// One `-----BEGIN …-----` block of a PEM file (RFC 7468). What stands between blocks is passed over.
struct PEMBlock {
    let label: String
    /// Line of its beginning, counted from 1.
    let line: Int
    /// `nil` where the end is missing or the text isn't Base64.
    let der: [UInt8]?

    static func blocks(of bytes: [UInt8]) -> [PEMBlock] {
        var blocks: [PEMBlock] = []
        var open: (label: String, line: Int)?
        var body: [UInt8] = []
        var number = 0
        for var line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            line = line.drop { $0 == 0x20 || $0 == 0x09 }
            while let last = line.last, last == 0x20 || last == 0x09 || last == 0x0D { line.removeLast() }
            if let label = label(of: line, "-----BEGIN ") {
                if let open { blocks.append(PEMBlock(label: open.label, line: open.line, der: nil)) }
                open = (label, number)
                body = []
            } else if let end = label(of: line, "-----END "), let begin = open {
                blocks.append(
                    PEMBlock(label: begin.label, line: begin.line, der: end == begin.label ? Base64.decode(body, .standard) : nil))
                open = nil
            } else if open != nil {
                body += line
            }
        }
        if let open { blocks.append(PEMBlock(label: open.label, line: open.line, der: nil)) }
        return blocks
    }

    private static func label(of line: ArraySlice<UInt8>, _ mark: String) -> String? {
        let dashes = "-----".utf8
        guard line.starts(with: mark.utf8), line.count >= mark.utf8.count + dashes.count, line.suffix(dashes.count).elementsEqual(dashes)
        else {
            return nil
        }
        return String(decoding: line.dropFirst(mark.utf8.count).dropLast(dashes.count), as: UTF8.self)
    }
}
