import CRdKafka

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Reads a queue's cursor back from Kafka: the group's committed offset and its metadata. Only a consumer may ask, so this
/// is one, for as long as it takes.
///
/// Kafka forgets the offsets of a group that nobody consumes in after `offsets.retention.minutes` (7 days by default)
/// without a commit. Then there is no cursor, and the outbox's own removals alone say what has been sent.
final class CommittedCursor {
    private let identity: TransactionalIdentity
    private let consumer: OpaquePointer

    /// - Throws: `.retriable`, as `read` does.
    init(_ identity: TransactionalIdentity, cluster: KafkaCluster, bootstrapServers: String) throws(ProducerFault) {
        do {
            let configuration = try ProducerProperties.configuration(of: cluster, bootstrapServers: bootstrapServers, own: identity.consumerProperties)
            // Its log goes to a queue that nobody reads: it connects to the same brokers as the producer, whose log is read.
            consumer = try KafkaClient.make(RD_KAFKA_CONSUMER, configuration)
        } catch { throw .retriable(error.reason) }
        self.identity = identity
    }

    deinit {
        // It is a member of no group, so there is none to leave.
        rd_kafka_destroy_flags(consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
    }

    /// - Parameter waitMilliseconds: For connecting and asking together; another call has the connections that this one made.
    /// - Throws: `.retriable`, whatever it is: without an answer nothing may be sent, and an operator can mend what is wrong.
    func read(waitMilliseconds: Int32) throws(ProducerFault) -> Cursor? {
        guard let list = rd_kafka_topic_partition_list_new(1) else { throw .retriable("out of memory") }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        rd_kafka_topic_partition_list_add(list, identity.cursorTopic, identity.cursorPartition)
        var error = rd_kafka_committed(consumer, list, waitMilliseconds)
        let answer = list.pointee.elems[0]
        if error == RD_KAFKA_RESP_ERR_NO_ERROR { error = answer.err }
        guard error == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw .retriable(
                "the cursor of group \(identity.consumerGroup) on \(identity.cursorTopic) [\(identity.cursorPartition)] can't be read: "
                    + String(cString: rd_kafka_err2str(error)))
        }
        guard let sequence = UInt64(exactly: answer.offset) else { return nil }  // RD_KAFKA_OFFSET_INVALID: no offset
        let metadata = UnsafeRawBufferPointer(start: answer.metadata, count: answer.metadata_size)
        return Cursor(sequence: sequence, storeID: String(decoding: metadata, as: UTF8.self))
    }

    /// The offset list that commits `cursor`. The caller destroys it.
    static func offsets(_ cursor: Cursor, of identity: TransactionalIdentity) -> UnsafeMutablePointer<rd_kafka_topic_partition_list_t>? {
        guard let list = rd_kafka_topic_partition_list_new(1) else { return nil }
        guard let offset = rd_kafka_topic_partition_list_add(list, identity.cursorTopic, identity.cursorPartition) else { return list }
        offset.pointee.offset = Int64(cursor.sequence)
        offset.pointee.metadata = UnsafeMutableRawPointer(strdup(cursor.storeID))  // the list frees it
        offset.pointee.metadata_size = cursor.storeID.utf8.count
        return list
    }
}
