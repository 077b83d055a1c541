import PluginAPI

/// A record that could not be sent, made into one for the route's dead-letter topic: the original bytes and headers, and why.
enum DeadLetterRecord {
    /// Names of the headers that are added; others of these names are left out.
    static let prefix = "dead-letter."

    /// - Parameters:
    ///   - reason: A word for counting, as `RecordFailure` and `RecordRefusal` have them.
    ///   - text: What librdkafka, the registry or the template said.
    ///   - schema: Subject or identifier of the schema that was used, if one was.
    static func make(
        of record: OutboxRecord, topic: String, route: String, reason: String, text: String, schema: String? = nil, unixMilliseconds: Int64
    ) -> OutboxRecord {
        var dead = record
        dead.headers.removeAll { $0.name.hasPrefix(prefix) }
        func add(_ name: String, _ value: String) { dead.headers.append(.init(name: prefix + name, value: Array(value.utf8))) }
        add("reason", reason)
        add("error", text)
        add("route", route)
        if !record.topic.isEmpty { add("topic", record.topic) }
        if let schema { add("schema", schema) }
        add("time", String(unixMilliseconds))
        dead.topic = topic
        dead.partition = nil
        return dead
    }
}

/// Dead letters that Kafka would not take either: a queue of the outbox for each route, which an operator empties
/// (`headwater bridge dead-letters`).
enum LocalDeadLetters {
    static func queueName(ofRoute route: String) -> String { "kafka/dead-letters/\(route)" }

    /// The change that keeps a record. Its entry has the form of the outbox's own.
    static func change(_ record: OutboxRecord, receivedUnixMilliseconds: Int64, queue: UInt64) -> StoreChange {
        let head = RecordFrame.Head(topic: record.topic, partition: record.partition, key: record.key, headers: record.headers)
        return .append(
            queue: queue,
            head: head.encoded() + RecordFrame.tail(timestamp: record.timestamp, receivedUnixMilliseconds: receivedUnixMilliseconds),
            value: record.value)
    }
}
