import MQTTModel

/// SplitMix64: the same topics and the same order in every run, so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// Topics and filters of few levels from few words, so that they match each other often; with empty levels, levels that
/// begin with `$`, and words of every length class of the hash.
enum TopicSource {
    private static let words = ["", "a", "b", "abc", "temperature", "a level of more than sixteen bytes", "$SYS", "$", "é"]

    static func topic(_ random: inout SeededGenerator) -> String {
        while true {
            let topic = (0..<Int.random(in: 1...5, using: &random)).map { _ in words.randomElement(using: &random)! }.joined(separator: "/")
            if !topic.isEmpty { return topic }
        }
    }

    static func filter(_ random: inout SeededGenerator) -> String {
        var levels = topic(&random).split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        for index in levels.indices where Int.random(in: 0..<3, using: &random) == 0 { levels[index] = "+" }
        if Int.random(in: 0..<3, using: &random) == 0 { levels[levels.count - 1] = "#" }
        return levels.joined(separator: "/")
    }

    /// `count` different results of `make`.
    static func distinct(_ count: Int, _ random: inout SeededGenerator, _ make: (inout SeededGenerator) -> String) -> [String] {
        var known = Set<String>()
        var texts: [String] = []
        while texts.count < count {
            let text = make(&random)
            if known.insert(text).inserted { texts.append(text) }
        }
        return texts
    }
}

extension String {
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { Array(utf8).withUnsafeBytes(body) }
}
