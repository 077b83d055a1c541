/// Metrics in Prometheus' text format, version 0.0.4: every name with its HELP and TYPE once, its samples together.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    typealias Label = (name: String, value: String)

    private(set) var text = ""

    mutating func counter(_ name: String, _ help: String, _ value: Int) {
        begin(name, help, type: "counter")
        sample(name, [], "\(value)")
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        begin(name, help, type: "gauge")
        sample(name, [], "\(value)")
    }

    /// One counter with a sample for each value of one label.
    mutating func counter(_ name: String, _ help: String, label: String, _ values: [(String, Int)]) {
        begin(name, help, type: "counter")
        for (value, count) in values { sample(name, [(label, value)], "\(count)") }
    }

    /// One gauge with a sample for each value of one label.
    mutating func gauge(_ name: String, _ help: String, label: String, _ values: [(String, Int)]) {
        begin(name, help, type: "gauge")
        for (value, count) in values { sample(name, [(label, value)], "\(count)") }
    }

    /// - Parameters:
    ///   - counts: Per bucket, not cumulative; one more than bounds, for what lies above every bound.
    mutating func histogram(_ name: String, _ help: String, boundsSeconds: [Double], counts: [Int], sumSeconds: Double) {
        begin(name, help, type: "histogram")
        buckets(name, [], bounds: boundsSeconds, counts: counts, sum: sumSeconds)
    }

    /// The samples of one histogram; `counts` as above.
    mutating func buckets(_ name: String, _ labels: [Label], bounds: [Double], counts: [Int], sum: Double) {
        var cumulative = 0
        for (bound, count) in zip(bounds, counts) {
            cumulative += count
            sample("\(name)_bucket", labels + [("le", Self.number(bound))], "\(cumulative)")
        }
        cumulative += counts.dropFirst(bounds.count).reduce(0, +)
        sample("\(name)_bucket", labels + [("le", "+Inf")], "\(cumulative)")
        sample("\(name)_sum", labels, Self.number(sum))
        sample("\(name)_count", labels, "\(cumulative)")
    }

    mutating func begin(_ name: String, _ help: String, type: String) {
        text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(type)\n"
    }

    mutating func sample(_ name: String, _ labels: [Label], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`, for labels without the colon. Anything else would make Prometheus refuse the whole page.
    static func isName(_ name: String, isLabel: Bool = false) -> Bool {
        guard let first = name.utf8.first, !(48...57).contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "_"): true
            case UInt8(ascii: ":"): !isLabel
            default: false
            }
        }
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
