import Foundation

/// SplitMix64: the same numbers for the same seed on every machine.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    /// A generator of its own for each name, so that one client's choices don't depend on another's timing.
    init(_ seed: UInt64, _ name: String) {
        state = name.utf8.reduce(seed ^ 0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        _ = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// `true` once in `count` times.
    mutating func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }
}

/// What the environment asks of the crash tests.
enum CrashSettings {
    /// `HEADWATER_CRASH_SEED`, else one from the clock; it is printed.
    static let seed: UInt64 =
        number("HEADWATER_CRASH_SEED").map { UInt64($0) } ?? UInt64(Date().timeIntervalSince1970 * 1000) % 1_000_000_007
    /// `HEADWATER_CRASH_KILLS`: kills of each configuration; `nil`: the bounded share of `swift test`.
    static let kills: Int? = number("HEADWATER_CRASH_KILLS")
    /// The long form, `make crash-test`.
    static var isLong: Bool { kills != nil }
    /// Kills of each configuration in `swift test`.
    static let boundedKills = 5
    /// A run starts on an empty store and ends with the check.
    static let killsOfOneRun = 12
    static let hasStore = ProcessInfo.processInfo.environment["HEADWATER_CRASH_STORE"] != "0"

    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }
}
