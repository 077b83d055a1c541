/// Waits that double with each failure and begin anew after a success. Milliseconds.
struct Backoff: Equatable, Sendable {
    let shortest: UInt64
    let longest: UInt64
    /// Failures since the last success.
    private(set) var failures = 0
    private var next: UInt64

    init(shortest: UInt64, longest: UInt64) {
        self.shortest = shortest
        self.longest = longest
        self.next = shortest
    }

    /// The time of the next attempt.
    mutating func failed(now: UInt64) -> UInt64 {
        defer { next = min(next * 2, longest) }
        failures += 1
        return now + next
    }

    mutating func succeeded() {
        failures = 0
        next = shortest
    }
}
