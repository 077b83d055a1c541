/// A JSON value on its way out, for what the bridge tells an operator's tools. Members keep their order.
enum JSONNode: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case real(Double)
    case text(String)
    case array([JSONNode])
    case object([Member])

    struct Member: Sendable, Equatable {
        let name: String
        let value: JSONNode
    }

    static func number(_ value: some BinaryInteger) -> JSONNode { .integer(Int64(clamping: value)) }
    static func text(orNull text: String?) -> JSONNode { text.map { .text($0) } ?? .null }

    /// The same object with more members.
    func with(_ more: KeyValuePairs<String, JSONNode>) -> JSONNode {
        guard case .object(let members) = self else { return self }
        return .object(members + more.map { Member(name: $0.key, value: $0.value) })
    }

    /// Bytes of a publisher's: a text where they are UTF-8, else base64 under another name.
    static func bytes(_ name: String, _ bytes: [UInt8]?) -> Member {
        guard let bytes else { return Member(name: name, value: .null) }
        if let text = String(validating: bytes, as: UTF8.self) { return Member(name: name, value: .text(text)) }
        return Member(name: "\(name)_base64", value: .text(String(decoding: Base64.encoded(bytes), as: UTF8.self)))
    }

    /// RFC 8259, on one line.
    var encoded: String {
        var out: [UInt8] = []
        encode(into: &out)
        return String(decoding: out, as: UTF8.self)
    }

    private func encode(into out: inout [UInt8]) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .integer(let value): out += "\(value)".utf8
        case .real(let value): out += (value.isFinite ? "\(value)" : "null").utf8
        case .text(let value): Self.put(value, into: &out)
        case .array(let values):
            out.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                value.encode(into: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            out.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                Self.put(member.name, into: &out)
                out.append(UInt8(ascii: ":"))
                member.value.encode(into: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    private static func put(_ text: String, into out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case 0x0A: out += #"\n"#.utf8
            // Also DEL, so that a line never does anything to a terminal.
            case 0..<0x20, 0x7F: out += (byte < 0x10 ? #"\u000"# : #"\u00"#).utf8 + Array(String(byte, radix: 16).utf8)
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}

/// RFC 4648 section 4, with padding.
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encoded(_ bytes: some RandomAccessCollection<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        append(bytes, to: &out)
        return out
    }

    static func append(_ bytes: some RandomAccessCollection<UInt8>, to out: inout [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(3)
            rest = rest.dropFirst(3)
            var group: UInt32 = 0
            for byte in part { group = group << 8 | UInt32(byte) }
            group <<= 8 * UInt32(3 - part.count)
            for place in 0..<4 {
                out.append(place <= part.count ? digits[Int(group >> (18 - 6 * UInt32(place)) & 63)] : UInt8(ascii: "="))
            }
        }
    }
}
