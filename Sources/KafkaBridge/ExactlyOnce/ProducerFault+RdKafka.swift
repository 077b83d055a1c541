import CRdKafka

extension ProducerFault {
    /// Takes librdkafka's error object apart and frees it.
    init(taking error: OpaquePointer) {
        defer { rd_kafka_error_destroy(error) }
        let text = String(cString: rd_kafka_error_string(error))
        if rd_kafka_error_is_fatal(error) != 0 || Self.isFencing(rd_kafka_error_code(error)) {
            self = Self.isFencing(rd_kafka_error_code(error)) ? .fenced(text) : .fatal(text)
        } else if rd_kafka_error_txn_requires_abort(error) != 0 {
            self = .abortable(text)
        } else if rd_kafka_error_is_retriable(error) != 0 {
            self = .retriable(text)
        } else {
            // librdkafka's advice for all others (rdkafka.h, "Handling of other errors").
            self = .fatal(text)
        }
    }

    /// The fatal error of a client; `nil`: it has none.
    init?(fatalErrorOf client: OpaquePointer) {
        var code = RD_KAFKA_RESP_ERR_NO_ERROR
        let text = KafkaClientError.text { buffer, size in
            code = rd_kafka_fatal_error(client, buffer, size)
            return code == RD_KAFKA_RESP_ERR_NO_ERROR
        }
        guard let text else { return nil }
        self = Self.isFencing(code) ? .fenced(text) : .fatal(text)
    }

    /// What brokers and librdkafka call a producer that a newer one has replaced. A transaction that somebody else has ended
    /// is in an "invalid state" for the one that began it.
    static func isFencing(_ code: rd_kafka_resp_err_t) -> Bool {
        switch code {
        case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
            RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
            true
        default: false
        }
    }
}

extension RecordFailure {
    /// What a delivery report in a transaction says of the record; `nil`: nothing, the transaction as a whole has failed.
    init?(inTransaction error: rd_kafka_resp_err_t) {
        switch error {
        case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
            RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
            RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR__INCONSISTENT, RD_KAFKA_RESP_ERR__NOT_CONFIGURED:
            return nil
        default:
            guard case .failed(let failure) = DeliveryVerdict(error) else { return nil }
            self = failure
        }
    }
}
