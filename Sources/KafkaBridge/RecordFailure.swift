import CRdKafka
import MQTTModel

/// Why Kafka will never take a record. The publisher is told, and the records behind it go on.
enum RecordFailure: String, Sendable, CaseIterable {
    case tooLarge = "too_large"
    case notAuthorized = "not_authorized"
    case unknownTopic = "unknown_topic"
    case invalidTopic = "invalid_topic"
    case invalidRecord = "invalid_record"
    /// An at-most-once route, and Kafka does not take what came before.
    case unsent = "not_sent"
    /// An error that this list does not know. The log has librdkafka's text.
    case other

    /// What a v5 publisher is told: one of the codes that PUBACK and PUBREC may carry (MQTT 5.0 section 3.4.2.1).
    var reasonCode: ReasonCode {
        switch self {
        case .tooLarge: .quotaExceeded
        case .notAuthorized: .notAuthorized
        case .unknownTopic, .invalidTopic: .topicNameInvalid
        case .invalidRecord: .implementationSpecificError
        case .unsent: .quotaExceeded
        case .other: .unspecifiedError
        }
    }
}

/// What becomes of a record after librdkafka's answer.
enum DeliveryVerdict: Equatable, Sendable {
    case acknowledged
    /// Not in Kafka, as far as one knows, for a reason that passes: hand it over again.
    case again
    /// Never, and the record itself is to blame.
    case failed(RecordFailure)

    init(_ error: rd_kafka_resp_err_t) {
        switch error {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            self = .acknowledged

        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
            self = .failed(.tooLarge)
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
            self = .failed(.notAuthorized)
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
            self = .failed(.unknownTopic)
        case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
            self = .failed(.invalidTopic)
        case RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_INVALID_RECORD, RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
            RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
            RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
            self = .failed(.invalidRecord)

        // The way to Kafka.
        case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
            RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__RESOLVE,
            RD_KAFKA_RESP_ERR__SSL, RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
            RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
            self = .again
        // The cluster's state.
        case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
            RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
            self = .again
        // The producer's own state; a new client takes what is left.
        case RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE,
            RD_KAFKA_RESP_ERR__PURGE_QUEUE, RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, RD_KAFKA_RESP_ERR__QUEUE_FULL,
            RD_KAFKA_RESP_ERR__OUTDATED, RD_KAFKA_RESP_ERR__RETRY, RD_KAFKA_RESP_ERR__STATE, RD_KAFKA_RESP_ERR__DESTROY,
            RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
            RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
            self = .again

        default:
            self = .failed(.other)
        }
    }

    /// Whether a broker gives this answer to a whole batch for the sake of one record in it.
    var blamesBatch: Bool { self == .failed(.tooLarge) || self == .failed(.invalidRecord) }
}
