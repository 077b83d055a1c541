import CRdKafka
import Logging
import MQTTModel

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The producer's thread: takes librdkafka's events, sends what waits, and replaces a client that has had a fatal error.
///
/// Owned by that thread; nothing here is Sendable.
final class ReportLoop {
    private let producer: KafkaProducer
    private let logger: Logger
    private let bootstrapServers: String
    private var client: KafkaClient?
    private var messages = [UnsafePointer<rd_kafka_message_t>?](repeating: nil, count: 512)
    private var isFatal = false
    /// Milliseconds; records that came back are not sent before it.
    private var retryNotBefore: UInt64 = 0
    private var openNotBefore: UInt64 = 0
    private var openDelay: UInt64 = ReportLoop.shortestDelay
    private var retriesOfClient = 0
    private let logLimit = LogLimit(lines: 10, seconds: 10)

    /// Milliseconds between attempts: short, since mostly the first one helps; long, so as not to hammer a sick cluster.
    private static let shortestDelay: UInt64 = 100
    private static let longestDelay: UInt64 = 10_000
    private static let pollMilliseconds: Int32 = 100
    /// Records sent under one hold of the lock, so that event loops wait microseconds for it.
    private static let drainSlice = 256

    init(producer: KafkaProducer, client: KafkaClient, bootstrapServers: String) {
        self.producer = producer
        self.client = client
        self.bootstrapServers = bootstrapServers
        self.logger = producer.logger
    }

    func run() {
        var hasMore = false
        while true {
            if let client {
                takeEvents(of: client, waitMilliseconds: hasMore ? 0 : Self.pollMilliseconds)
                if isFatal { retire(client) }
            } else {
                openNewClient()
            }
            let now = MessageClock.now.monotonicMilliseconds
            hasMore = drain(now: now)
            tick(now: now)
            if isDone(now: now) { break }
        }
        finish()
    }

    // MARK: - Events

    private func takeEvents(of client: KafkaClient, waitMilliseconds: Int32) {
        guard let event = rd_kafka_queue_poll(client.queue, waitMilliseconds) else { return }
        defer { rd_kafka_event_destroy(event) }
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_DR:
            takeReports(event)
        case RD_KAFKA_EVENT_ERROR:
            let text = String(cString: rd_kafka_event_error_string(event))
            if rd_kafka_event_error_is_fatal(event) != 0 {
                isFatal = true
                logger.error("Kafka producer has a fatal error and is replaced: \(text)", metadata: metadata)
            } else {
                received(error: rd_kafka_event_error(event), text: text)
            }
        case RD_KAFKA_EVENT_LOG:
            takeLogLine(event)
        case RD_KAFKA_EVENT_STATS:
            takeStatistics(event)
        default:
            break
        }
    }

    private func takeReports(_ event: OpaquePointer) {
        let now = MessageClock.now
        var reported = 0
        var suspects = 0
        var acknowledged = 0
        var returned: [KafkaRecord] = []
        while true {
            let count = rd_kafka_event_message_array(event, &messages, messages.count)
            if count == 0 { break }
            reported += count
            for index in 0..<count {
                guard let message = messages[index], let opaque = message.pointee._private else { continue }
                // The reference that KafkaRecord.send gave to librdkafka.
                let record = Unmanaged<KafkaRecord>.fromOpaque(opaque).takeRetainedValue()
                if record.suspicion > 0 { suspects += 1 }
                let verdict = DeliveryVerdict(message.pointee.err)
                switch verdict {
                case .acknowledged:
                    acknowledged += 1
                    record.acknowledged(atNanoseconds: now.monotonicNanoseconds)
                case .again where record.isDroppable:
                    record.dropped()  // it may be in Kafka: at most once
                case .again:
                    returned.append(record)
                case .failed where verdict.blamesBatch && record.suspicion < 2:
                    record.suspicion += 1
                    returned.append(record)
                case .failed(let failure):
                    record.failed(failure, error: message.pointee.err)
                }
            }
        }
        if !returned.isEmpty { retryNotBefore = now.monotonicMilliseconds + (isFatal ? 0 : Self.shortestDelay) }
        if acknowledged > 0 { openDelay = Self.shortestDelay }
        let transition = producer.withState { state in
            state.inFlight -= reported
            state.suspectsInFlight -= suspects
            state.retries += returned.count
            if !returned.isEmpty { state.waiting.insert(returned: returned) }
            return acknowledged > 0 ? state.health.acknowledged(now: now.monotonicMilliseconds) : nil
        }
        log(transition)
    }

    private func received(error: rd_kafka_resp_err_t, text: String) {
        switch error {
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
            let now = MessageClock.now.monotonicMilliseconds
            log(producer.withState { $0.health.allBrokersDown(now: now) })
        default:
            logLimited(.debug, text)  // librdkafka's log line tells the same
        }
    }

    private func takeLogLine(_ event: OpaquePointer) {
        var facility: UnsafePointer<CChar>?
        var text: UnsafePointer<CChar>?
        var level: Int32 = 0
        guard rd_kafka_event_log(event, &facility, &text, &level) == 0, let text else { return }
        // Levels of syslog: 3 is an error, 4 a warning. librdkafka calls a lost connection an error; the bridge goes on.
        logLimited(level <= 4 ? .warning : level <= 6 ? .info : .debug, String(cString: text))
    }

    private func takeStatistics(_ event: OpaquePointer) {
        guard let json = rd_kafka_event_stats(event) else { return }
        let statistics = ProducerStatistics(json: UnsafeRawBufferPointer(start: json, count: strlen(json)))
        let added = max(0, statistics.retries - retriesOfClient)
        retriesOfClient = statistics.retries
        let now = MessageClock.now.monotonicMilliseconds
        log(
            producer.withState { state in
                state.retries += added
                return state.health.counted(connectedBrokers: statistics.connectedBrokers, now: now)
            })
    }

    // MARK: - Sending what waits

    /// Sends waiting records in order, as many as librdkafka takes. A broker turns down a whole batch for one record that
    /// is too large; so records of such a batch are sent once more, apart from all others: first in small groups, then
    /// one by one, until the verdict can only mean the one.
    /// - Returns: Whether it stopped only to let others have the lock.
    private func drain(now: UInt64) -> Bool {
        guard now >= retryNotBefore else { return false }
        var failures: [(KafkaRecord, rd_kafka_resp_err_t)] = []
        let hasMore = producer.withState { state in
            var sent = 0
            while state.client != nil, let record = state.waiting.first, state.suspectsInFlight == 0 || record.suspicion > 0 {
                if record.suspicion > 0, !Self.maySendSuspect(record, &state) { return false }
                if sent == Self.drainSlice { return true }
                let error = state.send(record)
                switch DeliveryVerdict(error) {
                case .acknowledged:
                    if record.suspicion > 0 { state.suspectsInFlight += 1 }
                case .again:
                    return false
                case .failed:
                    failures.append((record, error))
                }
                state.waiting.removeFirst()
                sent += 1
            }
            return false
        }
        for (record, error) in failures {
            if case .failed(let failure) = DeliveryVerdict(error) { record.failed(failure, error: error) }
        }
        return hasMore
    }

    private static func maySendSuspect(_ record: KafkaRecord, _ state: inout KafkaProducer.State) -> Bool {
        // Only suspects in flight, and fewer than the group: 64 after the first refusal, one after the second.
        state.inFlight == state.suspectsInFlight && state.suspectsInFlight < (record.suspicion == 1 ? 64 : 1)
    }

    private func tick(now: UInt64) {
        log(producer.withState { $0.health.ticked(unacknowledged: $0.inFlight + $0.waiting.count, now: now) })
    }

    // MARK: - Replacing the client

    /// Takes every record back from a client that can't go on, in order, and ends it. Some of them may be in Kafka
    /// already and will be there twice: at least once is the promise.
    private func retire(_ client: KafkaClient) {
        producer.uninstallClient()
        rd_kafka_purge(client.client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
        while rd_kafka_outq_len(client.client) > 0 {
            takeEvents(of: client, waitMilliseconds: Self.pollMilliseconds)
            if isPastDeadline { break }
        }
        self.client = nil
        client.destroy()
        retriesOfClient = 0
        producer.withState { state in
            state.replacements += 1
            // A record that the deadline kept from coming back stays counted as unsent.
            state.suspectsInFlight = 0
        }
        openNotBefore = MessageClock.now.monotonicMilliseconds + openDelay
        openDelay = min(openDelay * 2, Self.longestDelay)
    }

    private func openNewClient() {
        guard MessageClock.now.monotonicMilliseconds >= openNotBefore else {
            usleep(20_000)
            return
        }
        do {
            let new = try KafkaClient(cluster: producer.cluster, bootstrapServers: bootstrapServers)
            isFatal = false
            client = new
            producer.install(new)
            logger.notice("Kafka producer replaced", metadata: metadata)
        } catch {
            openNotBefore = MessageClock.now.monotonicMilliseconds + openDelay
            openDelay = min(openDelay * 2, Self.longestDelay)
            logger.error("Kafka producer can't be made anew: \(error.reason)", metadata: metadata)
        }
    }

    // MARK: - The end

    private var isPastDeadline: Bool {
        guard case .stopping(let deadline) = producer.withState({ $0.phase }) else { return false }
        return MessageClock.now.monotonicMilliseconds >= deadline
    }

    private func isDone(now: UInt64) -> Bool {
        let (phase, unsent) = producer.withState { ($0.phase, $0.inFlight + $0.waiting.count) }
        guard case .stopping(let deadline) = phase else { return false }
        if unsent == 0 || now >= deadline { return true }
        // With delivery reports as events, flush only stops librdkafka from waiting for fuller batches.
        if let client { rd_kafka_flush(client.client, 10) }
        return false
    }

    private func finish() {
        producer.uninstallClient()
        if let client {
            // Records in flight come back, so that nobody sends from a message that has been freed.
            rd_kafka_purge(client.client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
            let deadline = MessageClock.now.monotonicMilliseconds + 1_000
            while rd_kafka_outq_len(client.client) > 0, MessageClock.now.monotonicMilliseconds < deadline {
                takeEvents(of: client, waitMilliseconds: 10)
            }
            client.destroy()
        }
        client = nil
        let (waiters, unsent) = producer.withState { state in
            let unsent = state.inFlight + state.waiting.count
            state.phase = .stopped(unsent: unsent)
            state.waiting.removeAll()
            defer { state.stopWaiters = [] }
            return (state.stopWaiters, unsent)
        }
        for waiter in waiters { waiter.resume(returning: unsent) }
    }

    // MARK: - The log

    private var metadata: Logger.Metadata { ["cluster": "\(producer.cluster.name)"] }

    private func log(_ transition: ClusterHealth.Transition?) {
        switch transition {
        case .up(let seconds):
            logger.notice("Kafka cluster is up", metadata: metadata.merging(["after_seconds": "\(seconds)"]) { $1 })
        case .down:
            logger.warning("Kafka cluster is down: no broker can be reached; records wait", metadata: metadata)
        case .stalled(let unacknowledged):
            logger.warning(
                "Kafka cluster has acknowledged nothing for \(ClusterHealth.stallSeconds) s; records wait",
                metadata: metadata.merging(["records": "\(unacknowledged)"]) { $1 })
        case nil: break
        }
    }

    private func logLimited(_ level: Logger.Level, _ text: String) {
        guard logger.logLevel <= level, let left = logLimit.admit() else { return }
        logger.log(
            level: level, "librdkafka: \(text)\(left > 0 ? " (\(left) lines were left out)" : "")", metadata: metadata)
    }
}
