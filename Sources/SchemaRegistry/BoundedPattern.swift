/// A regular expression that never backtracks: all its states advance together, one character at a time.
///
/// The time is the text's length times the states', whoever wrote either. Of ECMA 262 it has what needs no memory of what
/// was matched: characters, `.`, classes, `\d \w \s \b` and their opposites, `\t \n \r \f \v \0 \xHH \uHHHH \u{…}`, anchors, groups
/// with and without a name, alternatives, `* + ? {n} {n,} {n,m}` (lazy ones too: whether there is a match is the same). It hasn't
/// references to groups, looking ahead and behind, and `\p`.
struct BoundedPattern: Sendable {
    enum Node: Sendable {
        case set(ScalarSet)
        case split(Int, Int)
        case start, end
        case boundary(Bool)
        case empty(Int)
        case match
    }
    struct Fault: Error {
        let reason: String
    }

    struct State: Sendable {
        var node: Node
        var next = -1
    }
    private let states: [State]
    private let first: Int

    /// States of one pattern, after counted repetitions are written out.
    static let maxStates = 2_000

    /// - Throws: What the pattern has that isn't known here, or that it is too large.
    init(_ text: String) throws(Fault) {
        var parser = PatternParser(text)
        (states, first) = try parser.parse()
    }

    /// Whether the pattern is found anywhere in the text.
    ///
    /// - Parameter steps: What the search may cost, and does: decreased. Negative afterwards: it was given up.
    func isFound(in text: String, steps: inout Int) -> Bool {
        var current: [Int] = []
        var upcoming: [Int] = []
        var marks = [Int](repeating: -1, count: states.count)
        var stack: [Int] = []
        var generation = 0
        var before: Unicode.Scalar?
        var iterator = text.unicodeScalars.makeIterator()
        var scalar = iterator.next()
        while true {
            add(first, to: &current, &marks, generation, &stack, &steps, before: before, after: scalar)
            steps -= 1
            if steps < 0 { return false }
            upcoming.removeAll(keepingCapacity: true)
            generation += 1
            guard let now = scalar else { return current.contains { isMatch($0) } }
            let after = iterator.next()
            for state in current {
                switch states[state].node {
                case .match: return true
                case .set(let set) where set.contains(now):
                    add(states[state].next, to: &upcoming, &marks, generation, &stack, &steps, before: now, after: after)
                default: break
                }
            }
            swap(&current, &upcoming)
            (before, scalar) = (now, after)
        }
    }

    private func isMatch(_ state: Int) -> Bool { if case .match = states[state].node { true } else { false } }

    /// Adds a state and those that are reached from it without a character.
    private func add(
        _ state: Int, to list: inout [Int], _ marks: inout [Int], _ generation: Int, _ stack: inout [Int], _ steps: inout Int,
        before: Unicode.Scalar?, after: Unicode.Scalar?
    ) {
        stack.append(state)
        while let state = stack.popLast() {
            guard marks[state] != generation else { continue }
            marks[state] = generation
            steps -= 1
            let next = states[state].next
            switch states[state].node {
            case .split(let a, let b): stack += [b, a]
            case .empty(let target): stack.append(target)
            case .start: if before == nil { stack.append(next) }
            case .end: if after == nil { stack.append(next) }
            case .boundary(let wanted):
                let isThere = (before.map(ScalarSet.word.contains) ?? false) != (after.map(ScalarSet.word.contains) ?? false)
                if isThere == wanted { stack.append(next) }
            case .set, .match: list.append(state)
            }
        }
    }
}
