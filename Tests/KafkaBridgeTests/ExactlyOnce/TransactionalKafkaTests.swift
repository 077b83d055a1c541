import Testing

@testable import KafkaBridge

/// The shipper over librdkafka. Each test runs at a development cluster, which has no isolation, keeps no offsets of transactions and
/// fences nobody; with HEADWATER_TEST_KAFKA=host:port those that need no injected errors run at that cluster, and then more is asked.
@Suite("Transactions over librdkafka", .serialized)
struct TransactionalKafkaTests {
    @Test("records arrive once and in order, with key, headers and time, whatever the number of transactions")
    func arrives() throws {
        let test = try TransactionalUnderTest()
        let queue = MemoryQueue((0..<2_500).map { test.record("\($0)") } + [test.record("")])
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        #expect(queue.entries.isEmpty && shipper.cursor == 5_011)
        let records = try Kcat.consume(test.topic, from: test.bootstrapServers)
        #expect(records.map(\.payload) == (0..<2_500).map(String.init) + [""])
        #expect(records.allSatisfy { $0.key == "k" && $0.headers == ["a", "1", "a", "2"] && $0.timestamp == 1_700_000_000_000 })
        #expect(test.steps.filter { if case .shipped = $0 { true } else { false } }.count == 3)
        shipper.stop()
        test.stop()
    }

    @Test("a lone entry goes at once, and a queue can be shipped on after a stop")
    func stopAndGoOn() throws {
        let test = try TransactionalUnderTest()
        let queue = MemoryQueue([test.record("0")])
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        queue.append(test.record("1"))
        try test.ship(&shipper)
        shipper.stop()
        queue.append(test.record("2"))
        try test.ship(&shipper)
        #expect(try test.payloads() == ["0", "1", "2"])
        #expect(test.producers == 2)
        shipper.stop()
        test.stop()
    }

    @Test("a record that is too large for librdkafka is a dead letter, in order with the others' transaction")
    func tooLarge() throws {
        let test = try TransactionalUnderTest(properties: ["message.max.bytes": "5000"])
        let queue = MemoryQueue(["0", String(repeating: "x", count: 10_000), "2"].map { test.record($0) })
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        #expect(try test.payloads() == ["0", "2"])
        #expect(try test.payloads(test.deadLetterTopic) == ["too_large"])
        #expect(queue.entries.isEmpty && queue.deadLetters.isEmpty)
        #expect(test.steps.contains(.shipped(records: 3, deadLetters: 1)))
        shipper.stop()
        test.stop()
    }

    @Test("a record whose dead-letter record is refused too is kept locally")
    func keptLocally() throws {
        let test = try TransactionalUnderTest(properties: ["message.max.bytes": "5000"])
        let large = String(repeating: "x", count: 10_000)
        let queue = MemoryQueue(["0", large, "2"].map { test.record($0) })
        var shipper = ExactlyOnceShipper(
            outbox: queue, makeProducer: { () throws(ProducerFault) in try test.producer() }, deadLetterRecord: { entry, _ in entry.record }
        )
        try test.ship(&shipper)
        #expect(try test.payloads() == ["0", "2"])
        #expect(queue.deadLetters.map(\.sequence) == [12] && queue.entries.isEmpty)
        shipper.stop()
        test.stop()
    }

    struct Injection: CustomTestStringConvertible, Sendable {
        let request: DevelopmentKafka.Request
        let error: DevelopmentKafka.ErrorCode
        var testDescription: String { "\(request) answered with \(error.rawValue)" }

        static let all: [Injection] = {
            return [
                Injection(request: .addPartitionsToTransaction, error: .disconnect),
                Injection(request: .addPartitionsToTransaction, error: .concurrentTransactions),
                Injection(request: .addPartitionsToTransaction, error: .invalidProducerEpoch),
                Injection(request: .addOffsetsToTransaction, error: .notCoordinator),
                Injection(request: .addOffsetsToTransaction, error: .invalidProducerEpoch),
                Injection(request: .transactionOffsetCommit, error: .coordinatorNotAvailable),
                Injection(request: .endTransaction, error: .disconnect),
                Injection(request: .endTransaction, error: .invalidProducerEpoch),
                Injection(request: .produce, error: .disconnect),
                Injection(request: .produce, error: .notLeader),
                Injection(request: .produce, error: .outOfOrderSequence),
                Injection(request: .produce, error: .invalidProducerEpoch),
            ]
        }()
    }

    @Test(
        "an error in a transaction loses nothing and changes no order", .enabled(if: BridgeUnderTest.isEmbedded), arguments: Injection.all)
    func injected(injection: Injection) throws {
        let test = try TransactionalUnderTest()
        let queue = MemoryQueue([test.record("first")])
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        test.kafka?.fail(injection.request, with: [injection.error])
        for number in 0..<50 { queue.append(test.record("\(number)")) }
        try test.ship(&shipper)
        #expect(queue.entries.isEmpty && queue.deadLetters.isEmpty)
        #expect(try test.payloads() == ["first"] + (0..<50).map(String.init))
        #expect(!test.steps.contains { if case .refused = $0 { true } else { false } })
        shipper.stop()
        test.stop()
    }

    @Test("a record that the broker refuses is found among the others of its batch", .enabled(if: BridgeUnderTest.isEmbedded))
    func poisonInBatch() throws {
        let test = try TransactionalUnderTest()
        let queue = MemoryQueue([test.record("first")])
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        // Eight, then four, two and one.
        test.kafka?.fail(.produce, with: [.messageTooLarge, .messageTooLarge, .messageTooLarge, .messageTooLarge])
        for number in 0..<8 { queue.append(test.record("\(number)")) }
        try test.ship(&shipper)
        #expect(try test.payloads() == ["first"] + (1..<8).map(String.init))
        #expect(try test.payloads(test.deadLetterTopic) == ["too_large"])
        shipper.stop()
        test.stop()
    }

    @Test("a topic that the transaction may not write to makes its records dead letters", .enabled(if: BridgeUnderTest.isEmbedded))
    func notAuthorized() throws {
        let test = try TransactionalUnderTest()
        let queue = MemoryQueue([test.record("first")])
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        test.kafka?.fail(.addPartitionsToTransaction, with: [.topicAuthorizationFailed, .topicAuthorizationFailed])
        for number in 0..<2 { queue.append(test.record("\(number)")) }
        try test.ship(&shipper)
        #expect(try test.payloads() == ["first", "1"])
        #expect(try test.payloads(test.deadLetterTopic) == ["not_authorized"])
        shipper.stop()
        test.stop()
    }

    @Test("a cursor that may not be written holds the queue up and makes no record a dead letter", .enabled(if: BridgeUnderTest.isEmbedded))
    func cursorNotAuthorized() throws {
        let test = try TransactionalUnderTest()
        let queue = MemoryQueue([test.record("0")])
        var shipper = test.shipper(queue)
        test.kafka?.fail(.transactionOffsetCommit, with: Array(repeating: .topicAuthorizationFailed, count: 3))
        try test.ship(&shipper)
        #expect(try test.payloads() == ["0"])
        #expect(try test.payloads(test.deadLetterTopic).isEmpty && queue.deadLetters.isEmpty)
        shipper.stop()
        test.stop()
    }

    @Test(
        "while Kafka is down steps are short and lose nothing, even if records time out; once it is back everything arrives",
        .enabled(if: BridgeUnderTest.isEmbedded), arguments: ["60000", "600"])
    func down(messageTimeout: String) throws {
        let test = try TransactionalUnderTest(properties: ["message.timeout.ms": messageTimeout])
        let queue = MemoryQueue([test.record("first")])
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        test.kafka?.setDown()
        for number in 0..<100 { queue.append(test.record("\(number)")) }
        var waits = 0
        let start = ContinuousClock.now
        try test.ship(&shipper) { _ in
            waits += 1
            return waits == 6
        }
        #expect(ContinuousClock.now - start < .seconds(30))
        #expect(queue.entries.count == 100)
        let hasAborted = test.steps.contains { if case .trouble(.producer(.abortable, _), _) = $0 { true } else { false } }
        #expect(hasAborted == (messageTimeout == "600"))
        test.kafka?.setUp()
        try test.ship(&shipper)
        #expect(try test.payloads() == ["first"] + (0..<100).map(String.init))
        shipper.stop()
        test.stop()
    }

    @Test("a cluster that answers late is shipped to, late", .enabled(if: BridgeUnderTest.isEmbedded))
    func slow() throws {
        let test = try TransactionalUnderTest()
        test.kafka?.setRoundTrip(milliseconds: 300)
        let queue = MemoryQueue((0..<10).map { test.record("\($0)") })
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        #expect(try test.payloads() == (0..<10).map(String.init))
        shipper.stop()
        test.stop()
    }

    @Test("properties that librdkafka refuses are told without their secrets")
    func refusedProperties() throws {
        let test = try TransactionalUnderTest(properties: ["security.protocol": "ssl", "ssl.key.pem": "nonsense-secret"])
        do throws(ProducerFault) {
            try test.producer().close()
            Issue.record("it was made")
        } catch {
            guard case .fatal(let text) = error else {
                Issue.record("not fatal: \(error)")
                return
            }
            #expect(text.contains("ssl.key.pem") && !text.contains("nonsense-secret"), "\(text)")
        }
        test.stop()
    }

    // MARK: - What only a real cluster shows

    static let isReal = !BridgeUnderTest.isEmbedded

    @Test("the committed cursor is read back, and what lies below it is not sent again", .enabled(if: isReal))
    func cursorReadBack() throws {
        let test = try TransactionalUnderTest()
        let records = (0..<100).map { test.record("\($0)") }
        let entries = MemoryQueue(records).entries
        var first = test.shipper(MemoryQueue(entries))
        try test.ship(&first)
        first.stop()
        // As after a crash before the entries were removed for good.
        let queue = MemoryQueue(entries)
        queue.append(test.record("last"))
        var second = test.shipper(queue)
        try test.ship(&second)
        #expect(try test.payloads() == (0..<100).map(String.init) + ["last"])
        let producer = try test.producer()
        try producer.initTransactions()
        #expect(try producer.committedCursor() == Cursor(sequence: 210, storeID: "memory"))
        producer.close()
        // Another store's entries are sent though their sequences are lower.
        var third = test.shipper(MemoryQueue(storeID: "restored", entries.suffix(1)))
        try test.ship(&third)
        #expect(try test.payloads().suffix(2) == ["last", "99"])
        for var shipper in [second, third] { shipper.stop() }
    }

    @Test(
        "an old instance can neither produce nor commit once a new one has begun, and its open transaction is not seen",
        .enabled(if: isReal))
    func zombie() throws {
        let test = try TransactionalUnderTest()
        let old = try test.producer()
        try old.initTransactions()
        try old.begin()
        try old.produce(test.record("old"), sequence: 1)
        // A new topic may take its time.
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            do throws(ProducerFault) {
                #expect(try old.flush().isEmpty)
                break
            } catch {
                guard case .retriable = error, ContinuousClock.now < deadline else { throw error }
            }
        }
        try old.send(Cursor(sequence: 2, storeID: "memory"))
        let queue = MemoryQueue([test.record("new")], first: 1)
        var shipper = test.shipper(queue)
        try test.ship(&shipper)
        #expect(throws: ProducerFault.self) { try old.commit() }
        old.close()
        #expect(try test.payloads() == ["new"])
        shipper.stop()
    }

    @Test("instances that are thrown away at every step leave each record once", .enabled(if: isReal))
    func abandoned() throws {
        let test = try TransactionalUnderTest()
        let entries = MemoryQueue((0..<20).map { test.record("\($0)") }).entries
        var abandoned: [ExactlyOnceShipper] = []
        for stepsToLive in 1...16 {
            var shipper = test.shipper(MemoryQueue(entries), limits: ShipLimits(maxEntries: 3))
            var steps = 0
            try test.ship(&shipper) { _ in
                steps += 1
                return steps == stepsToLive
            }
            abandoned.append(shipper)
        }
        var last = test.shipper(MemoryQueue(entries))
        try test.ship(&last)
        #expect(try test.payloads() == (0..<20).map(String.init))
        for var shipper in abandoned + [last] { shipper.stop() }
    }
}
