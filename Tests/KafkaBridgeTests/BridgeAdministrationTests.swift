import BrokerTestKit
import Foundation
import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

@testable import KafkaBridge

/// What an operator asks of a working bridge, past the HTTP server.
@Suite("Operating the bridge", .enabled(if: BridgeUnderTest.isEmbedded))
struct BridgeAdministrationTests {
    private typealias Object = [String: Any]

    private func ask(
        _ test: OutboxUnderTest, _ method: PluginRequest.Method, _ path: String..., query: [String: String] = [:], body: String = ""
    ) async throws -> (status: Int, body: Object) {
        let answer = await test.bridge.administer(PluginRequest(method: method, path: path, query: query, body: Array(body.utf8)))
        return (answer.status, try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? Object ?? [:])
    }

    private func status(_ test: OutboxUnderTest) async throws -> Object {
        let answer = try await ask(test, .get)
        return try #require((answer.body["routes"] as? [Object])?.first)
    }

    @Test("a route is paused and resumed, and its status says so")
    func pause() async throws {
        let test = try OutboxUnderTest()
        try await test.start()
        #expect(try await ask(test, .post, "routes", "telemetry", "pause").status == 200)
        let device = try await test.device()
        for number in 0..<3 { try await device.publish(OutboxUnderTest.reading(number)) }
        var figures = try await status(test)
        #expect(figures["state"] as? String == "paused" && figures["outbox"] as? Int == 3 && figures["in"] as? Int == 3)
        #expect(figures["level"] as? String == "at-least-once" && (figures["oldest_seconds"] as? Double ?? -1) >= 0)
        await test.stop()
        try await test.start()
        figures = try await status(test)
        #expect(figures["state"] as? String == "paused", "it outlives the broker")
        #expect(try await ask(test, .post, "routes", "telemetry", "resume").status == 200)
        try await test.drained()
        figures = try await status(test)
        #expect(figures["state"] as? String == "sending" && figures["sent"] as? Int == 3 && figures["outbox"] as? Int == 0)
        await test.stop()
    }

    @Test("a cluster that is away shows as down, with the last error")
    func down() async throws {
        let test = try OutboxUnderTest()
        test.kafka?.setDown()
        try await test.start()
        let device = try await test.device()
        try await device.publish(OutboxUnderTest.reading(1))
        try await eventually("the reporter knows") { test.bridge.outboxes[0].reporters[0].status.health.condition == .down }
        let figures = try await status(test)
        #expect(figures["state"] as? String == "down" && (figures["last_error"] as? Object)?["text"] != nil)
        test.kafka?.setUp()
        try await test.drained()
        await test.stop()
    }

    @Test("a dry run shows the records of live messages and produces none, also of a paused route")
    func dryRun() async throws {
        let test = try OutboxUnderTest()
        let prefix = test.topic
        test.route = {
            $0.topic = try RecordTemplate("\(prefix).${topic[2]}")
            $0.headers = [.init("unit", try RecordTemplate("bar"))]
        }
        try await test.start()
        test.outbox.control.setPaused(true)
        let device = try await test.device()
        let bridge = try #require(test.bridge)
        let run = Task {
            await bridge.administer(
                PluginRequest(method: .get, path: ["routes", "telemetry", "dry-run"], query: ["count": "3", "seconds": "30"]))
        }
        try await eventually("somebody watches") { test.outbox.route.tap.watcherCount == 1 }
        let number = 5
        for number in 0..<number { try await device.publish(OutboxUnderTest.reading(number, of: number % 3 == 0 ? "bad name" : "good")) }
        let answer = await run.value
        #expect(answer.status == 200 && answer.contentType == "application/x-ndjson")
        let lines = try answer.body.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? Object)
        }
        #expect(lines.count == 3)
        let sent = try #require(lines.first { $0["outcome"] as? String == "send" })
        #expect(sent["topic"] as? String == "\(prefix).good" && sent["key"] as? String == "good" && sent["client"] as? String == "pump-7")
        #expect((sent["value"] as? String).flatMap { Int($0) } != nil && sent["value_bytes"] as? Int == (sent["value"] as? String)?.utf8.count)
        let headers = try #require(sent["headers"] as? [Object])
        #expect(headers.contains { $0["name"] as? String == "unit" && $0["value"] as? String == "bar" })
        let dead = try #require(lines.first { $0["outcome"] as? String == "dead-letter" })
        #expect(dead["reason"] as? String == "illegal_topic" && dead["mqtt_topic"] as? String == "telemetry/bad name/temperature")
        #expect(test.figures.sent == 0 && test.figures.outbox == number, "nothing was produced, everything waits")
        await test.stop()
    }

    @Test("a dry run ends with its time, and as many as watch a route are bounded")
    func dryRunEnds() async throws {
        let test = try OutboxUnderTest()
        try await test.start()
        let bridge = try #require(test.bridge)
        let request = PluginRequest(method: .get, path: ["routes", "telemetry", "dry-run"], query: ["seconds": "1"])
        let statuses = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<6 { group.addTask { await bridge.administer(request).status } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses.sorted() == [200, 200, 200, 200, 429, 429])
        let cancelled = Task { await bridge.administer(PluginRequest(method: .get, path: request.path, query: ["seconds": "60"])) }
        cancelled.cancel()
        #expect(await cancelled.value.body.isEmpty)
        await test.stop()
    }

    /// A route with records that Kafka has refused, kept in the store.
    private func withDeadLetters(_ count: Int) async throws -> (OutboxUnderTest, ScriptedClient) {
        let test = try OutboxUnderTest()
        try await test.start()
        let device = try await test.device()
        // The topic exists, and all further records go out alone.
        try await device.publish(OutboxUnderTest.reading(1_000))
        try await test.drained()
        for number in 0..<count {
            // The batch, its group, and the record alone: the record is to blame.
            test.kafka?.fail(.produce, with: [.messageTooLarge, .messageTooLarge, .messageTooLarge])
            try await device.publish(OutboxUnderTest.reading(number))
            try await test.drained()
        }
        try #require(test.outbox.deadLetters.figures.entries == count)
        return (test, device)
    }

    @Test("dead letters are listed and shown, and sent again to their topic as they were; the balance stays true")
    func resend() async throws {
        let (test, _) = try await withDeadLetters(3)
        let list = try await ask(test, .get, "routes", "telemetry", "dead-letters")
        let letters = try #require(list.body["dead_letters"] as? [Object])
        #expect(list.body["kept"] as? Int == 3 && letters.count == 3 && list.body["next_after"] is NSNull)
        #expect(letters[0]["reason"] as? String == "too_large" && letters[0]["topic"] as? String == test.topic)
        #expect(letters[0]["mqtt_topic"] as? String == "telemetry/pump-7/temperature" && letters[0]["client"] as? String == "pump-7")
        let sequences = letters.compactMap { $0["sequence"] as? Int }
        let page = try await ask(test, .get, "routes", "telemetry", "dead-letters", query: ["count": "1", "after": "\(sequences[0])"])
        #expect((page.body["dead_letters"] as? [Object])?.first?["sequence"] as? Int == sequences[1])
        let whole = try await ask(test, .get, "routes", "telemetry", "dead-letters", "\(sequences[1])")
        #expect(whole.body["value"] as? String == "1" && whole.body["key"] as? String == "pump-7")

        let one = try await ask(
            test, .post, "routes", "telemetry", "dead-letters", "resend", body: "{\"sequences\":[\(sequences[1]),\(sequences[1]),99999]}")
        #expect(one.status == 200 && one.body["resent"] as? Int == 1 && one.body["skipped"] as? Int == 1 && one.body["kept"] as? Int == 2)
        try await test.drained()
        #expect(test.figures.sent == 2 && test.figures.resent == 1 && test.figures.dead == ["too_large": 3], "\(test.figures)")
        let record = try #require(try test.records().last)
        #expect(record.payload == "1" && record.key == "pump-7" && record.header("mqtt.clientid") == "pump-7")
        #expect(!record.headers.contains { $0.hasPrefix("dead-letter.") })

        await test.stop()
        try await test.start()
        // Two operators at a time: each letter goes once.
        let bridge = try #require(test.bridge)
        let done = await withTaskGroup(of: String.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    await bridge.administer(
                        PluginRequest(
                            method: .post, path: ["routes", "telemetry", "dead-letters", "resend"], body: Array("{\"all\":true}".utf8))
                    ).body
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        try await test.drained()
        #expect(done.count == 4 && test.figures.resent == 2 && test.outbox.deadLetters.figures.entries == 0, "\(done) \(test.figures)")
        #expect(try test.records().map(\.payload).sorted() == ["0", "1", "1000", "2"])
        await test.stop()
    }

    @Test("a letter that never had a Kafka topic is sent again only to one that is given")
    func withoutTopic() async throws {
        let test = try OutboxUnderTest()
        let prefix = test.topic
        test.route = {
            $0.topic = try RecordTemplate("\(prefix).${topic[2]}")
            $0.allowedTopics = [try KafkaTopicPattern("\(prefix).*")]
        }
        try await test.start()
        let device = try await test.device()
        for number in 0..<450 { try await device.publish(OutboxUnderTest.reading(number, of: "bad name", id: UInt16(number + 1))) }
        try await test.drained()
        let path = ["routes", "telemetry", "dead-letters"]
        let without = try await ask(test, .post, path[0], path[1], path[2], "resend", body: "{\"all\":true}")
        #expect(without.body["resent"] as? Int == 0 && without.body["skipped"] as? Int == 450 && without.body["kept"] as? Int == 450)
        for topic in ["no topic", "elsewhere"] {
            let wrong = try await ask(test, .post, path[0], path[1], path[2], "resend", body: "{\"all\":true,\"topic\":\"\(topic)\"}")
            #expect(wrong.status == 400, "\(topic)")
        }
        let all = try await ask(test, .post, path[0], path[1], path[2], "resend", body: "{\"all\":true,\"topic\":\"\(prefix).repaired\"}")
        #expect(all.body["resent"] as? Int == 450 && all.body["kept"] as? Int == 0)
        try await test.drained()
        #expect(test.figures.sent == 450 && test.figures.outboxBytes == 0)
        #expect(Set(try test.records(of: "\(prefix).repaired").map(\.payload)) == Set((0..<450).map(String.init)))
        await test.stop()
    }

    @Test("a full outbox stops a resend, and what is left stays among the dead letters")
    func fullOutbox() async throws {
        let test = try OutboxUnderTest(RouteDelivery(outbox: RouteOutbox(maxBytes: 100_000)))
        let prefix = test.topic
        test.route = { $0.topic = try RecordTemplate("\(prefix).${topic[2]}") }
        try await test.start()
        let device = try await test.device()
        for number in 0..<450 { try await device.publish(OutboxUnderTest.reading(number, of: "bad name", id: UInt16(number + 1), bytes: 1_000)) }
        try await test.drained()
        test.outbox.control.setPaused(true)
        let order = "{\"all\":true,\"topic\":\"\(prefix).repaired\"}"
        let some = try await ask(test, .post, "routes", "telemetry", "dead-letters", "resend", body: order)
        let resent = try #require(some.body["resent"] as? Int)
        #expect(resent > 0 && resent < 450 && some.body["stopped"] as? String == "the route's outbox is full")
        #expect(test.figures.outbox == resent && test.queued == resent && test.outbox.deadLetters.figures.entries == 450 - resent)
        test.outbox.control.setPaused(false)
        try await test.drained()
        await test.stop()
    }

    @Test("dead letters are dropped by number and all together")
    func drop() async throws {
        let (test, _) = try await withDeadLetters(3)
        let list = try await ask(test, .get, "routes", "telemetry", "dead-letters")
        let first = try #require((list.body["dead_letters"] as? [Object])?.first?["sequence"] as? Int)
        let one = try await ask(test, .post, "routes", "telemetry", "dead-letters", "drop", body: "{\"sequences\":[\(first)]}")
        #expect(one.body["dropped"] as? Int == 1 && one.body["kept"] as? Int == 2)
        #expect(try await ask(test, .get, "routes", "telemetry", "dead-letters", "\(first)").status == 404)
        let all = try await ask(test, .post, "routes", "telemetry", "dead-letters", "drop", body: "{\"all\":true}")
        #expect(all.body["dropped"] as? Int == 2 && all.body["kept"] as? Int == 0 && test.figures.isBalanced)
        await test.stop()
    }

    @Test("what can't be done is refused with a reason, and nothing changes")
    func refusals() async throws {
        let test = try OutboxUnderTest()
        var memory = KafkaRoute(name: "memory", filters: [try TopicFilter("m/#")], cluster: "main", topic: try RecordTemplate("m"))
        memory.delivery.level = .atMostOnce
        test.moreRoutes = [memory]
        try await test.start()
        #expect(try await ask(test, .get, "routes", "other", "pause").status == 404)
        #expect(try await ask(test, .post, "routes", "other", "pause").status == 404)
        #expect(try await ask(test, .post, "routes", "memory", "pause").status == 409)
        #expect(try await ask(test, .get, "routes", "telemetry", "pause").status == 405)
        #expect(try await ask(test, .post).status == 405)
        #expect(try await ask(test, .get, "routes", "telemetry", "dead-letters", "resend").status == 405)
        #expect(try await ask(test, .get, "nonsense").status == 404)
        #expect(try await ask(test, .get, "routes", "telemetry", "dry-run", query: ["seconds": "61"]).status == 400)
        #expect(try await ask(test, .get, "routes", "telemetry", "dry-run", query: ["count": "0"]).status == 400)
        for body in ["", "{}", "[]", "{\"all\":false}", "{\"all\":true,\"sequences\":[1]}", "{\"sequences\":[-1]}", "{\"sequences\":[1,null,2]}", "{\"sequences\":[\(Array(repeating: "1", count: 1_001).joined(separator: ","))]}"] {
            #expect(try await ask(test, .post, "routes", "telemetry", "dead-letters", "drop", body: body).status == 400, "\(body)")
        }
        #expect(!test.outbox.control.isPaused)
        await test.stop()
    }
}
