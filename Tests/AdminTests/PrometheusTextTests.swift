import Headwater
import PluginAPI
import Testing

@testable import Admin

/// The page against the grammar of Prometheus' text format 0.0.4.
@Suite struct PrometheusTextTests {
    /// What is wrong with a page; empty when Prometheus would take it.
    static func faults(_ page: String) -> [String] {
        var faults: [String] = []
        var families: Set<String> = []
        var family = ""
        var samples: Set<String> = []
        if !page.hasSuffix("\n") { faults.append("no final line end") }
        for line in page.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if line.hasPrefix("# HELP ") {
                family = String(line.split(separator: " ")[2])
                if !families.insert(family).inserted { faults.append("\(family) twice") }
            } else if line.hasPrefix("# TYPE ") {
                let fields = line.split(separator: " ")
                if fields.count != 4 || fields[2] != family || !["counter", "gauge", "histogram"].contains(fields[3]) {
                    faults.append("type: \(line)")
                }
                if fields[3] == "counter", !family.hasSuffix("_total") { faults.append("counter without _total: \(family)") }
            } else if let match = line.wholeMatch(
                of: /([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (NaN|[+-]Inf|-?[0-9.e+-]+)/)
            {
                let name = String(match.1)
                if name != family, !["_bucket", "_sum", "_count"].contains(where: { name == family + $0 }) {
                    faults.append("\(name) under \(family)")
                }
                if !samples.insert(name + String(match.2 ?? "")).inserted { faults.append("sample twice: \(line)") }
            } else {
                faults.append("line: \(line)")
            }
        }
        return faults
    }

    static func lines(_ page: String, of name: String) -> [String] {
        page.split(separator: "\n").map(String.init).filter { $0.hasPrefix(name) }
    }

    static func full() -> BrokerStatistics {
        var statistics = BrokerStatistics()
        statistics.connectionsRefused = [0x87: 3, 0x05: 1]
        statistics.disconnects = ["client": 2, "a \"b\"\n\\c": 1]
        statistics.messagesReceived[1] = 7
        statistics.dropped = [.queueFull: 4]
        statistics.deliveryLatency.record(microseconds: 1, times: 2)
        statistics.deliveryLatency.record(microseconds: 3)
        statistics.deliveryLatency.record(microseconds: 60_000_000)
        return statistics
    }

    @Test("the page is well-formed, for a silent broker and for a busy one", arguments: [BrokerStatistics(), full()])
    func wellFormed(statistics: BrokerStatistics) {
        #expect(Self.faults(BrokerMetrics.text(statistics, plugins: [], process: ProcessFigures.current)) == [])
    }

    @Test("the checker of these tests finds faults")
    func checker() {
        for bad in [
            "a 1\n", "# HELP a b\n# TYPE a gauge\na{x=\"\"\"} 1\n", "# HELP a b\n# TYPE a gauge\na 1", "# HELP a b\n# TYPE a counter\n",
        ] {
            #expect(Self.faults(bad) != [], "\(bad)")
        }
    }

    @Test("label values are escaped, so that no text of a peer's makes a line of its own")
    func escaping() {
        let page = BrokerMetrics.text(Self.full(), plugins: [], process: nil)
        #expect(
            Self.lines(page, of: "headwater_disconnects_total") == [
                #"headwater_disconnects_total{cause="a \"b\"\n\\c"} 1"#, #"headwater_disconnects_total{cause="client"} 2"#,
            ])
    }

    @Test("reason codes are hexadecimal and every drop reason is there from the start")
    func labels() {
        let page = BrokerMetrics.text(Self.full(), plugins: [], process: nil)
        #expect(
            Self.lines(page, of: "headwater_connections_refused_total") == [
                #"headwater_connections_refused_total{code="0x05"} 1"#, #"headwater_connections_refused_total{code="0x87"} 3"#,
            ])
        #expect(Self.lines(page, of: "headwater_dropped_total").count == BrokerStatistics.DropReason.allCases.count)
        #expect(page.contains("headwater_dropped_total{reason=\"queue_full\"} 4\n"))
        #expect(page.contains("headwater_messages_received_total{qos=\"1\"} 7\n"))
    }

    @Test("histograms are cumulative, end with +Inf, and agree with their count")
    func histogram() {
        let name = "headwater_delivery_latency_seconds"
        let page = BrokerMetrics.text(Self.full(), plugins: [], process: nil)
        let buckets = Self.lines(page, of: "\(name)_bucket")
        let counts = buckets.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
        #expect(buckets.count == LatencyHistogram.boundsMicroseconds.count + 1)
        #expect(counts == counts.sorted())
        #expect(Array(counts.prefix(3)) == [2, 2, 3])
        #expect(buckets.last == "\(name)_bucket{le=\"+Inf\"} 4")
        #expect(Self.lines(page, of: "\(name)_count") == ["\(name)_count 4"])
        #expect(Self.lines(page, of: "\(name)_sum") == ["\(name)_sum 60.000005"])
    }

    @Test("a plugin's samples of one name come together, and an impossible name is left out")
    func plugins() {
        func metric(_ name: String, _ route: String, _ value: Double, label: String = "route") -> PluginMetric {
            PluginMetric(name: name, help: "Records\nof \\ a route.", kind: .counter, labels: [(label, route)], value: value)
        }
        let page = BrokerMetrics.text(
            BrokerStatistics(),
            plugins: [
                metric("headwater_kafka_records_total", "a\"b", 1), metric("headwater_other_total", "x", .infinity),
                metric("headwater_kafka_records_total", "c", 1.5), metric("bad name", "x", 1),
                metric("headwater_bad_total", "x", 1, label: "a-b"),
            ], process: nil)
        #expect(Self.faults(page) == [])
        #expect(
            page.contains(
                #"""
                # HELP headwater_kafka_records_total Records\nof \\ a route.
                # TYPE headwater_kafka_records_total counter
                headwater_kafka_records_total{route="a\"b"} 1
                headwater_kafka_records_total{route="c"} 1.5

                """#))
        #expect(page.contains("headwater_other_total{route=\"x\"} +Inf\n"))
        #expect(!page.contains("bad"))
    }

    @Test("a plugin's histograms are cumulative for each label, and a sample of another kind is left out")
    func pluginHistograms() {
        func metric(_ route: String, _ counts: [Int]) -> PluginMetric {
            PluginMetric(
                name: "headwater_x_seconds", help: "h", labels: [("route", route)], buckets: PluginBuckets(bounds: [0.5, 2], counts: counts),
                sum: 1.5)
        }
        let page = BrokerMetrics.text(
            BrokerStatistics(),
            plugins: [
                metric("a", [1, 2, 3]), PluginMetric(name: "headwater_x_seconds", help: "h", kind: .gauge, value: 1), metric("b", [0, 0, 0]),
            ], process: nil)
        #expect(Self.faults(page) == [])
        #expect(
            page.contains(
                #"""
                # TYPE headwater_x_seconds histogram
                headwater_x_seconds_bucket{route="a",le="0.5"} 1
                headwater_x_seconds_bucket{route="a",le="2"} 3
                headwater_x_seconds_bucket{route="a",le="+Inf"} 6
                headwater_x_seconds_sum{route="a"} 1.5
                headwater_x_seconds_count{route="a"} 6
                headwater_x_seconds_bucket{route="b",le="0.5"} 0

                """#))
    }
}
