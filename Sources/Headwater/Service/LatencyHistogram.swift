/// Counts of durations in fixed buckets, fit for Prometheus: 1, 2, 5 per decade from 1 us to 10 s, and above.
public struct LatencyHistogram: Sendable, Equatable {
    /// Upper bounds in microseconds.
    public static let boundsMicroseconds: [UInt64] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
        1_000_000, 2_000_000, 5_000_000, 10_000_000,
    ]
    /// Counts per bucket, not cumulative; the last one is for durations above every bound.
    public private(set) var counts = [Int](repeating: 0, count: boundsMicroseconds.count + 1)
    public private(set) var sumMicroseconds: UInt64 = 0
    public var count: Int { counts.reduce(0, +) }

    public init() {}

    /// Records `times` events that took `microseconds` each.
    public mutating func record(microseconds: UInt64, times: Int = 1) {
        var bucket = 0
        while bucket < Self.boundsMicroseconds.count, microseconds > Self.boundsMicroseconds[bucket] { bucket += 1 }
        counts[bucket] += times
        sumMicroseconds &+= microseconds &* UInt64(times)
    }

    public mutating func add(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        sumMicroseconds &+= other.sumMicroseconds
    }
}
