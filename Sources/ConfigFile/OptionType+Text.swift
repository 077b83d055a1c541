/// How values are printed, in the effective configuration and in the reference.
extension OptionType {
    /// What may stand as the value, in words.
    var meaning: String {
        let text =
            switch self {
            case .boolean: "true, false"
            case .integer(let range, _), .bytes(let range, _), .seconds(let range, _), .milliseconds(let range): rangeText(range)
            case .choice(let allowed, _): allowed.joined(separator: ", ")
            case .text(let meaning, _, _): meaning
            case .texts(let meaning, _): "list of \(meaning)"
            case .fields(let meaning, _): meaning
            }
        return word.map { $0 == "null" ? text : "\(text); \($0)" } ?? text
    }

    func rangeText(_ range: ClosedRange<Int>) -> String {
        "\(scalarText(.integer(range.lowerBound)))…\(scalarText(.integer(range.upperBound)))"
    }

    /// YAML of a scalar value.
    func scalarText(_ value: OptionValue) -> String {
        switch (self, value) {
        case (_, .none): word ?? "null"
        case (.bytes, .integer(let count)): Quantity.bytes(count)
        case (.seconds, .integer(let seconds)): Quantity.duration(milliseconds: seconds * 1_000)
        case (.milliseconds, .integer(let milliseconds)): Quantity.duration(milliseconds: milliseconds)
        case (_, .boolean(let isTrue)): "\(isTrue)"
        case (_, .integer(let number)): "\(number)"
        case (_, .text(let text)): text == word ? Self.doubleQuoted(text) : Self.yamlText(text)
        case (_, .texts(let texts)): "[\(texts.map(Self.yamlText).joined(separator: ", "))]"
        case (_, .fields(let fields)): "{\(fields.map { "\(Self.yamlText($0.name)): \(Self.yamlText($0.value))" }.joined(separator: ", "))}"
        }
    }

    /// Plain where it can't be taken for anything else, otherwise in double quotes.
    static func yamlText(_ text: String) -> String {
        let isPlain =
            text.utf8.first.map { (65...90).contains($0) || (97...122).contains($0) || $0 == UInt8(ascii: "/") } ?? false
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122: true
                case UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
                default: false
                }
            }
        let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        return isPlain && !reserved.contains(text.lowercased()) ? text : doubleQuoted(text)
    }

    static func doubleQuoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                let hex = String(scalar.value, radix: 16)
                quoted += "\\x" + (hex.count < 2 ? "0" : "") + hex
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
