/// Writes a JSON document's text: requests to a registry, the registry's answers, what is kept on disk.
package enum JSONWriter {
    package static func text(_ value: JSONValue) -> String {
        var text = ""
        write(value, into: &text)
        return text
    }

    /// A text in quotation marks, with what JSON wants escaped.
    package static func quoted(_ string: String) -> String {
        var text = ""
        quote(string, into: &text)
        return text
    }

    private static func write(_ value: JSONValue, into text: inout String) {
        switch value {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let number): text += number.text
        case .text(let string): quote(string.string, into: &text)
        case .array(let items):
            text += "["
            for (place, item) in items.enumerated() {
                if place > 0 { text += "," }
                write(item, into: &text)
            }
            text += "]"
        case .object(let object):
            text += "{"
            for (place, member) in object.members.enumerated() {
                if place > 0 { text += "," }
                quote(member.name.string, into: &text)
                text += ":"
                write(member.value, into: &text)
            }
            text += "}"
        }
    }

    private static func quote(_ string: String, into text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\u{0}"..<"\u{20}", "\u{7F}":
                let hex = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

extension JSONValue {
    package static func string(_ string: String) -> JSONValue { .text(ExactText(string)) }
    package static func integer(_ value: Int) -> JSONValue { .number(JSONNumber(text: String(value))) }
    package static func members(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        var object = JSONObject()
        for (name, value) in members { if let value { object.set(ExactText(name), value) } }
        return .object(object)
    }
}
