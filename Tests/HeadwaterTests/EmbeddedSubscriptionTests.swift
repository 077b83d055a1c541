import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Subscriptions and messages of a program that embeds the broker")
struct EmbeddedSubscriptionTests {
    @Test("retained messages come first, from every event loop", arguments: loopCounts)
    func retained(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher")
            for index in 0..<20 { try await publisher.publish(message("r/\(index)", "\(index)", qos: .atLeastOnce, retain: true)) }
            try await harness.wait(for: "20 retained messages") { $0.retainedMessages == 20 }
            let messages = try await harness.broker.subscribe(try TopicFilter("r/+"))
            try await within("20 retained messages") {
                var topics: Set<String> = []
                for await message in messages {
                    topics.insert(message.topic)
                    if topics.count == 20 { break }
                }
                return topics
            }
        }
    }

    @Test("a subscription ends when the broker stops")
    func endsWithBroker() async throws {
        let harness = try await BrokerHarness.start()
        let messages = try await harness.broker.subscribe(try TopicFilter("#"))
        await harness.stop()
        try await within("the end of the sequence") {
            for await _ in messages {}
            return true
        }
    }

    @Test("a broker that has stopped drops what is published, and still answers for its figures")
    func afterStop() async throws {
        let harness = try await BrokerHarness.start()
        let broker = harness.broker
        await harness.stop()
        try await within("publish and statistics") {
            await broker.publish(Message(topic: try TopicName("t"), payload: []))
            return await broker.statistics().connections
        }
        await #expect(throws: BrokerError.self) { _ = try await broker.subscribe(try TopicFilter("#")) }
    }

    @Test("messages that a subscription has no room for are counted as dropped")
    func overflow() async throws {
        try await withBroker(1) { harness in
            let messages = try await harness.broker.subscribe(try TopicFilter("t"), bufferedMessages: 3)
            for index in 0..<10 { await harness.broker.publish(Message(topic: try TopicName("t"), payload: [UInt8(index)])) }
            let statistics = await harness.broker.statistics()
            #expect(statistics.delivered == 3)
            #expect(statistics.dropped[.queueFull] == 7)
            _ = messages
        }
    }
}

/// The result of `body`, or a failure when it takes longer than every other wait, even if it never ends.
@discardableResult
func within<Result: Sendable>(_ claim: String, _ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    let (results, continuation) = AsyncThrowingStream.makeStream(of: Result?.self)
    Task {
        do { continuation.yield(try await body()) } catch { continuation.finish(throwing: error) }
    }
    Task {
        try await Task.sleep(for: ScriptedClient.patience)
        continuation.yield(nil)
    }
    for try await result in results {
        if let result { return result }
        break
    }
    throw ScriptedClientError("\(claim): not in time", file: #fileID, line: #line)
}
