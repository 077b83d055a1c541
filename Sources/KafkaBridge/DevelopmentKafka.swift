import CRdKafka
import Synchronization

/// A Kafka cluster inside this process, for development and tests: librdkafka's mock cluster.
///
/// It speaks the Kafka protocol on 127.0.0.1, on ports that the system chooses, to any client (kcat, for one). It is no
/// place for data: records live in memory, each partition keeps only its newest 5 MiB, all of it is gone when the
/// process ends, and it neither isolates transactions nor recognises a producer's repeated batches nor fences.
/// Topics appear when they are first asked for, with four partitions.
public final class DevelopmentKafka: Sendable {
    /// `host:port,…`
    public let bootstrapServers: String
    private let cluster: Mutex<Handles?>

    private struct Handles: @unchecked Sendable {
        // @unchecked: the pointers are used and destroyed under the mutex alone; librdkafka locks inside as well.
        let client: OpaquePointer
        let mock: OpaquePointer
    }

    /// An error that a broker gives, by its number in the Kafka protocol.
    public struct ErrorCode: RawRepresentable, Hashable, Sendable {
        public let rawValue: Int32
        public init(rawValue: Int32) { self.rawValue = rawValue }

        public static let messageTooLarge = ErrorCode(rawValue: 10)
        public static let leaderNotAvailable = ErrorCode(rawValue: 5)
        public static let notLeader = ErrorCode(rawValue: 6)
        public static let requestTimedOut = ErrorCode(rawValue: 7)
        public static let coordinatorNotAvailable = ErrorCode(rawValue: 15)
        public static let notCoordinator = ErrorCode(rawValue: 16)
        public static let notEnoughReplicas = ErrorCode(rawValue: 19)
        public static let topicAuthorizationFailed = ErrorCode(rawValue: 29)
        public static let outOfOrderSequence = ErrorCode(rawValue: 45)
        public static let invalidProducerEpoch = ErrorCode(rawValue: 47)
        public static let concurrentTransactions = ErrorCode(rawValue: 51)
        public static let invalidRecord = ErrorCode(rawValue: 87)
        /// No answer of a broker's: the connection is closed.
        public static let disconnect = ErrorCode(rawValue: -195)
    }

    /// A kind of request, by its number in the Kafka protocol.
    public enum Request: Int16, Sendable {
        case produce = 0
        case fetch = 1
        case metadata = 3
        case initProducerID = 22
        case addPartitionsToTransaction = 24
        case addOffsetsToTransaction = 25
        case endTransaction = 26
        case transactionOffsetCommit = 28
    }

    private init(bootstrapServers: String, handles: Handles) {
        self.bootstrapServers = bootstrapServers
        self.cluster = Mutex(handles)
    }

    /// Starts a cluster.
    ///
    /// - Parameters:
    ///   - brokers: Number of brokers; they are numbered from 1.
    ///   - topics: Topics to make at once, with their number of partitions.
    public static func start(brokers: Int = 1, topics: [String: Int] = [:]) throws(DevelopmentKafkaError) -> DevelopmentKafka {
        guard let configuration = rd_kafka_conf_new() else { throw DevelopmentKafkaError("out of memory") }
        rd_kafka_conf_set_log_cb(configuration, nil)
        // As Kafka does: an answer behind another would wait for the other's acknowledgement, 40 ms.
        if let reason = ProducerProperties.set("socket.nagle.disable", "true", in: configuration) {
            rd_kafka_conf_destroy(configuration)
            throw DevelopmentKafkaError(reason)
        }
        let client: OpaquePointer
        do { client = try KafkaClient.make(RD_KAFKA_PRODUCER, configuration) } catch { throw DevelopmentKafkaError(error.reason) }
        guard let mock = rd_kafka_mock_cluster_new(client, Int32(clamping: brokers)),
            let address = rd_kafka_mock_cluster_bootstraps(mock)
        else {
            rd_kafka_destroy(client)
            throw DevelopmentKafkaError("librdkafka makes no cluster of \(brokers) broker(s)")
        }
        let kafka = DevelopmentKafka(bootstrapServers: String(cString: address), handles: Handles(client: client, mock: mock))
        for (name, partitions) in topics.sorted(by: { $0.key < $1.key }) {
            do { try kafka.createTopic(name, partitions: partitions) } catch {
                kafka.stop()
                throw error
            }
        }
        return kafka
    }

    deinit { stop() }

    /// Ends the cluster; its records are gone. Idempotent.
    public func stop() {
        let handles = cluster.withLock { cluster in
            defer { cluster = nil }
            return cluster
        }
        guard let handles else { return }
        rd_kafka_mock_cluster_destroy(handles.mock)
        rd_kafka_destroy(handles.client)
    }

    public func createTopic(_ name: String, partitions: Int) throws(DevelopmentKafkaError) {
        var error = RD_KAFKA_RESP_ERR__STATE
        withMock { error = rd_kafka_mock_topic_create($0, name, Int32(clamping: partitions), 1) }
        if error != RD_KAFKA_RESP_ERR_NO_ERROR {
            throw DevelopmentKafkaError("topic \(name): " + String(cString: rd_kafka_err2str(error)))
        }
    }

    /// The next requests of that kind get these answers, one each, at whichever broker.
    public func fail(_ request: Request, with errors: [ErrorCode]) {
        let codes = errors.map { rd_kafka_resp_err_t($0.rawValue) }
        withMock { rd_kafka_mock_push_request_errors_array($0, request.rawValue, codes.count, codes) }
    }

    /// Forgets what `fail` has prepared.
    public func clearFailures(of request: Request) {
        withMock { rd_kafka_mock_clear_request_errors($0, request.rawValue) }
    }

    /// Answers metadata requests for the topic with this error from now on.
    public func setError(_ error: ErrorCode, ofTopic topic: String) {
        withMock { rd_kafka_mock_topic_set_error($0, topic, rd_kafka_resp_err_t(error.rawValue)) }
    }

    /// Closes a broker's connections and accepts none; `nil`: all brokers.
    public func setDown(broker: Int? = nil) {
        withMock { _ = rd_kafka_mock_broker_set_down($0, broker.map { Int32(clamping: $0) } ?? -1) }
    }

    /// Undoes `setDown`.
    public func setUp(broker: Int? = nil) {
        withMock { _ = rd_kafka_mock_broker_set_up($0, broker.map { Int32(clamping: $0) } ?? -1) }
    }

    /// Delays every answer of a broker, of all by default. A long delay is a cluster that accepts and says nothing.
    public func setRoundTrip(milliseconds: Int, broker: Int? = nil) {
        withMock { _ = rd_kafka_mock_broker_set_rtt($0, broker.map { Int32(clamping: $0) } ?? -1, Int32(clamping: milliseconds)) }
    }

    private func withMock(_ body: (OpaquePointer) -> Void) {
        cluster.withLock { if let cluster = $0 { body(cluster.mock) } }
    }
}

/// Why a development cluster does not start or do what it is asked.
public struct DevelopmentKafkaError: Error, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
