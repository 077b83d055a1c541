import Foundation

/// What Prometheus' own reader would object to.
func metricsFaults(in text: String) -> [String] {
    let label = #"[a-zA-Z_][a-zA-Z0-9_]*="(\\[\\"n]|[^"\\\n])*""#
    let sample = #"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{"# + label + "(," + label + #")*\})? (NaN|[+-]Inf|-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)$"#
    var faults: [String] = []
    var series = Set<String>()
    var types: [String: String] = [:]
    var current = ""
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) where !line.isEmpty {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        if line.hasPrefix("# HELP "), words.count == 4 { continue }
        if line.hasPrefix("# TYPE "), words.count == 4, ["counter", "gauge", "histogram"].contains(words[3]) {
            if types.updateValue(words[3], forKey: words[2]) != nil { faults.append("twice: \(line)") }
            current = words[2]
            continue
        }
        guard line.range(of: sample, options: .regularExpression) != nil else {
            faults.append(line)
            continue
        }
        let name = String(line.prefix { $0 != "{" && $0 != " " })
        let isPart = types[current] == "histogram" && ["_bucket", "_sum", "_count"].contains { name == current + $0 }
        if name != current, !isPart { faults.append("not below its TYPE: \(line)") }
        if !series.insert(String(line[..<(line.lastIndex(of: " ") ?? line.startIndex)])).inserted { faults.append("series twice: \(line)") }
    }
    return faults
}
