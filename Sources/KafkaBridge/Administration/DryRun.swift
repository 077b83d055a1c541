/// What a route would produce of the messages that come now, as lines of JSON.
struct DryRun {
    static let maxCount = 1_000
    static let maxSeconds = 60.0

    let route: Route
    /// `nil`: its records are in memory until Kafka has them.
    let outbox: OutboxRoute?

    /// - Returns: One object per line; `nil`: as many watch the route as may.
    func lines(count: Int, seconds: Double) async -> String? {
        guard let samples = await route.tap.watch(count: count, seconds: seconds) else { return nil }
        guard outbox?.schema != nil else { return text(samples) }
        // The registry may be asked, and waited for: not on a thread of the shared pool.
        return await withCheckedContinuation { continuation in
            BridgeThread(name: "dry-run") { continuation.resume(returning: text(samples)) }.start()
        }
    }

    private func text(_ samples: [RouteTap.Sample]) -> String { samples.map { line($0).encoded + "\n" }.joined() }

    func line(_ sample: RouteTap.Sample) -> JSONNode {
        let source: [JSONNode.Member] = [
            .init(name: "mqtt_topic", value: .text(sample.mqttTopic)), .init(name: "client", value: .text(orNull: sample.clientID)),
        ]
        switch sample.outcome {
        case .failure(let refusal):
            // Without an outbox nothing is kept: the publisher is told.
            let outcome = outbox == nil ? "refuse" : "dead-letter"
            return .object(Self.failed(outcome, refusal.rawValue, refusal.advice) + source)
        case .success(var record):
            var head = [JSONNode.Member(name: "outcome", value: .text("send"))]
            if let schema = outbox?.schema {
                if sample.valueBytes > record.value.count {
                    head = Self.failed("send", "too_large_to_show", "the schema is not tried with values of more than \(RouteTap.maxValueBytes) bytes")
                } else {
                    switch record.value.withUnsafeBytes({ schema.convert($0, topic: record.topic) }) {
                    case .converted(let bytes): record.value = bytes
                    case .unfit(let text, _): head = Self.failed("dead-letter", "schema", text)
                    case .later(let text): head = Self.failed("wait", "schema_registry", text)
                    }
                }
            }
            return .object(head + source + record.members(valueBytes: max(sample.valueBytes, record.value.count)))
        }
    }

    private static func failed(_ outcome: String, _ reason: String, _ error: String) -> [JSONNode.Member] {
        [
            .init(name: "outcome", value: .text(outcome)), .init(name: "reason", value: .text(reason)), .init(name: "error", value: .text(error)),
        ]
    }
}

extension OutboxRecord {
    /// All of it, for an operator.
    /// - Parameter valueBytes: The value's length, where the record has only the beginning of it.
    func members(valueBytes: Int? = nil) -> [JSONNode.Member] {
        let headers = headers.map { JSONNode.object([.init(name: "name", value: .text($0.name)), JSONNode.bytes("value", $0.value)]) }
        var members: [JSONNode.Member] = [
            .init(name: "topic", value: .text(topic)), .init(name: "partition", value: partition.map { .number($0) } ?? .null),
            JSONNode.bytes("key", key), .init(name: "headers", value: .array(headers)), .init(name: "timestamp", value: .number(timestamp)),
            .init(name: "value_bytes", value: .number(valueBytes ?? value.count)),
        ]
        if let valueBytes, valueBytes > value.count { members.append(.init(name: "value_is_cut", value: .bool(true))) }
        members.append(JSONNode.bytes("value", value))
        return members
    }
}
