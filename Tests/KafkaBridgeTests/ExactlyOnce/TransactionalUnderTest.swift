import CRdKafka
import Foundation
import Logging
import MQTTModel
import Testing

@testable import KafkaBridge

/// A shipper over librdkafka, with topics of its own: at a development cluster, or at the one that HEADWATER_TEST_KAFKA names.
final class TransactionalUnderTest {
    let kafka: DevelopmentKafka?
    let bootstrapServers: String
    let cluster: KafkaCluster
    let identity: TransactionalIdentity
    let topic = BridgeUnderTest.freshTopic()
    let deadLetterTopic = BridgeUnderTest.freshTopic()
    private(set) var steps: [ShipStep] = []
    private(set) var producers = 0

    init(properties: [String: String] = [:]) throws {
        let kafka = BridgeUnderTest.isEmbedded ? try DevelopmentKafka.start() : nil
        self.kafka = kafka
        bootstrapServers = try kafka?.bootstrapServers ?? #require(BridgeUnderTest.externalKafka)
        cluster = KafkaCluster(
            name: "main", bootstrapServers: bootstrapServers, properties: ["reconnect.backoff.max.ms": "200"].merging(properties) { $1 })
        let id = BridgeUnderTest.freshTopic()
        identity = TransactionalIdentity(transactionalID: id, consumerGroup: id, cursorTopic: id)
        for name in [topic, deadLetterTopic, id] { try Self.create(name, at: bootstrapServers, kafka) }
    }

    func producer() throws(ProducerFault) -> TransactionalKafkaProducer {
        var logger = Logger(label: "test")
        logger.logLevel = ProcessInfo.processInfo.environment["HEADWATER_TEST_LOG"] == nil ? .critical : .debug
        let reporter = ShipReporter(route: "test", cluster: "main", logger: logger)
        producers += 1
        return try TransactionalKafkaProducer(identity: identity, cluster: cluster, bootstrapServers: bootstrapServers) { _ = reporter.received($0) }
    }

    func shipper(_ queue: MemoryQueue, limits: ShipLimits = ShipLimits(shortestFencedDelay: 100)) -> ExactlyOnceShipper {
        ExactlyOnceShipper(
            outbox: queue, limits: limits, makeProducer: { () throws(ProducerFault) in try self.producer() },
            deadLetterRecord: { entry, failed in
                var record = entry.record
                record.topic = self.deadLetterTopic
                record.value = Array("\(failed.failure.rawValue)".utf8)
                return record
            })
    }

    /// Steps until the outbox is empty and nothing is left to do, 60 seconds at most.
    func ship(_ shipper: inout ExactlyOnceShipper, until isDone: (ShipStep) -> Bool = { $0 == .idle }) throws {
        let deadline = MessageClock.now.monotonicMilliseconds + 60_000
        while true {
            let now = MessageClock.now.monotonicMilliseconds
            let step = shipper.step(now: now)
            steps.append(step)
            if isDone(step) { return }
            try #require(now < deadline, "never done: \(steps.suffix(20))")
            if case .trouble(_, let retryAt) = step { usleep(UInt32(min(retryAt > now ? retryAt - now : 0, 500)) * 1_000) }
        }
    }

    func record(_ value: String, topic: String? = nil) -> OutboxRecord {
        OutboxRecord(
            topic: topic ?? self.topic, partition: nil, key: Array("k".utf8),
            headers: [.init(name: "a", value: [49]), .init(name: "a", value: [50])], timestamp: 1_700_000_000_000, value: Array(value.utf8))
    }

    /// What a `read_committed` consumer sees. A development cluster shows records of aborted transactions too, so there
    /// repeats are left out.
    func payloads(_ topic: String? = nil) throws -> [String] {
        let payloads = try Kcat.consume(topic ?? self.topic, from: bootstrapServers).map(\.payload)
        if kafka == nil { return payloads }
        var seen: Set<String> = []
        return payloads.filter { seen.insert($0).inserted }
    }

    func stop() { kafka?.stop() }

    static func create(_ topic: String, partitions: Int32 = 1, at bootstrapServers: String, _ kafka: DevelopmentKafka?) throws {
        if let kafka { return try kafka.createTopic(topic, partitions: Int(partitions)) }
        let cluster = KafkaCluster(name: "admin", bootstrapServers: bootstrapServers)
        let client = try KafkaClient(cluster: cluster, bootstrapServers: bootstrapServers)
        defer { client.destroy() }
        var new: OpaquePointer? = rd_kafka_NewTopic_new(topic, partitions, -1, nil, 0)
        let queue = rd_kafka_queue_new(client.client)
        defer {
            rd_kafka_NewTopic_destroy(new)
            rd_kafka_queue_destroy(queue)
        }
        rd_kafka_CreateTopics(client.client, &new, 1, nil, queue)
        let event = rd_kafka_queue_poll(queue, 30_000)
        defer { rd_kafka_event_destroy(event) }
        try #require(rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR, "topic \(topic) is not created")
        var count = 0
        let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
        try #require(rd_kafka_topic_result_error(results?[0]) == RD_KAFKA_RESP_ERR_NO_ERROR, "topic \(topic) is not created")
    }
}
