/// Reads one JSON document, strictly after RFC 8259.
///
/// A payload comes from anybody, so depth is bounded (the reader and all who walk the tree call themselves), and nothing is
/// taken that another reader could take differently: invalid UTF-8, lone surrogates, control characters in texts. Of
/// members with the same name the last wins. The tree is a few dozen times the text at most.
package struct JSONReader {
    package static let maxDepth = 64

    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// - Parameter bytes: The document, with nothing but whitespace around it.
    /// - Throws: `JSONFault`, with the offset in bytes.
    package static func read(_ bytes: UnsafeRawBufferPointer) throws(JSONFault) -> JSONValue {
        var reader = JSONReader(bytes)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.at == bytes.count else { throw reader.fault("there is more after the document's end") }
        return value
    }

    package static func read(_ text: String) throws(JSONFault) -> JSONValue {
        var text = text
        let result = text.withUTF8 { utf8 in
            Result { () throws(JSONFault) in try read(UnsafeRawBufferPointer(utf8)) }
        }
        return try result.get()
    }

    private func fault(_ reason: String) -> JSONFault { JSONFault(offset: at, reason: reason) }
    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    private mutating func take(_ byte: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: byte) else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .text(ExactText(try text()))
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case let byte? where byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte):
            return .number(try number())
        case nil: throw fault("it ends where a value is expected")
        default: throw fault("no value begins like this")
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONFault) -> JSONValue {
        let length = word.utf8CodeUnitCount
        let matches = at + length <= bytes.count && (0..<length).allSatisfy { bytes[at + $0] == word.utf8Start[$0] }
        guard matches else { throw fault("expected \(word)") }
        at += length
        return value
    }

    private mutating func array(depth: Int) throws(JSONFault) -> JSONValue {
        guard depth <= Self.maxDepth else { throw fault("nested deeper than \(Self.maxDepth)") }
        at += 1
        var items: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(items) }
        while true {
            items.append(try value(depth: depth))
            skipSpace()
            if take("]") { return .array(items) }
            guard take(",") else { throw fault("expected , or ] in an array") }
        }
    }

    private mutating func object(depth: Int) throws(JSONFault) -> JSONValue {
        guard depth <= Self.maxDepth else { throw fault("nested deeper than \(Self.maxDepth)") }
        at += 1
        var object = JSONObject()
        skipSpace()
        if take("}") { return .object(object) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw fault("expected a member's name") }
            let name = try text()
            skipSpace()
            guard take(":") else { throw fault("expected : after a member's name") }
            object.set(ExactText(name), try value(depth: depth))
            skipSpace()
            if take("}") { return .object(object) }
            guard take(",") else { throw fault("expected , or } in an object") }
        }
    }

    private mutating func digits() throws(JSONFault) {
        let start = at
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
        guard at > start else { throw fault("expected a digit") }
    }

    private mutating func number() throws(JSONFault) -> JSONNumber {
        let start = at
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
        // Nobody writes more, and converting costs more than the digits do.
        guard at - start <= 1_100 else { throw fault("a number of more than 1100 characters") }
        return JSONNumber(text: String(decoding: bytes[start..<at], as: UTF8.self))
    }

    private mutating func text() throws(JSONFault) -> String {
        at += 1
        let start = at
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { at += 1 }
        if next == UInt8(ascii: "\"") {
            let text = try utf8(bytes[start..<at])
            at += 1
            return text
        }
        var unescaped = [UInt8](bytes[start..<at])
        while true {
            guard let byte = next else { throw fault("a text without its end") }
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: unescaped, as: UTF8.self) else { throw fault("a text that is not UTF-8") }
                return text
            case UInt8(ascii: "\\"): try escape(into: &unescaped)
            case 0..<0x20: throw fault("a control character in a text")
            default: unescaped.append(byte)
            }
        }
    }

    private func utf8(_ slice: Slice<UnsafeRawBufferPointer>) throws(JSONFault) -> String {
        guard let text = String(validating: UnsafeRawBufferPointer(rebasing: slice), as: UTF8.self) else {
            throw fault("a text that is not UTF-8")
        }
        return text
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONFault) {
        guard let byte = next else { throw fault("a text without its end") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hex()
            if (0xD800..<0xDC00).contains(code), take("\\"), take("u") {
                let low = try hex()
                guard (0xDC00..<0xE000).contains(low) else { throw fault("half a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("half a surrogate pair") }
            text.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
        default: throw fault("an escape that JSON doesn't have")
        }
    }

    private mutating func hex() throws(JSONFault) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw fault("\\u without four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            at += 1
        }
        return code
    }
}

/// Why bytes are no JSON, and where.
package struct JSONFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// In bytes, from 0.
    package let offset: Int
    package let reason: String
    package var description: String { "no JSON at byte \(offset): \(reason)" }
}
