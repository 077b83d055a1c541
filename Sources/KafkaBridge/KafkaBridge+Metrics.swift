import MQTTModel
import PluginAPI

/// The bridge's figures for `/metrics` (docs/bridge-operations.md has the table). For each route, at every scrape:
/// in = sent + outbox + dead-lettered + dropped.
extension KafkaBridge {
    public func metrics() -> [PluginMetric] {
        let outboxes = Dictionary(uniqueKeysWithValues: outboxes.map { ($0.outbox.configuration.name, $0) })
        return routes.flatMap { route in
            let page = RouteMetrics(route)
            return outboxes[route.configuration.name].map(page.metrics(of:)) ?? page.metricsWithoutOutbox()
        } + producers.sorted { $0.key < $1.key }.flatMap { metrics(of: $0.value) } + inboundMetrics()
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

/// The figures of one route.
private struct RouteMetrics {
    private let route: Route
    private let labels: [(name: String, value: String)]

    init(_ route: Route) {
        self.route = route
        labels = [(name: "route", value: route.configuration.name), (name: "cluster", value: route.configuration.cluster)]
    }

    private func counter(_ name: String, _ help: String, _ value: Int, _ extra: [(name: String, value: String)] = []) -> PluginMetric {
        PluginMetric(name: "headwater_kafka_\(name)", help: help, kind: .counter, labels: labels + extra, value: Double(value))
    }

    private func gauge(_ name: String, _ help: String, _ value: Double, _ extra: [(name: String, value: String)] = []) -> PluginMetric {
        PluginMetric(name: "headwater_kafka_\(name)", help: help, kind: .gauge, labels: labels + extra, value: value)
    }

    /// One sample for each reason, in order.
    private func counters(_ name: String, _ help: String, _ values: [String: Int]) -> [PluginMetric] {
        values.sorted { $0.key < $1.key }.map { counter(name, help, $0.value, [(name: "reason", value: $0.key)]) }
    }

    /// What every route has.
    private func common(_ figures: RouteFigures) -> [PluginMetric] {
        // Each reason that can come is there from the start, so that its first time is a rise and not a new series.
        let noDrops = Dictionary(uniqueKeysWithValues: RouteBalance.DropReason.allCases.map { ($0.rawValue, 0) })
        return [
            counter("records_in_total", "Messages that took the route.", figures.received),
            counter("records_sent_total", "Records that Kafka has acknowledged.", figures.sent),
            counter(
                "sent_bytes_total", "Bytes of records that Kafka has acknowledged: payloads; of a route with an outbox whole entries.",
                figures.sentBytes),
            gauge("outbox_records", "Records that Kafka does not have yet; of a route without an outbox: in flight.", Double(figures.outbox)),
            counter(
                "timestamp_fallbacks_total", "Records with the time of receipt, as the payload had no time where the route looks.",
                route.counters.figures.timestampFallbacks),
        ] + counters("records_dead_lettered_total", "Records that went to the dead letters, by reason.", figures.dead)
            + counters("records_dropped_total", "Records that were given up, by reason.", noDrops.merging(figures.dropped) { $1 })
            + counters("records_refused_total", "Messages refused before the route took them, by reason.", figures.refused)
    }

    func metrics(of running: RunningOutbox) -> [PluginMetric] {
        let figures = running.outbox.balance.figures
        var metrics = common(RouteFigures(figures))
        metrics += [
            gauge("outbox_bytes", "Bytes of records in the outbox, with 44 for keeping each.", Double(figures.outboxBytes)),
            counter("records_retried_total", "Records handed to Kafka's producer again.", figures.retried),
            PluginMetric(
                name: "headwater_kafka_latency_seconds", help: "From PUBLISH received to Kafka's acknowledgement.", labels: labels,
                buckets: PluginBuckets(bounds: LatencyBuckets.bounds.map { Double($0) / 1000 }, counts: figures.latency.counts),
                sum: Double(figures.latency.sumMilliseconds) / 1000),
            gauge("dead_letters_kept", "Dead letters in the broker's store, for an operator to look at.", Double(running.kept.count)),
            counter("dead_letters_resent_total", "Dead letters put into the outbox again.", figures.resent),
            gauge("paused", "1 while an operator has the route paused.", running.outbox.control.isPaused ? 1 : 0),
        ]
        if let seconds = running.oldestSeconds { metrics.append(gauge("outbox_oldest_seconds", "Age of the oldest record in the outbox.", seconds)) }
        let now = MessageClock.now.monotonicMilliseconds
        for (number, reporter) in running.reporters.enumerated() {
            let (status, shard) = (reporter.status, [(name: "shard", value: "\(number)")])
            metrics += [
                gauge("shard_up", "1 while Kafka acknowledges this shard's records.", status.health.condition == .up ? 1 : 0, shard),
                gauge(
                    "shard_stalled_seconds", "Seconds without any acknowledgement while records wait for one.",
                    Double(status.health.stalledMilliseconds(now: now)) / 1000, shard),
                counter("shard_producer_replacements_total", "Producers replaced after a fatal error.", status.replacements, shard),
            ]
            // Transactional producers keep no statistics.
            guard route.configuration.delivery.level != .exactlyOnce else { continue }
            metrics.append(
                gauge("shard_brokers_connected", "Kafka brokers with a working connection.", Double(status.health.connectedBrokers), shard))
        }
        return metrics
    }

    /// The second half are names from before there were outboxes: in = acknowledged + failed + refused + in flight.
    func metricsWithoutOutbox() -> [PluginMetric] {
        let figures = route.counters.figures
        var metrics = common(RouteFigures(figures))
        metrics += [
            counter("record_bytes_total", "Payload bytes of acknowledged records.", figures.acknowledgedBytes),
            PluginMetric(
                name: "headwater_kafka_delivery_seconds_total",
                help: "Seconds from PUBLISH received to Kafka's acknowledgement, summed over acknowledged records.", kind: .counter,
                labels: labels, value: Double(figures.delayNanoseconds) / 1e9),
            gauge("records_in_flight", "Records that have no outcome yet.", Double(figures.inFlight)),
        ]
        for (outcome, count) in [
            ("acknowledged", figures.acknowledged), ("failed", figures.failedTotal), ("refused", figures.refusedTotal),
        ] {
            metrics.append(counter("records_total", "Records by outcome.", count, [(name: "outcome", value: outcome)]))
        }
        let reasons = figures.failed.map { ("failed", $0.rawValue, $1) } + figures.refused.map { ("refused", $0.rawValue, $1) }
        for (outcome, reason, count) in reasons.sorted(by: { $0.1 < $1.1 }) {
            metrics.append(
                counter(
                    "record_errors_total", "Records that failed or were refused, by reason.", count,
                    [(name: "outcome", value: outcome), (name: "reason", value: reason)]))
        }
        return metrics
    }
}
