/// A JSON value (RFC 8259).
package enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    /// A number without fraction and exponent that fits.
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// `nil` for what isn't an object, or has no such member.
    package subscript(name: String) -> JSON? { if case .object(let members) = self { members[name] } else { nil } }

    package var string: String? { if case .string(let text) = self { text } else { nil } }
}

/// Why a text is no JSON that we take.
package enum JSONFault: Error, Hashable, Sendable {
    /// Not JSON, or not in UTF-8.
    case malformed
    /// Two readers of such a text might see two different things.
    case duplicateName
    /// Nested or numerous beyond the limits.
    case tooLarge
}

/// A strict reader: UTF-8 without a byte order mark, no name twice in an object, bounded depth and number of values.
///
/// `Encodings.JSONReader` is for payloads, which may be deeper and in which the last of two equal names counts. Written here because Foundation, which has the other one, is larger than the rest of the broker, accepts duplicate
/// names, and a token must have one reading (RFC 8725 section 2.4).
package struct JSONReader {
    package static let maxDepth = 16
    package static let maxValues = 100_000

    private var rest: ArraySlice<UInt8>
    private var depth = 0
    private var values = 0

    package static func read(_ text: some Collection<UInt8>) throws(JSONFault) -> JSON {
        var reader = JSONReader(rest: ArraySlice(text))
        reader.skipBlanks()
        let value = try reader.value()
        reader.skipBlanks()
        guard reader.rest.isEmpty else { throw .malformed }
        return value
    }

    private init(rest: ArraySlice<UInt8>) { self.rest = rest }

    private mutating func value() throws(JSONFault) -> JSON {
        values += 1
        guard values <= Self.maxValues else { throw .tooLarge }
        switch rest.first {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object() throws(JSONFault) -> JSON {
        var members: [String: JSON] = [:]
        try enter()
        if take(UInt8(ascii: "}")) { return leave(.object(members)) }
        repeat {
            skipBlanks()
            let name = try string()
            skipBlanks()
            guard take(UInt8(ascii: ":")) else { throw .malformed }
            skipBlanks()
            guard members.updateValue(try value(), forKey: name) == nil else { throw .duplicateName }
            skipBlanks()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw .malformed }
        return leave(.object(members))
    }

    private mutating func array() throws(JSONFault) -> JSON {
        var elements: [JSON] = []
        try enter()
        if take(UInt8(ascii: "]")) { return leave(.array(elements)) }
        repeat {
            skipBlanks()
            elements.append(try value())
            skipBlanks()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw .malformed }
        return leave(.array(elements))
    }

    /// Steps behind the opening bracket and the blanks after it.
    private mutating func enter() throws(JSONFault) {
        depth += 1
        guard depth <= Self.maxDepth else { throw .tooLarge }
        rest.removeFirst()
        skipBlanks()
    }

    private mutating func leave(_ value: JSON) -> JSON {
        depth -= 1
        return value
    }

    private mutating func string() throws(JSONFault) -> String {
        guard take(UInt8(ascii: "\"")) else { throw .malformed }
        // Up to the first escape nothing has to be copied byte by byte, and most strings have none.
        let plain = rest.prefix { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") && $0 >= 0x20 }
        rest = rest[plain.endIndex...]
        if take(UInt8(ascii: "\"")) { return try text(plain) }
        var bytes = Array(plain)
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return try text(bytes)
            case UInt8(ascii: "\\"): bytes += try escape().utf8
            case 0..<0x20: throw .malformed
            default: bytes.append(byte)
            }
        }
        throw .malformed
    }

    private func text(_ bytes: some Collection<UInt8>) throws(JSONFault) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .malformed }
        return text
    }

    private mutating func escape() throws(JSONFault) -> String {
        switch rest.popFirst() {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var units = [try codeUnit()]
            if UTF16.isLeadSurrogate(units[0]) {
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw .malformed }
                units.append(try codeUnit())
            }
            // Refuses a surrogate without its other half.
            guard let text = String(validating: units, as: UTF16.self) else { throw .malformed }
            return text
        default: throw .malformed
        }
    }

    private mutating func codeUnit() throws(JSONFault) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = rest.popFirst(), let value = Character(Unicode.Scalar(digit)).hexDigitValue, digit < 0x80 else {
                throw .malformed
            }
            unit = unit << 4 | UInt16(value)
        }
        return unit
    }

    private mutating func number() throws(JSONFault) -> JSON {
        let all = rest
        let isNegative = take(UInt8(ascii: "-"))
        let whole = digits()
        guard !whole.isEmpty, whole.count == 1 || whole.first != UInt8(ascii: "0") else { throw .malformed }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            guard !digits().isEmpty else { throw .malformed }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard !digits().isEmpty else { throw .malformed }
        }
        let text = String(decoding: all[..<rest.startIndex], as: UTF8.self)
        guard text.utf8.count <= 64 else { throw .tooLarge }
        // -0 is a number and not the integer 0, in case anybody tells them apart.
        if isInteger, !(isNegative && text == "-0"), let integer = Int64(text) { return .integer(integer) }
        guard let number = Double(text), number.isFinite else { throw .tooLarge }
        return .number(number)
    }

    private mutating func digits() -> ArraySlice<UInt8> {
        let digits = rest.prefix { (0x30...0x39).contains($0) }
        rest = rest[digits.endIndex...]
        return digits
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(JSONFault) -> JSON {
        let count = word.utf8CodeUnitCount
        let matches = rest.prefix(count).elementsEqual(UnsafeBufferPointer(start: word.utf8Start, count: count))
        guard matches else { throw .malformed }
        rest.removeFirst(count)
        return value
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard rest.first == byte else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func skipBlanks() {
        while let byte = rest.first, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { rest.removeFirst() }
    }
}
