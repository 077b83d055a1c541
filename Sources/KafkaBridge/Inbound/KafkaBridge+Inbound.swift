import Logging
import MQTTModel
import PluginAPI

/// The routes in the other direction: when they start and stop, and their figures.
extension KafkaBridge {
    /// Begins to read: not before the broker's sessions are there, or records would go to nobody and be behind us.
    public func brokerStarted() {
        for (route, address) in startableInbound {
            guard route.begins() else { continue }
            let seconds = flushSeconds
            BridgeThread(name: "read-\(route.configuration.name)") {
                InboundConsumer(route, bootstrapServers: address, flushSeconds: seconds).run()
            }.start()
        }
    }

    /// What an inbound route promises, for the log.
    static func promise(of route: KafkaInboundRoute, hasStore: Bool) -> String {
        guard hasStore else { return "at least once: without a store the consumer group alone keeps the place in each partition" }
        return route.qos == .atMostOnce
            ? "its place is in the store; a crash may repeat the last records, since QoS 0 is stored for nobody"
            : "each record once to each stored session: its place is in the store with the messages"
    }

    func inboundMetrics() -> [PluginMetric] {
        inbound.flatMap { route in
            let figures = route.counters.figures
            let labels = [(name: "route", value: route.configuration.name), (name: "cluster", value: route.configuration.cluster)]
            func metric(
                _ kind: PluginMetric.Kind, _ name: String, _ help: String, _ value: Int, _ extra: [(name: String, value: String)] = []
            ) -> PluginMetric {
                PluginMetric(name: "headwater_kafka_inbound_\(name)", help: help, kind: kind, labels: labels + extra, value: Double(value))
            }
            var metrics = [
                metric(.counter, "records_read_total", "Records read from Kafka.", figures.received),
                metric(.counter, "bytes_read_total", "Bytes of their values.", figures.receivedBytes),
                metric(.counter, "records_published_total", "Records published as MQTT messages.", figures.published),
                metric(.gauge, "records_outstanding", "Published records that are not stored yet for everybody.", figures.outstanding),
                metric(.gauge, "partitions", "Partitions that the route reads.", figures.partitions),
                metric(.gauge, "paused", "1 while an operator has paused the route.", route.control.isPaused ? 1 : 0),
                metric(.counter, "consumer_replacements_total", "Consumers replaced after a fatal error.", figures.replacements),
            ]
            if let lag = figures.lag { metrics.append(metric(.gauge, "lag_records", "Records in Kafka that the group has not passed yet.", lag)) }
            for (reason, count) in figures.skipped.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                metrics.append(
                    metric(
                        .counter, "records_skipped_total", "Records that became no message, by reason.", count,
                        [(name: "reason", value: reason.rawValue)]))
            }
            return metrics
        }
    }
}
