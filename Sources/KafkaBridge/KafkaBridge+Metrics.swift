import PluginAPI

/// The bridge's figures for `/metrics`. For each route: in = acknowledged + failed + refused + in flight.
extension KafkaBridge {
    public func metrics() -> [PluginMetric] {
        routes.flatMap(metrics(of:)) + producers.sorted { $0.key < $1.key }.flatMap { metrics(of: $0.value) } + inboundMetrics()
    }

    private func metrics(of route: Route) -> [PluginMetric] {
        let figures = route.counters.figures
        let labels = [(name: "route", value: route.configuration.name), (name: "cluster", value: route.configuration.cluster)]
        func counter(_ name: String, _ help: String, _ value: Double, _ extra: [(name: String, value: String)] = []) -> PluginMetric {
            PluginMetric(name: name, help: help, kind: .counter, labels: labels + extra, value: value)
        }
        let outcomes = [
            ("acknowledged", figures.acknowledged), ("failed", figures.failedTotal), ("refused", figures.refusedTotal),
        ]
        let reasons =
            figures.failed.map { ("failed", $0.rawValue, $1) } + figures.refused.map { ("refused", $0.rawValue, $1) }
        var metrics = [
            counter("headwater_kafka_records_in_total", "Messages that matched the route.", Double(figures.received)),
            counter(
                "headwater_kafka_record_bytes_total", "Payload bytes of acknowledged records.", Double(figures.acknowledgedBytes)),
            counter(
                "headwater_kafka_delivery_seconds_total",
                "Seconds from PUBLISH received to Kafka's acknowledgement, summed over acknowledged records.",
                Double(figures.delayNanoseconds) / 1e9),
            counter(
                "headwater_kafka_timestamp_fallbacks_total", "Records with the time of receipt, as the payload had no time where the route looks.",
                Double(figures.timestampFallbacks)),
            PluginMetric(
                name: "headwater_kafka_records_in_flight", help: "Records that have no outcome yet.", kind: .gauge, labels: labels,
                value: Double(figures.inFlight)),
        ]
        for (outcome, count) in outcomes {
            metrics.append(
                counter("headwater_kafka_records_total", "Records by outcome.", Double(count), [(name: "outcome", value: outcome)]))
        }
        for (outcome, reason, count) in reasons.sorted(by: { $0.1 < $1.1 }) {
            metrics.append(
                counter(
                    "headwater_kafka_record_errors_total", "Records that failed or were refused, by reason.", Double(count),
                    [(name: "outcome", value: outcome), (name: "reason", value: reason)]))
        }
        return metrics
    }

    private func metrics(of producer: KafkaProducer) -> [PluginMetric] {
        let figures = producer.figures
        let labels = [(name: "cluster", value: producer.cluster.name)]
        func metric(_ kind: PluginMetric.Kind, _ name: String, _ help: String, _ value: Double) -> PluginMetric {
            PluginMetric(name: name, help: help, kind: kind, labels: labels, value: value)
        }
        var metrics = [
            metric(
                .gauge, "headwater_kafka_cluster_up", "1 while the cluster can be reached and acknowledges.",
                figures.condition == .up ? 1 : 0),
            metric(
                .gauge, "headwater_kafka_brokers_connected", "Kafka brokers with a working connection.",
                Double(figures.connectedBrokers)),
            metric(
                .gauge, "headwater_kafka_records_waiting", "Records that librdkafka does not have yet.", Double(figures.waiting)),
            metric(
                .gauge, "headwater_kafka_stalled_seconds", "Seconds without any acknowledgement while records wait for one.",
                Double(figures.stalledMilliseconds) / 1000),
            metric(
                .counter, "headwater_kafka_retries_total", "Records handed over again and requests sent again.",
                Double(figures.retries)),
            metric(
                .counter, "headwater_kafka_producer_replacements_total", "Producers replaced after a fatal error.",
                Double(figures.replacements)),
        ]
        if let address = bootstrapServers(of: producer.cluster.name) {
            metrics.append(
                PluginMetric(
                    name: "headwater_kafka_bootstrap_info", help: "Where the cluster is.", kind: .gauge,
                    labels: labels + [
                        (name: "bootstrap", value: address), (name: "embedded", value: producer.cluster.isEmbedded ? "true" : "false"),
                    ], value: 1))
        }
        return metrics
    }
}
