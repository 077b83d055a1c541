import Headwater
import PluginAPI

/// The page of `/metrics`: the broker's statistics, its plugins' figures and the process's own.
struct BrokerMetrics {
    private var page = PrometheusText()

    /// - Parameter plugins: In any order; samples of one name are brought together.
    static func text(_ statistics: BrokerStatistics, plugins: [PluginMetric], process: ProcessFigures?) -> String {
        var metrics = BrokerMetrics()
        metrics.connections(statistics)
        metrics.sessions(statistics)
        metrics.messages(statistics)
        metrics.deliveries(statistics)
        metrics.latencies(statistics)
        metrics.security(statistics)
        metrics.tenants(statistics)
        if let store = statistics.store { metrics.store(store) }
        metrics.plugins(plugins)
        if let process { metrics.process(process) }
        return metrics.page.text
    }

    private mutating func connections(_ figures: BrokerStatistics) {
        page.gauge(
            "headwater_start_time_seconds", "When the broker was started, in Unix time.", Int(figures.startedUnixMilliseconds / 1_000))
        page.gauge("headwater_event_loops", "Threads that serve connections.", figures.eventLoops)
        page.gauge("headwater_connections", "Clients connected now.", figures.connections)
        page.counter("headwater_connections_accepted_total", "Network connections accepted.", figures.connectionsAccepted)
        page.counter(
            "headwater_connections_turned_away_total", "Network connections closed at once because of a limit on their number.",
            figures.connectionsTurnedAway)
        page.counter(
            "headwater_connections_refused_total", "CONNECTs refused, by reason code.", label: "code", byCode(figures.connectionsRefused))
        page.counter(
            "headwater_disconnects_total", "Connections ended, by cause.", label: "cause",
            figures.disconnects.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        page.counter(
            "headwater_protocol_errors_total", "Malformed packets and protocol errors, by reason code.", label: "code",
            byCode(figures.protocolErrors))
        page.counter("headwater_received_bytes_total", "Bytes received from clients.", figures.bytesReceived)
        page.counter("headwater_sent_bytes_total", "Bytes sent to clients.", figures.bytesSent)
        page.counter("headwater_packets_received_total", "MQTT packets received.", figures.packetsReceived)
        page.counter("headwater_packets_sent_total", "MQTT packets sent.", figures.packetsSent)
        page.gauge(
            "headwater_paused_publishers", "Connections that are not being read now, to slow the publisher.", figures.pausedPublishers)
    }

    private mutating func sessions(_ figures: BrokerStatistics) {
        page.gauge("headwater_sessions", "Sessions, connected or not.", figures.sessions)
        page.gauge("headwater_sessions_offline", "Sessions without a connection.", figures.sessionsOffline)
        page.counter("headwater_takeovers_total", "Connections ended by another with the same client identifier.", figures.takeovers)
        page.gauge("headwater_subscriptions", "Subscriptions, shared ones included.", figures.subscriptions)
        page.gauge("headwater_shared_subscriptions", "Shared subscriptions.", figures.sharedSubscriptions)
        page.gauge("headwater_retained_messages", "Retained messages.", figures.retainedMessages)
        page.gauge("headwater_retained_bytes", "Bytes of retained messages.", figures.retainedBytes)
    }

    private mutating func messages(_ figures: BrokerStatistics) {
        page.counter("headwater_messages_received_total", "PUBLISH received, by QoS.", label: "qos", byQoS(figures.messagesReceived))
        page.counter("headwater_messages_sent_total", "PUBLISH sent, by QoS.", label: "qos", byQoS(figures.messagesSent))
        page.counter(
            "headwater_payload_received_bytes_total", "Payload bytes of PUBLISH received, by QoS.", label: "qos",
            byQoS(figures.payloadBytesReceived))
        page.counter(
            "headwater_payload_sent_bytes_total", "Payload bytes of PUBLISH sent, by QoS.", label: "qos", byQoS(figures.payloadBytesSent))
        page.counter(
            "headwater_messages_without_receiver_total", "PUBLISH routed that nobody had subscribed to.", figures.messagesWithoutReceiver)
        page.counter(
            "headwater_messages_refused_total", "PUBLISH not routed, by reason.", label: "reason",
            BrokerStatistics.RefusalReason.allCases.map { ($0.rawValue, figures.messagesRefused[$0] ?? 0) })
        page.counter(
            "headwater_duplicates_recognized_total", "QoS 2 PUBLISH received again and not routed again.", figures.duplicatesRecognized)
        page.counter("headwater_wills_published_total", "Will messages published.", figures.willsPublished)
        page.gauge("headwater_held_publishes", "Publishes whose acknowledgement waits for a plugin.", figures.heldPublishes)
    }

    private mutating func deliveries(_ figures: BrokerStatistics) {
        page.counter("headwater_deliveries_due_total", "Deliveries that publishes gave rise to.", figures.deliveriesDue)
        page.counter("headwater_delivered_total", "Deliveries made.", figures.delivered)
        page.counter("headwater_expired_total", "Deliveries not made as the message had expired.", figures.expired)
        page.counter(
            "headwater_dropped_total", "Deliveries not made, by reason.", label: "reason",
            BrokerStatistics.DropReason.allCases.map { ($0.rawValue, figures.dropped[$0] ?? 0) })
        page.gauge("headwater_queued_messages", "Deliveries that wait or are in flight.", figures.queuedMessages)
        page.gauge("headwater_queued_bytes", "Bytes of deliveries that wait for a window or a socket.", figures.queuedBytes)
        page.gauge("headwater_inflight_messages", "QoS 1 and 2 deliveries sent and not yet acknowledged.", figures.inflightMessages)
    }

    private mutating func latencies(_ figures: BrokerStatistics) {
        latency("headwater_delivery_latency_seconds", "From PUBLISH received to bytes handed to the socket.", figures.deliveryLatency)
        latency("headwater_event_loop_lag_seconds", "How late a timer fires on an event loop.", figures.eventLoopLag)
    }

    private mutating func security(_ figures: BrokerStatistics) {
        page.counter("headwater_tls_handshakes_total", "TLS handshakes completed, resumed ones included.", figures.handshakes.completed)
        page.counter(
            "headwater_tls_handshake_steps_aside_total", "Steps of TLS handshakes that were kept out of the way of flowing messages, on threads.",
            figures.handshakes.stepsOnThreads)
        page.counter("headwater_tls_resumptions_total", "TLS handshakes completed with the keys of an earlier connection.", figures.handshakes.resumed)
        page.counter(
            "headwater_tls_handshake_failures_total", "TLS handshakes not completed, by reason.", label: "reason",
            figures.handshakes.failed.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        page.gauge("headwater_tls_handshakes_under_way", "TLS handshakes begun and not completed.", figures.handshakesUnderWay)
        page.begin("headwater_tls_certificate_expiry_days", "Days until a certificate expires; below 0 it has.", type: "gauge")
        for certificate in figures.certificates {
            page.sample(
                "headwater_tls_certificate_expiry_days", [("listener", certificate.listener), ("file", certificate.file)],
                PrometheusText.number(certificate.daysLeft))
        }
        page.counter("headwater_quota_pauses_total", "Times that a connection was left unread for its quota.", figures.quotaPauses)
        page.counter("headwater_websocket_failures_total", "WebSocket upgrades refused, and frames that were none.", figures.webSocketFailures)
        page.counter("headwater_proxy_failures_total", "PROXY headers missing, malformed or not trusted.", figures.proxyFailures)
        page.counter(
            "headwater_logins_failed_total", "Logins refused, by reason.", label: "reason",
            figures.loginsFailed.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        page.counter(
            "headwater_connections_revoked_total", "Connections closed since files changed and their clients would not be let in now.",
            figures.connectionsRevoked)
        page.counter("headwater_reloads_total", "Reloads of certificates, passwords and rules.", figures.reloads)
        page.counter("headwater_reload_failures_total", "Reloads that found a fault and changed nothing.", figures.reloadFailures)
        page.gauge("headwater_reload_failed", "1 while files have a fault and what they said before is in force.", figures.isReloadFailed ? 1 : 0)
    }

    /// The default tenant has an empty name. Without tenants there are no such metrics, as the others say it all.
    private mutating func tenants(_ figures: BrokerStatistics) {
        guard !figures.tenants.isEmpty else { return }
        let tenants = figures.tenants.sorted { $0.key < $1.key }
        func values(_ field: (TenantStatistics) -> Int) -> [(String, Int)] { tenants.map { ($0.key, field($0.value)) } }
        page.gauge("headwater_tenant_connections", "Clients of a tenant connected now.", label: "tenant", values(\.connections))
        page.gauge("headwater_tenant_sessions", "Sessions of a tenant.", label: "tenant", values(\.sessions))
        page.gauge("headwater_tenant_retained_messages", "Retained messages of a tenant.", label: "tenant", values(\.retainedMessages))
        page.gauge("headwater_tenant_retained_bytes", "Bytes of a tenant's retained messages.", label: "tenant", values(\.retainedBytes))
        page.counter(
            "headwater_tenant_connections_refused_total", "CONNECTs of a tenant refused.", label: "tenant", values(\.connectionsRefused))
        page.counter(
            "headwater_tenant_messages_received_total", "PUBLISH received from a tenant.", label: "tenant", values(\.messagesReceived))
        page.counter("headwater_tenant_messages_sent_total", "PUBLISH sent to a tenant.", label: "tenant", values(\.messagesSent))
        page.counter("headwater_tenant_received_bytes_total", "Bytes received from a tenant.", label: "tenant", values(\.bytesReceived))
        page.counter("headwater_tenant_sent_bytes_total", "Bytes sent to a tenant.", label: "tenant", values(\.bytesSent))
        page.counter("headwater_tenant_dropped_total", "Deliveries to a tenant not made.", label: "tenant", values(\.messagesDropped))
        page.counter("headwater_tenant_messages_refused_total", "PUBLISH of a tenant not routed.", label: "tenant", values(\.messagesRefused))
        page.counter(
            "headwater_tenant_quota_pauses_total", "Times that a connection was left unread for its quota or its tenant's.",
            label: "tenant", values(\.quotaPauses))
    }

    private mutating func store(_ figures: StoreStatistics) {
        page.counter(
            "headwater_store_commits_total", "Transactions of the store; with durability sync each is one synchronisation of the disk.",
            figures.commits)
        page.counter("headwater_store_operations_total", "Changes written to the store.", figures.operations)
        page.counter(
            "headwater_store_written_bytes_total", "Bytes of records written to the store, without pages around them.", figures.bytesWritten
        )
        page.gauge("headwater_store_batch_operations", "Changes in the last transaction of the store.", figures.lastBatch)
        page.gauge("headwater_store_batch_operations_max", "Changes in the largest transaction of the store.", figures.largestBatch)
        latency(
            "headwater_store_commit_seconds", "Time of a transaction of the store, with its synchronisation where durability is sync.",
            figures.commitLatency)
        page.counter(
            "headwater_store_syncs_total",
            "Synchronisations of the disk beside the transactions: none with durability sync, where each transaction is one.",
            figures.synchronizations)
        latency("headwater_store_sync_seconds", "Time of a synchronisation beside the transactions.", figures.synchronizationLatency)
        page.gauge(
            "headwater_store_failed", "1 while the store takes nothing more: it can't be written, or is full.",
            figures.failure == nil ? 0 : 1)
        page.counter("headwater_store_failures_total", "Times that the store began to take nothing more.", figures.failures)
        page.counter("headwater_store_damaged_records_total", "Records that could not be read and were left out.", figures.damagedRecords)
        page.gauge(
            "headwater_store_alarms", "What was found wrong with the store at the start and mended; /status has the words.",
            figures.alarms.count)
        page.gauge("headwater_store_map_bytes", "Largest size of the store (store.max_size).", figures.maxBytes)
        page.gauge("headwater_store_used_bytes", "Size of the store's file, free pages included.", figures.usedBytes)
        page.gauge("headwater_store_free_bytes", "Bytes of free pages in the store's file, which are used again.", figures.freeBytes)
    }

    private mutating func latency(_ name: String, _ help: String, _ histogram: LatencyHistogram) {
        page.histogram(
            name, help, boundsSeconds: LatencyHistogram.boundsMicroseconds.map { Double($0) / 1_000_000 }, counts: histogram.counts,
            sumSeconds: Double(histogram.sumMicroseconds) / 1_000_000)
    }

    private mutating func plugins(_ metrics: [PluginMetric]) {
        var order: [String] = []
        var byName: [String: [PluginMetric]] = [:]
        for metric in metrics
        where PrometheusText.isName(metric.name) && metric.labels.allSatisfy({ PrometheusText.isName($0.name, isLabel: true) }) {
            if byName[metric.name] == nil { order.append(metric.name) }
            byName[metric.name, default: []].append(metric)
        }
        for name in order {
            guard let samples = byName[name], let first = samples.first else { continue }
            page.begin(name, first.help, type: first.kind.rawValue)
            // Another kind under the same name would make Prometheus refuse the whole page.
            for sample in samples where sample.kind == first.kind {
                if let buckets = sample.buckets {
                    page.buckets(name, sample.labels, bounds: buckets.bounds, counts: buckets.counts, sum: sample.value)
                } else {
                    page.sample(name, sample.labels, PrometheusText.number(sample.value))
                }
            }
        }
    }

    private mutating func process(_ figures: ProcessFigures) {
        page.gauge("process_resident_memory_bytes", "Resident memory.", figures.residentBytes)
        page.begin("process_cpu_seconds_total", "User and system time.", type: "counter")
        page.sample("process_cpu_seconds_total", [], PrometheusText.number(figures.cpuSeconds))
    }

    private func byQoS(_ figures: BrokerStatistics.ByQoS) -> [(String, Int)] { (0...2).map { ("\($0)", figures[$0]) } }

    private func byCode(_ figures: [UInt8: Int]) -> [(String, Int)] {
        figures.sorted { $0.key < $1.key }.map { code, count in
            let hex = String(code, radix: 16, uppercase: true)
            return ("0x\(hex.count < 2 ? "0" : "")\(hex)", count)
        }
    }
}
