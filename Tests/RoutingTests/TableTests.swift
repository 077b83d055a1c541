import Testing

@testable import Routing

/// The tables beneath the trees, against the dictionaries that they replace.
struct TableTests {
    @Test("a pair table holds what a dictionary holds, while it grows and shrinks")
    func pairs() {
        struct Pair: Hashable {
            let first: UInt32
            let second: UInt32
        }
        var random = SeededGenerator(seed: 5)
        var table = PairTable()
        var expected: [Pair: UInt32] = [:]
        for step in 0..<30_000 {
            let pair = Pair(first: UInt32.random(in: 0..<40, using: &random), second: UInt32.random(in: 0..<40, using: &random))
            if step % 10_000 < 5000 ? expected[pair] == nil : expected[pair] == nil && Int.random(in: 0..<8, using: &random) == 0 {
                table.add(pair.first, pair.second, value: UInt32(step))
                expected[pair] = UInt32(step)
            } else if expected[pair] != nil {
                table.remove(pair.first, pair.second)
                expected[pair] = nil
            }
            #expect(table.value(pair.first, pair.second) == expected[pair] ?? PairTable.none)
            #expect(table.count == expected.count)
            if step % 1000 == 0 {
                for first in UInt32(0)..<40 {
                    for second in UInt32(0)..<40 {
                        let value = expected[Pair(first: first, second: second)] ?? PairTable.none
                        #expect(table.value(first, second) == value)
                    }
                }
            }
        }
    }

    @Test("a level keeps its number and its text while anybody holds it")
    func levels() {
        var random = SeededGenerator(seed: 6)
        var table = LevelTable()
        var held: [String: (number: UInt32, references: Int)] = [:]
        let texts = [""] + (1..<400).map { String(repeating: "x\($0)", count: $0 % 40 + 1) }
        for step in 0..<40_000 {
            let text = texts.randomElement(using: &random)!
            if Int.random(in: 0..<10, using: &random) < (step % 10_000 < 5000 ? 7 : 2) {
                let number = text.withBytes { table.retain($0) }
                if let known = held[text] { #expect(known.number == number) }
                held[text] = (number, (held[text]?.references ?? 0) + 1)
            } else if let known = held[text] {
                table.release(known.number)
                held[text] = known.references == 1 ? nil : (known.number, known.references - 1)
            }
            #expect(text.withBytes { table.find($0) } == held[text]?.number ?? LevelTable.none)
            #expect(table.count == held.count)
            if step % 2000 == 0 {
                for (text, known) in held {
                    #expect(table.withBytes(of: known.number) { String(decoding: $0, as: UTF8.self) } == text)
                }
            }
        }
    }

    @Test("two tables hash the same level differently, so that collisions cannot be prepared")
    func secrets() {
        let (one, other) = (SeededHash(), SeededHash())
        let texts = (0..<64).map { "level \($0)" }
        let equal = texts.filter { text in text.withBytes { one.hash($0) == other.hash($0) } }
        #expect(equal.isEmpty)
    }

    @Test("levels keep their empty ones", arguments: [("", 1), ("/", 2), ("a", 1), ("//", 3), ("a//b", 3), ("a/", 2)])
    func splitting(text: String, count: Int) {
        let levels = text.withBytes { TopicLevels($0).map { String(decoding: $0, as: UTF8.self) } }
        #expect(levels.count == count)
        #expect(levels.joined(separator: "/") == text)
    }
}
