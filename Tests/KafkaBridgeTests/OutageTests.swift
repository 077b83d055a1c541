import CRdKafka
import Foundation
import Logging
import MQTTModel
import PluginAPI
import Testing

@testable import KafkaBridge

/// What happens when Kafka fails. The development cluster fails on demand; a cluster from outside can't be asked to.
@Suite("Kafka away, slow or broken", .serialized, .enabled(if: BridgeUnderTest.isEmbedded))
struct OutageTests {
    @Test("while Kafka is down nothing is completed; once it is back everything is, in order")
    func down() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(routes: [try DeliveryTests.route(topic)])
        try test.publish("t/x", "0")
        try await test.settle()
        let kafka = try #require(test.kafka)
        kafka.setDown()
        try await eventually("the bridge sees that Kafka is down") { try test.producer.figures.condition == .down }
        for number in 1...200 { #expect(try test.publish("t/x", "\(number)") == .hold) }
        try await eventually("the stall is measured") { try test.producer.figures.stalledMilliseconds > 700 }
        #expect(test.outcomes.all.count == 1)
        #expect(test.figures.inFlight == 200)
        kafka.setUp()
        try await test.settle()
        #expect(test.outcomes.fulfilled == 201)
        #expect(try test.producer.figures.condition == .up)
        #expect(try Self.withoutRepeats(topic, test) == (0...200).map(String.init))
        await test.stop()
    }

    @Test("a bridge starts without Kafka, is ready, and delivers when Kafka comes")
    func downFromStart() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let kafka = try DevelopmentKafka.start()
        kafka.setDown()
        let route = try DeliveryTests.route(topic)
        let bridge = try KafkaBridge(
            configuration: KafkaConfiguration(
                clusters: [KafkaCluster(name: "main", bootstrapServers: kafka.bootstrapServers)], routes: [route]),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        let hooks = bridge.makeLoopHooks(loop: 0)
        #expect(bridge.readiness != .ready)
        let outcomes = Outcomes()
        for token in 1...50 {
            // The first half before the bridge has started.
            if token == 26 { try await bridge.start(PluginContext(logger: Logger(label: "test"), loopCount: 1) { _ in }) }
            let message = Message(topic: try TopicName("t/x"), payload: Array("\(token)".utf8), qos: .atLeastOnce)
            #expect(hooks.willPublish(message, completion: PublishCompletion(sink: outcomes, token: UInt64(token)), outbox: PublishOutbox()) == .hold)
        }
        #expect(bridge.readiness == .ready)
        try await eventually("Kafka is seen to be away") { bridge.producers["main"]?.figures.condition == .down }
        #expect(outcomes.all.isEmpty)
        kafka.setUp()
        try await eventually("all are completed") { outcomes.fulfilled == 50 }
        #expect(try Kcat.consume(topic, from: kafka.bootstrapServers).map(\.payload) == (1...50).map(String.init))
        await bridge.stop()
        kafka.stop()
    }

    @Test("a cluster that accepts connections and answers late completes late, and the hook never waits")
    func hanging() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(routes: [try DeliveryTests.route(topic)])
        try test.publish("t/x", "0")
        try await test.settle()
        let kafka = try #require(test.kafka)
        kafka.setRoundTrip(milliseconds: 3_000)
        let start = ContinuousClock.now
        for number in 1...2_000 { try test.publish("t/x", "\(number)") }
        #expect(ContinuousClock.now - start < .seconds(2))
        try await eventually("the stall is measured") { try test.producer.figures.stalledMilliseconds > 500 }
        #expect(test.outcomes.all.count == 1)
        kafka.setRoundTrip(milliseconds: 0)
        try await test.settle()
        #expect(try Self.withoutRepeats(topic, test) == (0...2_000).map(String.init))
        await test.stop()
    }

    @Test("a record that librdkafka gives up after its timeout is sent again")
    func timeout() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(properties: ["message.timeout.ms": "300"], routes: [try DeliveryTests.route(topic)])
        try test.publish("t/x", "0")
        try await test.settle()
        test.kafka?.setDown()
        for number in 1...100 { try test.publish("t/x", "\(number)") }
        try await eventually("records have come back") { try test.producer.figures.retries >= 100 }
        #expect(test.outcomes.all.count == 1)
        test.kafka?.setUp()
        try await test.settle()
        #expect(test.outcomes.fulfilled == 101)
        #expect(try Self.withoutRepeats(topic, test) == (0...100).map(String.init))
        await test.stop()
    }

    @Test("a record that the broker refuses fails alone, though its whole batch was turned down")
    func poison() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(properties: ["linger.ms": "50"], routes: [try DeliveryTests.route(topic)])
        try test.publish("t/x", "0")
        try await test.settle()
        // The batch, its first group, and the first record alone: the record is to blame.
        test.kafka?.fail(.produce, with: [.messageTooLarge, .messageTooLarge, .messageTooLarge])
        for number in 1...20 { try test.publish("t/x", "\(number)") }
        try await test.settle()
        #expect(test.figures.failed == [.tooLarge: 1])
        #expect(test.outcomes.all.first { $0.token == 2 }?.outcome == .failed(.quotaExceeded))
        #expect(test.outcomes.fulfilled == 20)
        let expected = ([0] + Array(2...20)).map(String.init)
        #expect(try Kcat.consume(topic, from: test.bootstrapServers).map(\.payload) == expected)
        await test.stop()
    }

    @Test("lost authorisation fails the records of that topic with its reason; others go on, and it too once it is granted")
    func notAuthorized() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(
            properties: ["topic.metadata.refresh.interval.ms": "200"], routes: [try DeliveryTests.route("\(topic)-${topic[2]}")])
        try test.publish("t/x", "0")
        try await test.settle()
        test.kafka?.fail(.produce, with: [.topicAuthorizationFailed])
        try test.publish("t/x", "1")
        try await test.settle()
        try test.publish("t/y", "2")
        try await test.settle()
        #expect(test.outcomes.all.map(\.outcome) == [.fulfilled, .failed(.notAuthorized), .fulfilled])
        #expect(test.figures.failed == [.notAuthorized: 1])
        try await eventually("the topic is written to again") {
            if test.outcomes.all.count == Int(test.published) { try test.publish("t/x", "again") }
            return test.outcomes.fulfilled >= 3
        }
        await test.stop()
    }

    @Test("errors that pass delay records and lose none", arguments: [
        DevelopmentKafka.ErrorCode.notLeader, .notEnoughReplicas, .requestTimedOut, .disconnect,
    ])
    func passing(error: DevelopmentKafka.ErrorCode) async throws {
        let topic = BridgeUnderTest.freshTopic()
        // One: the mock cluster takes what is under way behind a refused batch.
        let test = try await BridgeUnderTest(properties: ["max.in.flight": "1"], routes: [try DeliveryTests.route(topic)])
        try test.publish("t/x", "0")
        try await test.settle()
        test.kafka?.fail(.produce, with: [error, error])
        for number in 1...100 { try test.publish("t/x", "\(number)") }
        try await test.settle()
        #expect(test.outcomes.fulfilled == 101)
        #expect(try Self.withoutRepeats(topic, test) == (0...100).map(String.init))
        await test.stop()
    }

    @Test("after a fatal error a new producer takes everything that was not acknowledged, in order")
    func fatal() async throws {
        let topic = BridgeUnderTest.freshTopic()
        let test = try await BridgeUnderTest(properties: ["linger.ms": "200"], routes: [try DeliveryTests.route(topic)])
        try test.publish("t/x", "0")
        try await test.settle()
        for number in 1...300 {
            try test.publish("t/x", "\(number)")
            if number == 150 {
                try test.producer.withClient { _ = rd_kafka_test_fatal_error($0, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "test") }
            }
        }
        try await test.settle()
        #expect(test.outcomes.fulfilled == 301)
        #expect(try test.producer.figures.replacements == 1)
        #expect(try Self.withoutRepeats(topic, test) == (0...300).map(String.init))
        try test.publish("t/y", "after")
        try await test.settle()
        await test.stop()
    }

    @Test("stop while Kafka is away ends in time, completes nothing and says how many records are left")
    func stopWhileDown() async throws {
        let test = try await BridgeUnderTest(routes: [try DeliveryTests.route(BridgeUnderTest.freshTopic())])
        test.kafka?.setDown()
        for number in 0..<25 { try test.publish("t/x", "\(number)") }
        let start = ContinuousClock.now
        #expect(await test.bridge.stop(flushSeconds: 1) == 25)
        #expect(ContinuousClock.now - start < .seconds(8))
        #expect(test.outcomes.all.isEmpty)
        await test.stop()
    }

    @Test("an embedded cluster tells its address and is gone after stop")
    func embedded() async throws {
        let path = "/tmp/headwater-test-\(UInt64.random(in: .min ... .max)).bootstrap"
        let cluster = KafkaCluster(name: "dev", isEmbedded: true, embeddedBrokers: 2, bootstrapFile: path)
        let route = KafkaRoute(name: "r", filters: [try TopicFilter("#")], cluster: "dev", topic: try RecordTemplate("t"))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let bridge = try KafkaBridge(configuration: KafkaConfiguration(clusters: [cluster], routes: [route]), logger: logger)
        #expect(bridge.bootstrapServers(of: "dev") == nil)
        try await bridge.start(PluginContext(logger: logger, loopCount: 1) { _ in })
        let address = try #require(bridge.bootstrapServers(of: "dev"))
        #expect(address.split(separator: ",").count == 2)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == address + "\n")
        let outcomes = Outcomes()
        let message = Message(topic: try TopicName("a"), payload: Array("1".utf8))
        _ = bridge.makeLoopHooks(loop: 0).willPublish(message, completion: PublishCompletion(sink: outcomes, token: 1), outbox: PublishOutbox())
        try await eventually("the record is acknowledged") { outcomes.fulfilled == 1 }
        #expect(try Kcat.consume("t", from: address).map(\.payload) == ["1"])
        #expect(bridge.embeddedKafka(of: "dev") != nil)
        await bridge.stop()
        #expect(bridge.embeddedKafka(of: "dev") == nil)
        #expect((try? String(contentsOfFile: path, encoding: .utf8)) == nil)
    }

    @Test("a start that fails leaves nothing running and says why")
    func failedStart() async throws {
        let cluster = KafkaCluster(name: "dev", isEmbedded: true, bootstrapFile: "/nonexistent/kafka.bootstrap")
        let bridge = try KafkaBridge(
            configuration: KafkaConfiguration(clusters: [cluster], routes: []),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        await #expect(throws: KafkaBridgeError.bootstrapFile(cluster: "dev", path: "/nonexistent/kafka.bootstrap", reason: "No such file or directory")) {
            try await bridge.start(PluginContext(logger: Logger(label: "test"), loopCount: 1) { _ in })
        }
        #expect(bridge.embeddedKafka(of: "dev") == nil)
    }

    /// The payloads in order. A record sent again may be there twice, next to where it was: at least once is the
    /// promise, and the development cluster does not recognise repeated batches.
    private static func withoutRepeats(_ topic: String, _ test: BridgeUnderTest) throws -> [String] {
        var seen: Set<String> = []
        return try Kcat.consume(topic, from: test.bootstrapServers).map(\.payload).filter { seen.insert($0).inserted }
    }
}
