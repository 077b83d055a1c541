import CRdKafka

/// Owns one `rd_kafka_t` and the queue that its events arrive on.
///
/// librdkafka answers through that queue only, never through callbacks: delivery reports come in batches, on the thread
/// that asks for them.
final class KafkaClient: @unchecked Sendable {
    // @unchecked: both pointers are constant, and librdkafka's functions on them are thread-safe (INTRODUCTION.md,
    // "Threads and callbacks"). `destroy` is called once, by the owner, after every other use.
    let client: OpaquePointer
    let queue: OpaquePointer

    /// - Parameters:
    ///   - bootstrapServers: `nil` makes a client that connects nowhere: it only checks the properties.
    ///   - own: Properties that the operator's do not override.
    init(cluster: KafkaCluster, bootstrapServers: String?, own: [(name: String, value: String)] = []) throws(KafkaClientError) {
        let configuration = try ProducerProperties.configuration(of: cluster, bootstrapServers: bootstrapServers, own: own)
        client = try Self.make(RD_KAFKA_PRODUCER, configuration)
        guard let queue = rd_kafka_queue_get_main(client) else {
            rd_kafka_destroy(client)
            throw KafkaClientError(reason: "no event queue")
        }
        self.queue = queue
        rd_kafka_set_log_queue(client, nil)
    }

    /// A client of librdkafka's, of either kind.
    ///
    /// OAUTHBEARER tokens are renewed on a thread of librdkafka's own, since fetching one waits and not every client is polled all the time.
    /// - Parameter configuration: Taken over.
    static func make(_ kind: rd_kafka_type_t, _ configuration: OpaquePointer) throws(KafkaClientError) -> OpaquePointer {
        rd_kafka_conf_enable_sasl_queue(configuration, 1)
        var made: OpaquePointer?
        let reason = KafkaClientError.text { buffer, size in
            made = rd_kafka_new(kind, configuration, buffer, size)
            return made != nil
        }
        guard let client = made else {
            rd_kafka_conf_destroy(configuration)  // rd_kafka_new takes it over only when it succeeds
            throw KafkaClientError(reason: reason ?? "unknown")
        }
        // There is such a queue for mechanisms that need it alone.
        guard let tokens = rd_kafka_queue_get_sasl(client) else { return client }
        rd_kafka_queue_destroy(tokens)
        if let error = rd_kafka_sasl_background_callbacks_enable(client) {
            defer {
                rd_kafka_error_destroy(error)
                rd_kafka_destroy(client)
            }
            throw KafkaClientError(reason: String(cString: rd_kafka_error_string(error)))
        }
        return client
    }

    /// Ends the client and its threads. Records without a report get none any more.
    func destroy() {
        rd_kafka_queue_destroy(queue)
        rd_kafka_destroy(client)
    }
}

/// librdkafka could not make a client.
struct KafkaClientError: Error, Equatable {
    /// librdkafka's text.
    let reason: String

    /// Runs a call that writes its reason into a buffer when it fails; `nil`: it succeeded.
    static func text(_ call: (UnsafeMutablePointer<CChar>, Int) -> Bool) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
            buffer.initialize(repeating: 0)
            guard let base = buffer.baseAddress, !call(base, buffer.count) else { return nil }
            return String(cString: base)
        }
    }
}
