/// A record as the outbox keeps it and as it goes to Kafka: everything that is known of it when its message is published.
///
/// In the outbox it is a *frame* (what `encode` writes) followed by the value's bytes up to the end of the entry.
struct OutboxRecord: Equatable, Sendable {
    struct Header: Equatable, Sendable {
        var name: String
        var value: [UInt8]
    }

    /// The Kafka topic.
    var topic: String
    /// `nil`: the partitioner's choice.
    var partition: Int32?
    var key: [UInt8]?
    /// In order; names may repeat.
    var headers: [Header]
    /// Milliseconds since 1970-01-01T00:00:00Z.
    var timestamp: Int64
    var value: [UInt8]
}
