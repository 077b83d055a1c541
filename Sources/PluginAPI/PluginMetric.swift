/// One figure for `/metrics` in Prometheus' terms.
public struct PluginMetric: Sendable {
    public enum Kind: String, Sendable { case counter, gauge, histogram }
    /// Full metric name, `headwater_…`; counters end in `_total`.
    public let name: String
    public let help: String
    public let kind: Kind
    public let labels: [(name: String, value: String)]
    /// Of a histogram: the sum of what was measured.
    public let value: Double
    /// Of a histogram alone.
    public let buckets: PluginBuckets?

    public init(name: String, help: String, kind: Kind, labels: [(name: String, value: String)] = [], value: Double) {
        self.init(name: name, help: help, kind: kind, labels: labels, value: value, buckets: nil)
    }

    /// A histogram.
    public init(name: String, help: String, labels: [(name: String, value: String)] = [], buckets: PluginBuckets, sum: Double) {
        self.init(name: name, help: help, kind: .histogram, labels: labels, value: sum, buckets: buckets)
    }

    private init(
        name: String, help: String, kind: Kind, labels: [(name: String, value: String)], value: Double, buckets: PluginBuckets?
    ) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
        self.value = value
        self.buckets = buckets
    }
}

/// How often something was measured below each bound.
public struct PluginBuckets: Sendable, Equatable {
    /// Upper bounds, rising, in the metric's unit; all samples of one name have the same.
    public let bounds: [Double]
    /// For each bucket alone, not cumulative; one more than there are bounds, for what lies above all of them.
    public let counts: [Int]

    public init(bounds: [Double], counts: [Int]) {
        precondition(counts.count == bounds.count + 1)
        self.bounds = bounds
        self.counts = counts
    }
}
