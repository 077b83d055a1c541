/// One line of an ACL file, cut as Mosquitto cuts it: words end at blanks (not at tabs), white space is stripped from the end
/// of the line and from both ends of its last part.
struct ACLLine {
    /// Of the file.
    let bytes: [UInt8]
    private var rest: Range<Int>

    /// - Parameter range: Where the line is, without its line feed.
    init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        rest = range
        while let last = rest.last, Self.isSpace(bytes[last]) { rest = rest.lowerBound..<last }
    }

    /// Nothing stands here, or only a comment: its # is the very first character.
    var isBlankOrComment: Bool { rest.isEmpty || bytes[rest.lowerBound] == UInt8(ascii: "#") }

    /// The next word, `nil` at the end of the line.
    mutating func word() -> ArraySlice<UInt8>? {
        var start = rest.lowerBound
        while start < rest.upperBound, bytes[start] == 0x20 { start += 1 }
        guard start < rest.upperBound else {
            rest = rest.upperBound..<rest.upperBound
            return nil
        }
        var end = start
        while end < rest.upperBound, bytes[end] != 0x20 { end += 1 }
        // One blank belongs to the word; more of them to what follows.
        rest = min(end + 1, rest.upperBound)..<rest.upperBound
        return bytes[start..<end]
    }

    /// What is left, blanks within it included. `nil` at the end of the line.
    mutating func remainder() -> ArraySlice<UInt8>? {
        var start = rest.lowerBound
        while start < rest.upperBound, Self.isSpace(bytes[start]) { start += 1 }
        let part = bytes[start..<rest.upperBound]
        rest = rest.upperBound..<rest.upperBound
        return part.isEmpty ? nil : part
    }

    /// A text in double quotes that begins here, at once after `skipping` bytes of the line's next word. A backslash takes the
    /// character after it as it is. `nil`: there is no such text.
    mutating func quotedText(skipping: Int) -> [UInt8]? {
        var index = rest.lowerBound
        while index < rest.upperBound, bytes[index] == 0x20 { index += 1 }
        index += skipping
        guard index < rest.upperBound, bytes[index] == UInt8(ascii: "\"") else { return nil }
        var text: [UInt8] = []
        index += 1
        while index < rest.upperBound, bytes[index] != UInt8(ascii: "\"") {
            if bytes[index] == UInt8(ascii: "\\"), index + 1 < rest.upperBound { index += 1 }
            text.append(bytes[index])
            index += 1
        }
        guard index < rest.upperBound else { return nil }
        let next = index + 1
        guard next == rest.upperBound || bytes[next] == 0x20 else { return nil }
        rest = min(next + 1, rest.upperBound)..<rest.upperBound
        return text
    }

    /// C's isspace.
    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}

extension ArraySlice<UInt8> {
    func holds(_ word: StaticString) -> Bool {
        word.withUTF8Buffer { elementsEqual($0) }
    }
}
