/// Builds a pattern's states from the end backwards: each part is told what follows it.
struct PatternParser {
    indirect enum Part {
        case set(ScalarSet)
        case start, end
        case boundary(Bool)
        case sequence([Part])
        case choice([Part])
        case times(Part, Int, Int?)
    }

    private let text: [Unicode.Scalar]
    private var at = 0
    private var states: [BoundedPattern.State] = []
    /// Repetitions of nothing make no state, so they are counted.
    private var builds = 0

    init(_ text: String) { self.text = Array(text.unicodeScalars) }

    mutating func parse() throws(BoundedPattern.Fault) -> ([BoundedPattern.State], Int) {
        guard text.count <= 10_000 else { throw .init(reason: "a pattern of more than 10000 characters") }
        let part = try choice(depth: 0)
        guard at == text.count else { throw .init(reason: "a ) without its (") }
        let match = try add(.match, -1)
        let first = try build(part, match)
        return (states, first)
    }

    private mutating func add(_ node: BoundedPattern.Node, _ next: Int) throws(BoundedPattern.Fault) -> Int {
        guard states.count < BoundedPattern.maxStates else {
            throw .init(reason: "a pattern of more than \(BoundedPattern.maxStates) states")
        }
        states.append(.init(node: node, next: next))
        return states.count - 1
    }

    private mutating func build(_ part: Part, _ next: Int) throws(BoundedPattern.Fault) -> Int {
        builds += 1
        guard builds <= 50_000 else { throw .init(reason: "a pattern with too many repetitions") }
        switch part {
        case .set(let set): return try add(.set(set), next)
        case .start: return try add(.start, next)
        case .end: return try add(.end, next)
        case .boundary(let wanted): return try add(.boundary(wanted), next)
        case .sequence(let parts):
            var next = next
            for part in parts.reversed() { next = try build(part, next) }
            return next
        case .choice(let parts):
            var entry = try build(parts[0], next)
            for part in parts.dropFirst() {
                let other = try build(part, next)
                entry = try add(.split(entry, other), -1)
            }
            return entry
        case .times(let part, let least, let most):
            var next = next
            if let most {
                let after = next
                for _ in 0..<max(0, most - least) {
                    let inner = try build(part, next)
                    next = try add(.split(inner, after), -1)
                }
            } else {
                let loop = try add(.empty(-1), -1)
                let inner = try build(part, loop)
                states[loop].node = .split(inner, next)
                next = loop
            }
            for _ in 0..<least { next = try build(part, next) }
            return next
        }
    }

    private var peek: Unicode.Scalar? { at < text.count ? text[at] : nil }
    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        at += 1
        return true
    }

    private mutating func choice(depth: Int) throws(BoundedPattern.Fault) -> Part {
        guard depth <= 50 else { throw .init(reason: "groups nested deeper than 50") }
        var parts = [try sequence(depth: depth)]
        while take("|") { parts.append(try sequence(depth: depth)) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence(depth: Int) throws(BoundedPattern.Fault) -> Part {
        var parts: [Part] = []
        while let scalar = peek, scalar != "|", scalar != ")" {
            let part = try atom(depth: depth)
            parts.append(try repeated(part))
        }
        return .sequence(parts)
    }

    private mutating func repeated(_ part: Part) throws(BoundedPattern.Fault) -> Part {
        var least = 0
        var most: Int?
        if take("*") {
        } else if take("+") {
            least = 1
        } else if take("?") {
            most = 1
        } else if let counts = counts() {
            (least, most) = counts
            if let most, most < least { throw .init(reason: "a repetition from more to fewer") }
            guard max(least, most ?? 0) <= 1_000 else { throw .init(reason: "more than 1000 repetitions") }
        } else {
            return part
        }
        switch part {
        case .start, .end, .boundary: throw .init(reason: "an anchor is repeated")
        default: break
        }
        _ = take("?")
        if let next = peek, next == "*" || next == "+" || next == "?" { throw .init(reason: "a repetition is repeated") }
        return .times(part, least, most)
    }

    /// `{2}`, `{2,}`, `{2,5}`; anything else in braces is text.
    private mutating func counts() -> (Int, Int?)? {
        guard peek == "{", let close = text[at...].firstIndex(of: "}") else { return nil }
        let inside = String(String.UnicodeScalarView(text[(at + 1)..<close])).split(
            separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
        func count(_ text: Substring) -> Int? { text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil }
        guard let least = count(inside[0]) else { return nil }
        if inside.count == 1 {
            at = close + 1
            return (least, least)
        }
        if inside[1].isEmpty {
            at = close + 1
            return (least, nil)
        }
        guard let most = count(inside[1]) else { return nil }
        at = close + 1
        return (least, most)
    }

    private mutating func atom(depth: Int) throws(BoundedPattern.Fault) -> Part {
        let scalar = text[at]
        at += 1
        switch scalar {
        case "^": return .start
        case "$": return .end
        case ".": return .set(ScalarSet(ranges: ScalarSet.lineEnds.ranges, isInverted: true))
        case "[": return .set(try set())
        case "(":
            if take("?") {
                if take(":") {
                } else if take("<"), let name = peek, name != "=", name != "!" {
                    guard let close = text[at...].firstIndex(of: ">") else { throw .init(reason: "a name without its end") }
                    at = close + 1
                } else {
                    throw .init(reason: "looking ahead or behind")
                }
            }
            let part = try choice(depth: depth + 1)
            guard take(")") else { throw .init(reason: "a ( without its )") }
            return part
        case "*", "+", "?": throw .init(reason: "a repetition of nothing")
        case "\\":
            if take("b") { return .boundary(true) }
            if take("B") { return .boundary(false) }
            return .set(try escape())
        default: return .set(ScalarSet(ranges: [scalar.value...scalar.value]))
        }
    }

    private mutating func escape() throws(BoundedPattern.Fault) -> ScalarSet {
        guard let scalar = peek else { throw .init(reason: "a \\ at the end") }
        at += 1
        func one(_ value: UInt32) -> ScalarSet { ScalarSet(ranges: [value...value]) }
        switch scalar {
        case "d": return .digit
        case "D": return ScalarSet.digit.inverted
        case "w": return .word
        case "W": return ScalarSet.word.inverted
        case "s": return .space
        case "S": return ScalarSet.space.inverted
        case "t": return one(0x09)
        case "n": return one(0x0A)
        case "v": return one(0x0B)
        case "f": return one(0x0C)
        case "r": return one(0x0D)
        case "0": return one(0)
        case "x": return one(try hex(2))
        case "u":
            guard take("{") else { return one(try hex(4)) }
            guard let close = text[at...].firstIndex(of: "}"), close > at, close - at <= 6 else {
                throw .init(reason: "\\u{…} without its digits")
            }
            let value = try hex(close - at)
            at += 1
            return one(value)
        case "1"..."9", "k": throw .init(reason: "a reference to a group")
        case "p", "P": throw .init(reason: "\\p")
        case "a"..."z", "A"..."Z": throw .init(reason: "the escape \\\(scalar)")
        default: return one(scalar.value)
        }
    }

    private mutating func hex(_ digits: Int) throws(BoundedPattern.Fault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let scalar = peek, scalar.isASCII, let digit = Character(scalar).hexDigitValue else {
                throw .init(reason: "an escape without its digits")
            }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }

    private mutating func set() throws(BoundedPattern.Fault) -> ScalarSet {
        var ranges: [ClosedRange<UInt32>] = []
        let isInverted = take("^")
        while true {
            guard peek != nil else { throw .init(reason: "a [ without its ]") }
            if take("]") { return ScalarSet(ranges: ranges, isInverted: isInverted) }
            let low = try member()
            guard peek == "-", at + 1 < text.count, text[at + 1] != "]" else {
                ranges += low.ranges
                continue
            }
            at += 1
            let high = try member()
            guard low.ranges.count == 1, high.ranges.count == 1, low.ranges[0].count == 1, high.ranges[0].count == 1,
                low.ranges[0].lowerBound <= high.ranges[0].lowerBound
            else { throw .init(reason: "a range in a class that is none") }
            ranges.append(low.ranges[0].lowerBound...high.ranges[0].lowerBound)
        }
    }

    private mutating func member() throws(BoundedPattern.Fault) -> ScalarSet {
        guard let scalar = peek else { throw .init(reason: "a [ without its ]") }
        at += 1
        guard scalar == "\\" else { return ScalarSet(ranges: [scalar.value...scalar.value]) }
        if take("b") { return ScalarSet(ranges: [8...8]) }
        return try escape()
    }
}
