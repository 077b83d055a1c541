/// Bytes written as in the specification, hexadecimal, with quoted ASCII in between: `00 04 'MQTT' 05`.
func wire(_ text: String) -> [UInt8] {
    var out: [UInt8] = []
    for (index, part) in text.split(separator: "'", omittingEmptySubsequences: false).enumerated() {
        if index % 2 == 1 {
            out += part.utf8
        } else {
            out += part.split(whereSeparator: \.isWhitespace).map { UInt8($0, radix: 16)! }  // a typing error in a test
        }
    }
    return out
}

/// A packet of `body` with its fixed header.
func framed(_ firstByte: UInt8, _ body: [UInt8]) -> [UInt8] {
    var length: [UInt8] = []
    var rest = body.count
    repeat {
        length.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
        rest >>= 7
    } while rest > 0
    return [firstByte] + length + body
}

/// A string or binary field.
func field(_ content: [UInt8]) -> [UInt8] { [UInt8(content.count >> 8), UInt8(content.count & 0xFF)] + content }
func field(_ text: String) -> [UInt8] { field(Array(text.utf8)) }
