import CRdKafka
import Logging
import MQTTModel
import Synchronization

/// Everything that goes to one Kafka cluster: one `KafkaClient` at a time, and the records that it does not have yet.
///
/// Event loops call `produce`; a thread of the producer's own (`ReportLoop`) takes the delivery reports. They meet under
/// one lock, which is never held while something waits. Within it the order of a publisher's records is kept: as long as
/// one record waits, all later ones go behind it.
///
/// No record is given up because Kafka is away. It ends with an acknowledgement, with a verdict about itself, or with
/// the process: then its publisher has no PUBACK and sends it again.
final class KafkaProducer: Sendable {
    let cluster: KafkaCluster
    let logger: Logger
    private let state: Mutex<State>

    /// What both sides share.
    struct State {
        /// `nil` before start, after the end, and while a new client replaces one with a fatal error.
        var client: KafkaClient?
        var topicNames: [String] = []
        var topicIndices: [String: Int] = [:]
        /// `rd_kafka_topic_t` of `client`, by the index of `TopicHandle`; empty without a client.
        var topics: [OpaquePointer?] = []
        var waiting = WaitingRecords()
        var nextSequence: UInt64 = 0
        /// Records that librdkafka has and not reported.
        var inFlight = 0
        /// Those of them that are sent apart; nothing else goes out meanwhile.
        var suspectsInFlight = 0
        var health: ClusterHealth
        var retries = 0
        var replacements = 0
        var phase = Phase.idle
        var stopWaiters: [CheckedContinuation<Int, Never>] = []

        /// Sends `record` now. Only with `client` there.
        mutating func send(_ record: KafkaRecord) -> rd_kafka_resp_err_t {
            guard let client, let topic = topics[record.binding.topic.index] else { return RD_KAFKA_RESP_ERR__STATE }
            let error = record.send(to: topic, of: client.client)
            if error == RD_KAFKA_RESP_ERR_NO_ERROR { inFlight += 1 }
            return error
        }
    }

    enum Phase: Equatable {
        case idle
        case running
        /// Milliseconds on the monotonic clock.
        case stopping(deadline: UInt64)
        /// So many records had no report.
        case stopped(unsent: Int)
    }

    init(cluster: KafkaCluster, logger: Logger) {
        self.cluster = cluster
        self.logger = logger
        self.state = Mutex(State(health: ClusterHealth(now: MessageClock.now.monotonicMilliseconds)))
    }

    /// Makes the client and starts the thread. Returns at once; the cluster need not be there.
    func start(bootstrapServers: String) throws(KafkaClientError) {
        let client = try KafkaClient(cluster: cluster, bootstrapServers: bootstrapServers)
        state.withLock { $0.phase = .running }
        install(client)
        let thread = BridgeThread(name: "kafka-\(cluster.name)") { [self] in
            let loop = ReportLoop(producer: self, client: client, bootstrapServers: bootstrapServers)
            loop.run()
        }
        thread.start()
    }

    /// The handle of a topic; `nil` when there are too many.
    func topic(named name: String) -> TopicHandle? {
        state.withLock { state in
            if let index = state.topicIndices[name] { return TopicHandle(index: index) }
            guard state.topicNames.count < cluster.maxTopics else { return nil }
            if let client = state.client { state.topics.append(rd_kafka_topic_new(client.client, name, nil)) }
            state.topicNames.append(name)
            state.topicIndices[name] = state.topicNames.count - 1
            return TopicHandle(index: state.topicNames.count - 1)
        }
    }

    /// Records of at-most-once routes that may be on their way; later ones are dropped.
    private static let maxDroppable = 100_000

    /// Takes a record. It ends later, on another thread, or at once when librdkafka refuses it for good. Never waits.
    func produce(_ record: KafkaRecord) {
        let isFull = record.isDroppable && state.withLock { $0.inFlight + $0.waiting.count >= Self.maxDroppable }
        if isFull { return record.dropped() }
        let error: rd_kafka_resp_err_t? = state.withLock { state in
            record.sequence = state.nextSequence
            state.nextSequence += 1
            guard state.client != nil, state.waiting.isEmpty, state.suspectsInFlight == 0 else {
                if case .stopped = state.phase { return nil }  // nobody would ever send it
                state.waiting.append(record)
                return nil
            }
            let error = state.send(record)
            switch DeliveryVerdict(error) {
            case .acknowledged: return nil  // of librdkafka, for now
            case .again:
                state.waiting.append(record)
                return nil
            case .failed: return error
            }
        }
        if let error, case .failed(let failure) = DeliveryVerdict(error) { record.failed(failure, error: error) }
    }

    /// Sends what there is for at most `flushSeconds`, then ends. Idempotent.
    /// - Returns: Records that Kafka has not acknowledged. Their publishers have no acknowledgement either.
    func stop(flushSeconds: Int) async -> Int {
        await withCheckedContinuation { continuation in
            let unsent: Int? = state.withLock { state in
                switch state.phase {
                case .idle:
                    state.phase = .stopped(unsent: state.waiting.count)
                    return state.waiting.count
                case .stopped(let unsent):
                    return unsent
                case .running:
                    let deadline = MessageClock.now.monotonicMilliseconds + UInt64(max(flushSeconds, 0)) * 1000
                    state.phase = .stopping(deadline: deadline)
                    if let client = state.client { rd_kafka_queue_yield(client.queue) }
                case .stopping: break
                }
                state.stopWaiters.append(continuation)
                return nil
            }
            if let unsent { continuation.resume(returning: unsent) }
        }
    }

    struct Figures: Equatable {
        var condition = ClusterHealth.Condition.connecting
        var conditionMilliseconds: UInt64 = 0
        var connectedBrokers = 0
        var waiting = 0
        var inFlight = 0
        var stalledMilliseconds: UInt64 = 0
        var retries = 0
        var replacements = 0
    }

    var figures: Figures {
        let now = MessageClock.now.monotonicMilliseconds
        return state.withLock { state in
            Figures(
                condition: state.health.condition, conditionMilliseconds: state.health.conditionMilliseconds(now: now), connectedBrokers: state.health.connectedBrokers, waiting: state.waiting.count,
                inFlight: state.inFlight, stalledMilliseconds: state.health.stalledMilliseconds(now: now),
                retries: state.retries, replacements: state.replacements)
        }
    }

    /// Lends the `rd_kafka_t`, which can't be replaced meanwhile. The body must not wait.
    func withClient(_ body: (OpaquePointer) -> Void) {
        state.withLock { state in
            if let client = state.client { body(client.client) }
        }
    }

    // MARK: - For the report loop

    func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result { state.withLock { body(&$0) } }

    /// Gives all later records to `client`.
    func install(_ client: KafkaClient) {
        state.withLock { state in
            state.topics = state.topicNames.map { rd_kafka_topic_new(client.client, $0, nil) }
            state.client = client
        }
    }

    /// Takes the client away; from now on records wait.
    func uninstallClient() {
        state.withLock { state in
            for topic in state.topics { if let topic { rd_kafka_topic_destroy(topic) } }
            state.topics = []
            state.client = nil
        }
    }
}
