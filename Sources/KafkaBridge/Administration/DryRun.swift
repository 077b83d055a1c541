import Encodings

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

    private func text(_ samples: [RouteTap.Sample]) -> String { samples.map { JSONWriter.text(line($0)) + "\n" }.joined() }

    func line(_ sample: RouteTap.Sample) -> JSONValue {
        let source: JSONValue = ["mqtt_topic": .string(sample.mqttTopic), "client": .string(orNull: sample.clientID)]
        switch sample.outcome {
        case .failure(let refusal):
            // Without an outbox nothing is kept: the publisher is told.
            let outcome = outbox == nil ? "refuse" : "dead-letter"
            return .object([Self.failed(outcome, refusal.rawValue, refusal.advice), source])
        case .success(var record):
            var head: JSONValue = ["outcome": .string("send")]
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
            return .object([head, source, record.json(valueBytes: max(sample.valueBytes, record.value.count))])
        }
    }

    private static func failed(_ outcome: String, _ reason: String, _ error: String) -> JSONValue {
        ["outcome": .string(outcome), "reason": .string(reason), "error": .string(error)]
    }
}

extension OutboxRecord {
    /// All of it, for an operator.
    /// - Parameter valueBytes: The value's length, where the record has only the beginning of it.
    func json(valueBytes: Int? = nil) -> JSONValue {
        let headers = headers.map { JSONValue.object([["name": .string($0.name)], .bytes("value", $0.value)]) }
        let isCut = valueBytes.map { $0 > value.count } ?? false
        return .object([
            ["topic": .string(topic), "partition": partition.map { .integer($0) } ?? .null], .bytes("key", key),
            ["headers": .array(headers), "timestamp": .integer(timestamp), "value_bytes": .integer(valueBytes ?? value.count)],
            isCut ? ["value_is_cut": .bool(true)] : [:], .bytes("value", value),
        ])
    }
}
