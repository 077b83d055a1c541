/// Where a value stands in a JSON payload: `payload.a.b`, `payload.items[0].id`, `payload["odd key"]`.
///
/// Names are compared byte for byte with what the payload says once its escapes are undone. Array indexes count from 0,
/// as everywhere in JSON.
public struct PayloadPath: Sendable, Hashable, CustomStringConvertible {
    enum Step: Hashable, Sendable {
        case name([UInt8])
        case index(Int)
    }

    /// The path as it was written, `payload` included.
    public let text: String
    /// Not empty, and at most `JSONScanner.deepest`: a longer one could never be found.
    let steps: [Step]

    /// - Throws: `TemplateError` at column 1.
    public init(_ text: String) throws(TemplateError) {
        guard let steps = Self.steps(of: text) else { throw TemplateError(position: 1, fault: .payloadPath(text)) }
        self.text = text
        self.steps = steps
    }

    public var description: String { text }

    /// `nil` where the text is no path.
    private static func steps(of text: String) -> [Step]? {
        guard text.hasPrefix("payload") else { return nil }
        var rest = text.dropFirst("payload".count)
        var steps: [Step] = []
        while let first = rest.first {
            rest.removeFirst()
            switch first {
            case ".":
                let name = rest.prefix { $0 != "." && $0 != "[" }
                if name.isEmpty || name.contains(where: { $0 == "]" || $0 == "\"" || $0 == ":" || $0.isWhitespace }) { return nil }
                steps.append(.name(Array(name.utf8)))
                rest.removeFirst(name.count)
            case "[":
                guard let step = rest.first == "\"" ? quotedName(&rest) : index(&rest), rest.popFirst() == "]" else { return nil }
                steps.append(step)
            default: return nil
            }
        }
        return (1...JSONScanner.deepest).contains(steps.count) ? steps : nil
    }

    private static func index(_ rest: inout Substring) -> Step? {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        rest.removeFirst(digits.count)
        return Int(digits).map(Step.index)
    }

    /// A name in quotes, in which `\"` and `\\` stand for `"` and `\`.
    private static func quotedName(_ rest: inout Substring) -> Step? {
        rest.removeFirst()
        var name = ""
        while let next = rest.popFirst() {
            switch next {
            case "\"": return .name(Array(name.utf8))
            case "\\":
                guard let escaped = rest.popFirst(), escaped == "\"" || escaped == "\\" else { return nil }
                name.append(escaped)
            default: name.append(next)
            }
        }
        return nil
    }
}
