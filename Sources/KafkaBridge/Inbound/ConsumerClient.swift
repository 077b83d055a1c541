import CRdKafka

/// What a consumer tells while it is polled, on the thread that polls.
protocol ConsumerEvents: AnyObject {
    /// The list is librdkafka's; offsets may be written into it before it is assigned.
    func assigned(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>, by client: ConsumerClient)
    func revoked(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>, by client: ConsumerClient)
    func failed(_ error: rd_kafka_resp_err_t, _ text: String)
    func logged(level: Int32, facility: String, _ text: String)
    func measured(_ statistics: UnsafeRawBufferPointer)
}

/// Owns one consumer. Everything arrives through `poll`: records as its result, the rest by `ConsumerEvents` before it returns.
///
/// Confined to the thread that made it.
final class ConsumerClient {
    let client: OpaquePointer
    private unowned let events: any ConsumerEvents

    /// - Parameter configuration: Taken over.
    init(_ configuration: OpaquePointer, events: any ConsumerEvents) throws(KafkaClientError) {
        // C gets the box, which is filled when there is a client to put into it.
        let box = Box()
        rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(box).toOpaque())
        rd_kafka_conf_set_rebalance_cb(configuration) { _, error, list, opaque in
            guard let owner = Box.owner(opaque), let list else { return }
            owner.rebalanced(error, list)
        }
        rd_kafka_conf_set_error_cb(configuration) { _, error, reason, opaque in
            guard let owner = Box.owner(opaque) else { return }
            owner.events.failed(rd_kafka_resp_err_t(error), reason.map { String(cString: $0) } ?? "")
        }
        rd_kafka_conf_set_log_cb(configuration) { client, level, facility, text in
            guard let client, let owner = Box.owner(rd_kafka_opaque(client)) else { return }
            owner.events.logged(level: level, facility: facility.map { String(cString: $0) } ?? "", text.map { String(cString: $0) } ?? "")
        }
        rd_kafka_conf_set_stats_cb(configuration) { _, json, length, opaque in
            if let owner = Box.owner(opaque) { owner.events.measured(UnsafeRawBufferPointer(start: json, count: json == nil ? 0 : length)) }
            return 0
        }
        let made = try KafkaClient.make(RD_KAFKA_CONSUMER, configuration)
        client = made
        self.events = events
        self.box = box
        rd_kafka_set_log_queue(made, nil)
        rd_kafka_poll_set_consumer(made)
        box.client = self
    }

    private final class Box {
        weak var client: ConsumerClient?
        /// Called by librdkafka inside `poll` and `close` alone, while the client holds the box.
        static func owner(_ opaque: UnsafeMutableRawPointer?) -> ConsumerClient? {
            opaque.flatMap { Unmanaged<Box>.fromOpaque($0).takeUnretainedValue().client }
        }
    }
    private let box: Box

    private func rebalanced(_ error: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) {
        let isCooperative = rd_kafka_rebalance_protocol(client).map { String(cString: $0) } == "COOPERATIVE"
        let isAssignment = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
        if isAssignment { events.assigned(list, by: self) } else { events.revoked(list, by: self) }
        if isCooperative {
            let fault = isAssignment ? rd_kafka_incremental_assign(client, list) : rd_kafka_incremental_unassign(client, list)
            if let fault {
                events.failed(rd_kafka_error_code(fault), String(cString: rd_kafka_error_string(fault)))
                rd_kafka_error_destroy(fault)
            }
        } else {
            let fault = rd_kafka_assign(client, isAssignment ? list : nil)
            if fault != RD_KAFKA_RESP_ERR_NO_ERROR { events.failed(fault, String(cString: rd_kafka_err2str(fault))) }
        }
    }

    /// - Returns: librdkafka's error; `nil`: the subscription stands.
    func subscribe(to topics: [String]) -> String? {
        guard let list = rd_kafka_topic_partition_list_new(Int32(topics.count)) else { return "out of memory" }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for topic in topics { rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA) }
        let error = rd_kafka_subscribe(client, list)
        return error == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : String(cString: rd_kafka_err2str(error))
    }

    /// Waits for a record or something else to happen.
    /// - Returns: The caller destroys it.
    func poll(milliseconds: Int32) -> UnsafeMutablePointer<rd_kafka_message_t>? { rd_kafka_consumer_poll(client, milliseconds) }

    /// Stops or resumes fetching of these partitions. What has been fetched and not read is fetched again.
    func pause(_ isPaused: Bool, _ partitions: [(topic: String, partition: Int32)]) {
        guard !partitions.isEmpty, let list = rd_kafka_topic_partition_list_new(Int32(partitions.count)) else { return }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for partition in partitions { rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition) }
        _ = isPaused ? rd_kafka_pause_partitions(client, list) : rd_kafka_resume_partitions(client, list)
    }

    /// Tells the group how far we are, without waiting.
    func commit(_ places: [(topic: String, partition: Int32, offset: Int64)]) {
        guard !places.isEmpty, let list = rd_kafka_topic_partition_list_new(Int32(places.count)) else { return }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for place in places { rd_kafka_topic_partition_list_add(list, place.topic, place.partition)?.pointee.offset = place.offset }
        _ = rd_kafka_commit(client, list, 1)
    }

    /// What the group has of a partition; `nil`: nothing, or no answer within the time.
    func committed(topic: String, partition: Int32, milliseconds: Int32) -> Int64? {
        guard let list = rd_kafka_topic_partition_list_new(1) else { return nil }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        rd_kafka_topic_partition_list_add(list, topic, partition)
        guard rd_kafka_committed(client, list, milliseconds) == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        let answer = list.pointee.elems[0]
        return answer.err == RD_KAFKA_RESP_ERR_NO_ERROR && answer.offset >= 0 ? answer.offset : nil
    }

    /// Where the next record of a partition will stand; `nil`: no answer within the time.
    func highWatermark(topic: String, partition: Int32, milliseconds: Int32) -> Int64? {
        var (low, high): (Int64, Int64) = (0, 0)
        let error = rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, milliseconds)
        return error == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : nil
    }

    /// Leaves the group, which revokes what is assigned, and ends the client. A group that does not answer is not waited for longer.
    func close(milliseconds: UInt64, now: () -> UInt64) {
        if let queue = rd_kafka_queue_get_consumer(client) {
            if let fault = rd_kafka_consumer_close_queue(client, queue) {
                rd_kafka_error_destroy(fault)
            } else {
                let deadline = now() + milliseconds
                // Records that were fetched come too, and rd_kafka_queue_poll_callback ends the process at the first.
                while rd_kafka_consumer_closed(client) == 0, now() < deadline {
                    if let message = rd_kafka_consume_queue(queue, 50) { rd_kafka_message_destroy(message) }
                }
            }
            rd_kafka_queue_destroy(queue)
        }
        rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
    }
}
