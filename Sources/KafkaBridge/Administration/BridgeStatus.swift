import Encodings
import MQTTModel

/// How the bridge is, for an operator: routes and clusters with what they do and what became of everything.
struct BridgeStatus {
    let bridge: KafkaBridge

    var json: JSONValue {
        let outboxes = bridge.outboxes
        return [
            "routes": .array(
                bridge.routes.map { route in
                    outboxes.first { $0.outbox.configuration.name == route.configuration.name }.map { self.route($0) } ?? self.route(route)
                }),
            "clusters": .array(bridge.producers.sorted { $0.key < $1.key }.map { cluster($0.value) }),
        ]
    }

    /// What a route does now, worst first.
    enum State: String, Comparable {
        case paused, down, stalled, connecting, sending

        static func < (a: State, b: State) -> Bool { a.rank < b.rank }
        private var rank: Int {
            switch self {
            case .paused: 0
            case .down: 1
            case .stalled: 2
            case .connecting: 3
            case .sending: 4
            }
        }

        init(_ condition: ClusterHealth.Condition) {
            self =
                switch condition {
                case .connecting: .connecting
                case .up: .sending
                case .down: .down
                case .stalled: .stalled
                }
        }
    }

    private func route(_ running: RunningOutbox) -> JSONValue {
        let figures = running.outbox.balance.figures
        let now = MessageClock.now.monotonicMilliseconds
        let shards = running.reporters.map(\.status)
        var worst: (state: State, milliseconds: UInt64) = (.sending, .max)
        for shard in shards {
            let state = State(shard.health.condition)
            let since = shard.health.conditionMilliseconds(now: now)
            if state < worst.state || state == worst.state && since < worst.milliseconds { worst = (state, since) }
        }
        if running.outbox.control.isPaused { worst = (.paused, 0) }
        let more: JSONValue = [
            "outbox_bytes": .integer(figures.outboxBytes),
            "outbox_limit_bytes": .integer(running.outbox.configuration.delivery.outbox.maxBytes),
            "oldest_seconds": running.oldestSeconds.map { .real($0) } ?? .null,
            "latency_p99_milliseconds": figures.latency.quantile(0.99).map { .integer($0) } ?? .null,
            "resent": .integer(figures.resent),
            "dead_letters_kept": .integer(running.kept.count),
            "shards": .array(
                shards.map { shard in
                    [
                        "state": .string(State(shard.health.condition).rawValue), "brokers": .integer(shard.health.connectedBrokers),
                        "stalled_seconds": .real(Double(shard.health.stalledMilliseconds(now: now)) / 1000),
                        "producer_replacements": .integer(shard.replacements),
                    ]
                }),
        ]
        return .object([head(running.outbox.route, worst.state, worst.state == .paused ? nil : worst.milliseconds, RouteFigures(figures)), more])
    }

    private func route(_ route: Route) -> JSONValue {
        let producer = route.producer.figures
        return head(route, State(producer.condition), producer.conditionMilliseconds, RouteFigures(route.counters.figures))
    }

    private func head(_ route: Route, _ state: State, _ milliseconds: UInt64?, _ figures: RouteFigures) -> JSONValue {
        func reasons(_ counts: [String: Int]) -> JSONValue {
            .object(counts.sorted { $0.key < $1.key }.map { [$0.key: .integer($0.value)] })
        }
        return [
            "name": .string(route.configuration.name), "cluster": .string(route.configuration.cluster),
            "level": .string(route.configuration.delivery.level.rawValue), "state": .string(state.rawValue),
            "state_seconds": milliseconds.map { .integer($0 / 1000) } ?? .null, "in": .integer(figures.received), "sent": .integer(figures.sent),
            "sent_bytes": .integer(figures.sentBytes), "outbox": .integer(figures.outbox), "dead": reasons(figures.dead),
            "dropped": reasons(figures.dropped), "refused": reasons(figures.refused), "retried": figures.retried.map { .integer($0) } ?? .null,
            "last_error": route.lastError.entry.map { error in
                [
                    "text": .string(error.text),
                    "seconds_ago": .integer(max(MessageClock.now.unixMilliseconds - error.unixMilliseconds, 0) / 1000),
                ]
            } ?? .null,
        ]
    }

    private func cluster(_ producer: KafkaProducer) -> JSONValue {
        let figures = producer.figures
        return [
            "name": .string(producer.cluster.name), "bootstrap": .string(orNull: bridge.bootstrapServers(of: producer.cluster.name)),
            "embedded": .bool(producer.cluster.isEmbedded), "state": .string(figures.condition.rawValue),
            "state_seconds": .integer(figures.conditionMilliseconds / 1000), "brokers": .integer(figures.connectedBrokers),
        ]
    }
}
