/// Under which names one queue of the outbox is known in Kafka. No two queues may share `transactionalID`, nor a group
/// together with a cursor partition.
struct TransactionalIdentity: Equatable, Sendable {
    /// Newer producers with it fence older ones.
    var transactionalID: String
    /// The consumer group that the cursor is committed for; nobody consumes in it.
    var consumerGroup: String
    /// The topic of the cursor. It has to exist and needs no records.
    var cursorTopic: String
    var cursorPartition: Int32 = 0
}

extension TransactionalIdentity {
    /// The broker aborts a transaction of a dead producer after so many milliseconds, unless the operator says otherwise.
    /// Until then `read_committed` consumers of its partitions wait.
    static let defaultTransactionTimeout = 60_000

    /// Properties of the producer: those that transactions demand, over the operator's.
    func producerProperties(of cluster: KafkaCluster) -> [(name: String, value: String)] {
        let timeout = cluster.properties["transaction.timeout.ms"].flatMap { Int($0) } ?? Self.defaultTransactionTimeout
        let asked = ["message.timeout.ms", "delivery.timeout.ms"].lazy.compactMap { cluster.properties[$0].flatMap { Int($0) } }.first ?? 0
        return [
            ("transactional.id", transactionalID),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("transaction.timeout.ms", "\(timeout)"),
            // librdkafka refuses a longer one. A record that times out fails its transaction, not itself.
            ("message.timeout.ms", "\(asked > 0 ? min(asked, timeout) : timeout)"),
            ("statistics.interval.ms", "0"),
        ]
    }

    /// Properties of the consumer that reads the cursor.
    var consumerProperties: [(name: String, value: String)] {
        [
            ("group.id", consumerGroup),
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("statistics.interval.ms", "0"),
        ]
    }
}
