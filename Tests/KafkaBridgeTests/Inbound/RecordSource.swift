import CRdKafka
import Testing

@testable import KafkaBridge

/// A producer of its own, as any program that writes to Kafka.
final class RecordSource {
    private let client: KafkaClient
    private var topics: [String: OpaquePointer] = [:]

    init(_ bootstrapServers: String) throws {
        let cluster = KafkaCluster(name: "source", bootstrapServers: bootstrapServers,
            properties: ["linger.ms": "1", "allow.auto.create.topics": "true", "message.max.bytes": "20000000"])
        client = try KafkaClient(cluster: cluster, bootstrapServers: bootstrapServers)
    }

    deinit {
        for topic in topics.values { rd_kafka_topic_destroy(topic) }
        client.destroy()
    }

    /// - Parameter value: `nil`: a tombstone.
    func write(
        _ topic: String, _ value: [UInt8]?, key: [UInt8]? = nil, headers: [(String, [UInt8])] = [], partition: Int32 = RD_KAFKA_PARTITION_UA,
        timestamp: Int64 = 0
    ) throws {
        let handle = try #require(topics[topic] ?? rd_kafka_topic_new(client.client, topic, nil))
        topics[topic] = handle
        let list = rd_kafka_headers_new(headers.count)
        for (name, bytes) in headers { rd_kafka_header_add(list, name, -1, bytes, bytes.count) }
        let error = headwater_produce(
            client.client, handle, partition, RD_KAFKA_MSG_F_COPY, key, key?.count ?? 0, value, value?.count ?? 0, timestamp, list, nil)
        try #require(error == RD_KAFKA_RESP_ERR_NO_ERROR)
    }

    func write(_ topic: String, _ text: String, key: String? = nil, headers: [(String, String)] = [], partition: Int32 = RD_KAFKA_PARTITION_UA) throws {
        try write(topic, Array(text.utf8), key: key.map { Array($0.utf8) }, headers: headers.map { ($0, Array($1.utf8)) }, partition: partition)
    }

    /// Waits until everything is in Kafka.
    func flush() throws {
        // Events are not read by anybody else, and flush counts reports that wait as unsent.
        for _ in 0..<300 {
            while let event = rd_kafka_queue_poll(client.queue, 0) { rd_kafka_event_destroy(event) }
            if rd_kafka_outq_len(client.client) == 0 { return }
            rd_kafka_queue_poll(client.queue, 100).map { rd_kafka_event_destroy($0) }
        }
        Issue.record("Kafka did not take the records within 30 s")
    }
}
