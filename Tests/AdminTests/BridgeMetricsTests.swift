import BrokerTestKit
import Foundation
import Headwater
import Logging
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

@testable import Admin
@testable import KafkaBridge

/// The page of a broker whose bridge is at work.
@Suite(.timeLimit(.minutes(2))) struct BridgeMetricsTests {
    @Test("in = sent + outbox + dead + dropped at every scrape under load, with and without an outbox, and the page is well-formed")
    func balance() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("metrics-test-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        func route(_ name: String, _ topic: String) throws -> KafkaRoute {
            KafkaRoute(name: name, filters: [try TopicFilter("t/#")], cluster: "main", topic: try RecordTemplate(topic))
        }
        var stored = try route("stored", "stored.${topic[2]}")
        stored.delivery.outbox.maxAgeSeconds = 600
        var direct = try route("direct", "direct")
        direct.delivery.level = .atMostOnce
        let bridge = try KafkaBridge(
            configuration: KafkaConfiguration(
                clusters: [KafkaCluster(name: "main", isEmbedded: true, properties: ["linger.ms": "2"])], routes: [stored, direct]),
            flushSeconds: 5, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let harness = try await BrokerHarness.start(plugins: [bridge]) { $0.store.directory = directory.path }
        let device = try await harness.open()
        try await device.connect(clientID: "pump")
        let scrapes = Task {
            var count = 0
            while !Task.isCancelled {
                try Self.check(BrokerMetrics.text(BrokerStatistics(), plugins: bridge.metrics(), process: nil))
                count += 1
                try? await Task.sleep(for: .milliseconds(10))
            }
            return count
        }
        for number in 0..<3_000 {
            // One in ten makes no legal name of a topic for the route with an outbox.
            let topic = number % 10 == 0 ? "t/bad name" : "t/\(number % 3)"
            try await device.publish(
                Publish(topic: topic, payload: [1], qos: .atLeastOnce, retain: false, packetID: UInt16(number + 1)))
        }
        scrapes.cancel()
        #expect(try await scrapes.value > 5)
        let start = ContinuousClock.now
        func value(_ name: String, _ route: String, in page: String) -> Int { Self.sum(page, name, route) }
        var page = ""
        repeat {
            page = BrokerMetrics.text(BrokerStatistics(), plugins: bridge.metrics(), process: nil)
            try Self.check(page)
            try await Task.sleep(for: .milliseconds(10))
        } while value("outbox_records", "stored", in: page) + value("outbox_records", "direct", in: page) > 0
            && ContinuousClock.now - start < .seconds(30)
        #expect(value("records_sent_total", "stored", in: page) == 2_700 && value("records_dead_lettered_total", "stored", in: page) == 300)
        #expect(value("records_sent_total", "direct", in: page) == 3_000 && value("dead_letters_kept", "stored", in: page) == 300)
        #expect(value("latency_seconds_count", "stored", in: page) == 2_700 && value("outbox_bytes", "stored", in: page) == 0)
        #expect(page.contains("headwater_kafka_shard_up{route=\"stored\",cluster=\"main\",shard=\"0\"} 1\n"))
        #expect(page.contains("headwater_kafka_paused{route=\"stored\",cluster=\"main\"} 0\n"))
        #expect(page.contains("headwater_kafka_outbox_oldest_seconds{route=\"stored\",cluster=\"main\"} 0\n"))
        await harness.stop()
    }

    private static func check(_ page: String) throws {
        #expect(PrometheusTextTests.faults(page) == [])
        for route in ["stored", "direct"] {
            let parts = ["records_sent_total", "outbox_records", "records_dead_lettered_total", "records_dropped_total"].map { sum(page, $0, route) }
            #expect(sum(page, "records_in_total", route) == parts.reduce(0, +), "\(route): \(parts)")
        }
    }

    /// Over all reasons.
    private static func sum(_ page: String, _ name: String, _ route: String) -> Int {
        PrometheusTextTests.lines(page, of: "headwater_kafka_\(name){route=\"\(route)\"").reduce(0) {
            $0 + (Int($1.split(separator: " ").last ?? "") ?? 0)
        }
    }
}
