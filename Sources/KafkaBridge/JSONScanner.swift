import MQTTModel

/// Reads a JSON text (RFC 8259) in place and keeps what stands at the nodes of a `PayloadTree`.
///
/// One pass and no tree of values: memory is taken for the values that are asked for alone, and they are parts of the
/// payload. The bytes are a publisher's and may be anything. Strict, because a text that one reader takes for JSON and
/// the next does not is how checks are got around: no comments, no trailing commas, no BOM, no invalid UTF-8.
///
/// Where an object has a name twice the last one counts, as with most readers, so that a consumer sees what the bridge saw.
struct JSONScanner {
    /// Containers within containers. Recursion goes as deep, so it is the bound of the stack.
    static let deepest = 64

    /// By node of the tree. Strings are unescaped, numbers as they were written.
    private(set) var values: [[UInt8]?]
    private let bytes: UnsafeRawBufferPointer
    private let tree: PayloadTree
    private var index = 0

    init(_ bytes: UnsafeRawBufferPointer, tree: PayloadTree) {
        self.bytes = bytes
        self.tree = tree
        values = Array(repeating: nil, count: tree.nodes.count)
    }

    /// Whether the bytes are one JSON text. Called once.
    mutating func scan() -> Bool {
        skipSpace()
        guard value(at: 0, depth: 0) else { return false }
        skipSpace()
        return index == bytes.count
    }

    /// - Parameter node: `nil`: nobody asks for this value or what is in it.
    private mutating func value(at node: Int?, depth: Int) -> Bool {
        guard index < bytes.count else { return false }
        switch bytes[index] {
        case UInt8(ascii: "{"): return depth < Self.deepest && object(at: node, depth: depth + 1)
        case UInt8(ascii: "["): return depth < Self.deepest && array(at: node, depth: depth + 1)
        case UInt8(ascii: "\""):
            guard let string = string() else { return false }
            if let node { values[node] = unescaped(string) }
            return true
        case UInt8(ascii: "t"): return word("true", at: node)
        case UInt8(ascii: "f"): return word("false", at: node)
        case UInt8(ascii: "n"): return word("null", at: nil)
        default:
            let start = index
            guard number() else { return false }
            if let node { values[node] = Array(bytes[start..<index]) }
            return true
        }
    }

    private mutating func object(at node: Int?, depth: Int) -> Bool {
        index += 1
        skipSpace()
        if take(UInt8(ascii: "}")) { return true }
        while true {
            guard let name = string() else { return false }
            let child = node.flatMap { self.child(of: $0, named: name) }
            if let child { forget(child) }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { return false }
            skipSpace()
            guard value(at: child, depth: depth) else { return false }
            skipSpace()
            if take(UInt8(ascii: "}")) { return true }
            guard take(UInt8(ascii: ",")) else { return false }
            skipSpace()
        }
    }

    private mutating func array(at node: Int?, depth: Int) -> Bool {
        index += 1
        skipSpace()
        if take(UInt8(ascii: "]")) { return true }
        var number = 0
        while true {
            let child = node.flatMap { tree.nodes[$0].indexes.first { $0.index == number }?.child }
            guard value(at: child, depth: depth) else { return false }
            number += 1
            skipSpace()
            if take(UInt8(ascii: "]")) { return true }
            guard take(UInt8(ascii: ",")) else { return false }
            skipSpace()
        }
    }

    private func child(of node: Int, named string: Span) -> Int? {
        let names = tree.nodes[node].names
        if names.isEmpty { return nil }
        if string.hasEscapes {
            guard let name = unescaped(string) else { return nil }
            return names.first { $0.name == name }?.child
        }
        return names.first { $0.name.elementsEqual(bytes[string.range]) }?.child
    }

    /// A name has come again: what it said before, and all that was in it, counts no more.
    private mutating func forget(_ node: Int) {
        values[node] = nil
        for child in tree.nodes[node].names { forget(child.child) }
        for child in tree.nodes[node].indexes { forget(child.child) }
    }

    // MARK: - Tokens

    /// The inside of a string that has been checked.
    private struct Span {
        let range: Range<Int>
        let hasEscapes: Bool
    }

    private mutating func string() -> Span? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = index
        var hasEscapes = false
        var isASCII = true
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                let range = start..<index
                index += 1
                // MQTT's rule differs from JSON's in U+0000 only, which JSON does not allow in a string either.
                guard isASCII || MQTTString.isValid(UnsafeRawBufferPointer(rebasing: bytes[range])) else { return nil }
                return Span(range: range, hasEscapes: hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                index += 1
                guard escape() else { return nil }
            case 0..<0x20: return nil
            default:
                if byte >= 0x80 { isASCII = false }
                index += 1
            }
        }
        return nil
    }

    private mutating func escape() -> Bool {
        guard index < bytes.count else { return false }
        let byte = bytes[index]
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            return true
        case UInt8(ascii: "u"):
            guard index + 4 <= bytes.count, bytes[index..<(index + 4)].allSatisfy({ Self.hex($0) != nil }) else { return false }
            index += 4
            return true
        default: return false
        }
    }

    private mutating func number() -> Bool {
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")), digits() == 0 { return false }
        if take(UInt8(ascii: ".")), digits() == 0 { return false }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            if digits() == 0 { return false }
        }
        return true
    }

    private mutating func digits() -> Int {
        let start = index
        while index < bytes.count, case UInt8(ascii: "0")...UInt8(ascii: "9") = bytes[index] { index += 1 }
        return index - start
    }

    private mutating func word(_ word: StaticString, at node: Int?) -> Bool {
        let wanted = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard bytes[index...].starts(with: wanted) else { return false }
        index += wanted.count
        if let node { values[node] = Array(wanted) }
        return true
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func skipSpace() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x0A, 0x0D, 0x09: index += 1
            default: return
            }
        }
    }

    // MARK: - Escapes

    /// The string's text; `nil` where it has half a surrogate pair, which is no text in UTF-8 (RFC 8259 section 8.2).
    private func unescaped(_ string: Span) -> [UInt8]? {
        guard string.hasEscapes else { return Array(bytes[string.range]) }
        var out: [UInt8] = []
        var place = string.range.lowerBound
        while place < string.range.upperBound {
            guard bytes[place] == UInt8(ascii: "\\") else {
                out.append(bytes[place])
                place += 1
                continue
            }
            let escaped = bytes[place + 1]
            place += 2
            switch escaped {
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"):
                guard let scalar = scalar(at: &place, before: string.range.upperBound) else { return nil }
                out += String(Character(scalar)).utf8
            default: out.append(escaped)
            }
        }
        return out
    }

    /// The character whose four digits, or twice four, begin at `place`.
    private func scalar(at place: inout Int, before end: Int) -> Unicode.Scalar? {
        let first = unit(at: place)
        place += 4
        guard (0xD800...0xDBFF).contains(first) else { return Unicode.Scalar(first) }
        guard place + 6 <= end, bytes[place] == UInt8(ascii: "\\"), bytes[place + 1] == UInt8(ascii: "u") else { return nil }
        let second = unit(at: place + 2)
        guard (0xDC00...0xDFFF).contains(second) else { return nil }
        place += 6
        return Unicode.Scalar(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    }

    private func unit(at place: Int) -> UInt32 {
        bytes[place..<(place + 4)].reduce(0) { $0 << 4 | UInt32(Self.hex($1) ?? 0) }
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
