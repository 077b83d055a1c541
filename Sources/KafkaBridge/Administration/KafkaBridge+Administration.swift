import Encodings
import Logging
import MQTTModel
import PluginAPI

/// What an operator can ask of the bridge, under `/plugins/kafka/` (docs/bridge-operations.md).
extension KafkaBridge {
    public func administer(_ request: PluginRequest) async -> PluginResponse {
        do throws(AdministrationFault) {
            return try await answer(request)
        } catch {
            return error.response
        }
    }

    private func answer(_ request: PluginRequest) async throws(AdministrationFault) -> PluginResponse {
        guard let first = request.path.first else {
            try only(.get, request)
            return .json(BridgeStatus(bridge: self).json)
        }
        guard first == "routes", request.path.count >= 3 else { throw .notFound }
        let name = request.path[1]
        guard let route = routes.first(where: { $0.configuration.name == name }) else { throw .unknownRoute(name) }
        let running = outboxes.first { $0.outbox.route === route }
        switch (request.path[2], request.path.count) {
        case ("pause", 3), ("resume", 3):
            try only(.post, request)
            return try await setPaused(request.path[2] == "pause", try withOutbox(running, name))
        case ("dry-run", 3):
            try only(.get, request)
            return try await dryRun(route, running, request)
        case ("dead-letters", 3):
            try only(.get, request)
            return try list(try withOutbox(running, name).kept, request)
        case ("dead-letters", 4):
            let kept = try withOutbox(running, name).kept
            switch request.path[3] {
            case "resend":
                try only(.post, request)
                return try await resend(kept, request)
            case "drop":
                try only(.post, request)
                return try await drop(kept, request)
            default:
                try only(.get, request)
                return try show(kept, request.path[3])
            }
        default: throw .notFound
        }
    }

    private func only(_ method: PluginRequest.Method, _ request: PluginRequest) throws(AdministrationFault) {
        guard request.method == method else { throw .wrongMethod(method) }
    }

    private func withOutbox(_ running: RunningOutbox?, _ route: String) throws(AdministrationFault) -> RunningOutbox {
        guard let running else { throw .noOutbox(route) }
        return running
    }

    // MARK: Routes

    private func setPaused(_ isPaused: Bool, _ running: RunningOutbox) async throws(AdministrationFault) -> PluginResponse {
        await withCheckedContinuation { continuation in running.outbox.control.setPaused(isPaused) { continuation.resume() } }
        running.outbox.logger.notice(
            isPaused ? "route is paused: records wait in the outbox" : "route is resumed", metadata: ["route": "\(running.outbox.configuration.name)"])
        return .json(["route": .string(running.outbox.configuration.name), "paused": .bool(isPaused)])
    }

    private func dryRun(_ route: Route, _ running: RunningOutbox?, _ request: PluginRequest) async throws(AdministrationFault) -> PluginResponse {
        let count = try request.number("count", default: 10, in: 1...UInt64(DryRun.maxCount))
        let seconds = try request.number("seconds", default: 10, in: 1...UInt64(DryRun.maxSeconds))
        guard let lines = await DryRun(route: route, outbox: running?.outbox).lines(count: Int(count), seconds: Double(seconds)) else {
            throw .tooManyWatchers
        }
        return PluginResponse(status: 200, body: lines, contentType: "application/x-ndjson")
    }

    // MARK: Dead letters

    private func list(_ kept: KeptDeadLetters, _ request: PluginRequest) throws(AdministrationFault) -> PluginResponse {
        let after = request.query["after"] == nil ? nil : try request.number("after", default: 0, in: 0...UInt64.max)
        let count = try request.number("count", default: 100, in: 1...1_000)
        do throws(PluginStoreError) {
            let (letters, damaged) = try kept.letters(after: after, count: Int(count))
            let last = max(letters.last?.sequence ?? 0, damaged.last ?? 0)
            let isAll = letters.count + damaged.count == 0 || letters.count + damaged.count >= kept.count && after == nil
            return .json([
                "kept": .integer(kept.count), "dead_letters": .array(letters.map(\.summary)), "damaged": .array(damaged.map { .integer($0) }),
                "next_after": isAll ? .null : .integer(last),
            ])
        } catch {
            throw .store(error)
        }
    }

    private func show(_ kept: KeptDeadLetters, _ number: String) throws(AdministrationFault) -> PluginResponse {
        guard let sequence = UInt64(number) else { throw .notFound }
        let letter: KeptDeadLetters.Letter?
        do throws(PluginStoreError) { letter = try kept.letter(sequence) } catch { throw .store(error) }
        guard let letter else { throw .noDeadLetter(sequence) }
        return .json(letter.whole)
    }

    private func resend(_ kept: KeptDeadLetters, _ request: PluginRequest) async throws(AdministrationFault) -> PluginResponse {
        let order = try DeadLetterOrder(request.body)
        if let topic = order.topic {
            guard RecordTemplate.isLegalTopic(Array(topic.utf8)) else { throw .badRequest("\"topic\" is no name that Kafka allows") }
            guard kept.outbox.configuration.allows(topic) else { throw .badRequest("the route may not write to \"topic\" (its topics)") }
        }
        do throws(PluginStoreError) {
            return report(try await kept.resend(order.selection, topic: order.topic), "resent", kept)
        } catch {
            throw .store(error)
        }
    }

    private func drop(_ kept: KeptDeadLetters, _ request: PluginRequest) async throws(AdministrationFault) -> PluginResponse {
        let order = try DeadLetterOrder(request.body)
        guard order.topic == nil else { throw .badRequest("\"topic\" is for resend") }
        do throws(PluginStoreError) {
            return report(try await kept.drop(order.selection), "dropped", kept)
        } catch {
            throw .store(error)
        }
    }

    private func report(_ outcome: KeptDeadLetters.Outcome, _ word: String, _ kept: KeptDeadLetters) -> PluginResponse {
        kept.outbox.logger.notice(
            "dead letters \(word) by an operator",
            metadata: ["route": "\(kept.outbox.configuration.name)", "records": "\(outcome.done)", "left": "\(kept.count)"])
        return .json([
            word: .integer(outcome.done), "skipped": .integer(outcome.skippedCount),
            "reasons": .array(outcome.skipped.map { ["sequence": .integer($0.sequence), "reason": .string($0.reason)] }),
            "stopped": .string(orNull: outcome.stopped), "kept": .integer(kept.count),
        ])
    }
}

extension PluginResponse {
    static func json(_ value: JSONValue) -> PluginResponse { PluginResponse(status: 200, body: JSONWriter.text(value) + "\n") }
}

extension PluginRequest {
    /// A number of the query's.
    fileprivate func number(_ name: String, default standard: UInt64, in range: ClosedRange<UInt64>) throws(AdministrationFault) -> UInt64 {
        guard let text = query[name] else { return standard }
        guard let number = UInt64(text), range.contains(number) else {
            throw .badRequest("\(name) is a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}

extension KeptDeadLetters.Letter {
    /// For a list.
    var summary: JSONValue {
        [
            "sequence": .integer(sequence), "reason": .string(orNull: deadLetterHeader("reason")), "error": .string(orNull: deadLetterHeader("error")),
            "topic": .string(orNull: deadLetterHeader("topic")), "mqtt_topic": .string(orNull: header("mqtt.topic")),
            "client": .string(orNull: header("mqtt.clientid")), "died": deadLetterHeader("time").flatMap(Int64.init).map { .integer($0) } ?? .null,
            "received": .integer(receivedUnixMilliseconds), "value_bytes": .integer(valueBytes),
        ]
    }

    var whole: JSONValue { .object([summary, record.json()]) }
}
