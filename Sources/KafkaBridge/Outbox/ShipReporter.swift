import CRdKafka
import Logging
import MQTTModel
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What a shipping thread tells the log and the metrics about its cluster.
///
/// Sendable: the thread writes, scrapes read, under a lock.
final class ShipReporter: Sendable {
    struct Status: Sendable {
        var health: ClusterHealth
        var replacements = 0
        var librdkafkaRetries = 0
    }

    private let route: String
    private let cluster: String
    private let logger: Logger
    private let logLimit = LogLimit(lines: 10, seconds: 10)
    private let lastError: LastError
    private let state: Mutex<Status>

    init(route: String, cluster: String, lastError: LastError = LastError(), logger: Logger) {
        self.lastError = lastError
        self.route = route
        self.cluster = cluster
        self.logger = logger
        state = Mutex(Status(health: ClusterHealth(now: MessageClock.now.monotonicMilliseconds)))
    }

    var status: Status { state.withLock { $0 } }

    func acknowledged(now: UInt64) { tell(state.withLock { $0.health.acknowledged(now: now) }) }
    func ticked(waiting: Int, now: UInt64) { tell(state.withLock { $0.health.ticked(unacknowledged: waiting, now: now) }) }

    func replaced() {
        state.withLock { $0.replacements += 1 }
        log(.notice, "Kafka producer is replaced")
    }

    /// Everything but delivery reports.
    /// - Returns: Whether the producer is of no more use.
    func received(_ event: OpaquePointer) -> Bool {
        let now = MessageClock.now.monotonicMilliseconds
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_ERROR:
            let text = String(cString: rd_kafka_event_error_string(event))
            if rd_kafka_event_error_is_fatal(event) != 0 {
                lastError.note("fatal: \(text)")
                logger.error("Kafka producer has a fatal error and is replaced: \(text)", metadata: metadata)
                return true
            }
            lastError.note(text)
            if rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN {
                tell(state.withLock { $0.health.allBrokersDown(now: now) })
            } else {
                log(.debug, "librdkafka: \(text)")
            }
        case RD_KAFKA_EVENT_LOG:
            var facility: UnsafePointer<CChar>?
            var text: UnsafePointer<CChar>?
            var level: Int32 = 0
            guard rd_kafka_event_log(event, &facility, &text, &level) == 0, let text else { break }
            log(level <= 4 ? .warning : level <= 6 ? .info : .debug, "librdkafka: \(String(cString: text))")
        case RD_KAFKA_EVENT_STATS:
            guard let json = rd_kafka_event_stats(event) else { break }
            let statistics = ProducerStatistics(json: UnsafeRawBufferPointer(start: json, count: strlen(json)))
            tell(
                state.withLock { state in
                    state.librdkafkaRetries = statistics.retries
                    return state.health.counted(connectedBrokers: statistics.connectedBrokers, now: now)
                })
        default: break
        }
        return false
    }

    /// What is too common for the log, and all that an operator has to go by while nothing is sent.
    func note(_ text: String) { lastError.note(text) }

    func log(_ level: Logger.Level, _ text: String, reason: String? = nil) {
        if level >= .warning { lastError.note(text) }
        guard logger.logLevel <= level, let left = logLimit.admit() else { return }
        var metadata = metadata
        if let reason { metadata["reason"] = "\(reason)" }
        logger.log(level: level, "\(text)\(left > 0 ? " (\(left) lines were left out)" : "")", metadata: metadata)
    }

    private var metadata: Logger.Metadata { ["route": "\(route)", "cluster": "\(cluster)"] }

    private func tell(_ transition: ClusterHealth.Transition?) {
        switch transition {
        case .up(let seconds):
            logger.notice("Kafka cluster is up", metadata: metadata.merging(["after_seconds": "\(seconds)"]) { $1 })
        case .down: logger.warning("Kafka cluster is down: no broker can be reached; records wait in the outbox", metadata: metadata)
        case .stalled(let unacknowledged):
            logger.warning(
                "Kafka cluster has acknowledged nothing for \(ClusterHealth.stallSeconds) s; records wait in the outbox",
                metadata: metadata.merging(["records": "\(unacknowledged)"]) { $1 })
        case nil: break
        }
    }
}
