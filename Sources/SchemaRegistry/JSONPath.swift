import Encodings

/// Where in a document a fault is: `$.reading.temp`, `$.list[3]`.
struct JSONPath: CustomStringConvertible {
    enum Step {
        case member(ExactText)
        case item(Int)
    }
    private var steps: [Step] = []

    mutating func enter(_ name: ExactText) { steps.append(.member(name)) }
    mutating func enter(_ index: Int) { steps.append(.item(index)) }
    mutating func leave() { steps.removeLast() }

    /// Names are cut: they are a peer's and bound for a log.
    var description: String {
        var text = "$"
        for step in steps {
            switch step {
            case .item(let index): text += "[\(index)]"
            case .member(let name):
                let isPlain =
                    !name.string.isEmpty && name.string.utf8.count <= 100
                    && name.string.utf8.allSatisfy {
                        $0 == 0x5F || $0 == 0x2D || $0 >= 0x30 && $0 <= 0x39 || ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7A
                    }
                text += isPlain ? ".\(name.string)" : "[\(JSONWriter.quoted(String(name.string.prefix(100))))]"
            }
        }
        return text
    }
}
