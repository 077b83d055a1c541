/// Writes JSON (RFC 8259) on one line: documents, and single texts for those who put documents together themselves.
package enum JSONWriter {
    package static func text(_ value: JSONValue) -> String {
        var bytes: [UInt8] = []
        write(value, into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A text in quotation marks, with what JSON wants escaped.
    package static func quoted(_ string: String) -> String {
        var bytes: [UInt8] = []
        quote(string, into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the same to `out`.
    package static func quote(_ string: String, into out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case 0x0A: out += #"\n"#.utf8
            case 0x0D: out += #"\r"#.utf8
            case 0x09: out += #"\t"#.utf8
            // Also DEL, so that a line never does anything to a terminal.
            case 0..<0x20, 0x7F:
                out += #"\u00"#.utf8
                out += [hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)

    private static func write(_ value: JSONValue, into out: inout [UInt8]) {
        switch value {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .number(let number): out += number.text.utf8
        case .text(let text): quote(text.string, into: &out)
        case .array(let items):
            out.append(UInt8(ascii: "["))
            for (place, item) in items.enumerated() {
                if place > 0 { out.append(UInt8(ascii: ",")) }
                write(item, into: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            for (place, member) in object.members.enumerated() {
                if place > 0 { out.append(UInt8(ascii: ",")) }
                quote(member.name.string, into: &out)
                out.append(UInt8(ascii: ":"))
                write(member.value, into: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }
}

extension JSONValue {
    package static func string(_ string: String) -> JSONValue { .text(ExactText(string)) }
    package static func string(orNull string: String?) -> JSONValue { string.map { .string($0) } ?? .null }
    package static func integer(_ value: some BinaryInteger) -> JSONValue { .number(JSONNumber(text: String(value))) }
    /// null for what JSON can't write.
    package static func real(_ value: Double) -> JSONValue { value.isFinite ? .number(JSONNumber(text: "\(value)")) : .null }
    /// Those that are `nil` are left out.
    package static func members(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        var object = JSONObject()
        for (name, value) in members { if let value { object.set(ExactText(name), value) } }
        return .object(object)
    }
}

extension JSONValue: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral members: (String, JSONValue)...) {
        var object = JSONObject()
        for (name, value) in members { object.set(ExactText(name), value) }
        self = .object(object)
    }
}
