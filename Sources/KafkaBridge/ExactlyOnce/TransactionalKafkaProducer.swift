import CRdKafka
import MQTTModel

/// The transactional producer of one queue: a client of its own, since librdkafka has one transaction per client.
///
/// Used by one thread, which also takes the delivery reports: `commit` and `abort` wait for records whose reports nobody
/// takes, so both begin by taking them.
final class TransactionalKafkaProducer: TransactionalProducer {
    private let identity: TransactionalIdentity
    private let cluster: KafkaCluster
    private let bootstrapServers: String
    private let client: KafkaClient
    private let group: OpaquePointer
    private let told: (OpaquePointer) -> Void
    private var topics: [String: OpaquePointer] = [:]
    /// While the cursor is being read.
    private var cursorReader: CommittedCursor?
    private var messages = [UnsafePointer<rd_kafka_message_t>?](repeating: nil, count: 512)

    // Of the open transaction.
    private var produced: [UInt64] = []
    /// Records that librdkafka has and not reported.
    private var unreported = 0
    private var failures: [FailedRecord] = []
    /// Why a record came back without being to blame: the transaction can't be committed.
    private var brokenBy: String?

    /// Milliseconds that a call may take. Those that go on in the background when called again are short; the others must
    /// have time for a slow cluster.
    private static let shortWait: Int32 = 500
    private static let longWait: Int32 = 4_000

    /// Makes the client. Returns at once; the cluster need not be there.
    /// - Parameter told: Gets every event that is no delivery report: log lines, errors, statistics.
    /// - Throws: `.fatal`: librdkafka refuses the properties, or the system a thread.
    init(identity: TransactionalIdentity, cluster: KafkaCluster, bootstrapServers: String, told: @escaping (OpaquePointer) -> Void) throws(ProducerFault) {
        guard let group = rd_kafka_consumer_group_metadata_new(identity.consumerGroup) else { throw .fatal("out of memory") }
        do {
            client = try KafkaClient(cluster: cluster, bootstrapServers: bootstrapServers, own: identity.producerProperties(of: cluster))
        } catch {
            rd_kafka_consumer_group_metadata_destroy(group)
            throw .fatal(error.reason)
        }
        self.group = group
        self.identity = identity
        self.cluster = cluster
        self.bootstrapServers = bootstrapServers
        self.told = told
    }

    func close() {
        for topic in topics.values { rd_kafka_topic_destroy(topic) }
        topics = [:]
        rd_kafka_consumer_group_metadata_destroy(group)
        client.destroy()
    }

    func poll() { takeEvents(waitMilliseconds: 0) }

    func initTransactions() throws(ProducerFault) {
        defer { takeEvents(waitMilliseconds: 0) }
        try check(rd_kafka_init_transactions(client.client, Self.longWait))
    }

    func committedCursor() throws(ProducerFault) -> Cursor? {
        if cursorReader == nil { askForCursorTopic() }
        if cursorReader == nil { cursorReader = try CommittedCursor(identity, cluster: cluster, bootstrapServers: bootstrapServers) }
        let cursor = try cursorReader?.read(waitMilliseconds: Self.longWait)
        cursorReader = nil
        return cursor
    }

    /// Where brokers make topics that are asked for, the cursor's is there after this. Elsewhere an operator has to make it.
    private func askForCursorTopic() {
        guard let topic = rd_kafka_topic_new(client.client, identity.cursorTopic, nil) else { return }
        var metadata: UnsafePointer<rd_kafka_metadata>?
        if rd_kafka_metadata(client.client, 0, topic, &metadata, Self.longWait) == RD_KAFKA_RESP_ERR_NO_ERROR { rd_kafka_metadata_destroy(metadata) }
        rd_kafka_topic_destroy(topic)
    }

    func begin() throws(ProducerFault) {
        try check(rd_kafka_begin_transaction(client.client))
        produced.removeAll(keepingCapacity: true)
        failures.removeAll(keepingCapacity: true)
        brokenBy = nil
    }

    func produce(_ record: OutboxRecord, sequence: UInt64) throws(ProducerFault) {
        guard let topic = topic(named: record.topic) else {
            failures.append(FailedRecord(sequence: sequence, failure: .invalidTopic, text: "librdkafka refuses the topic's name"))
            produced.append(sequence)
            return
        }
        let headers = rd_kafka_headers_new(record.headers.count)
        for header in record.headers {
            header.value.withUnsafeBytes { _ = rd_kafka_header_add(headers, header.name, header.name.utf8.count, $0.baseAddress, $0.count) }
        }
        let error = record.withKeyAndValue { key, value in
            headwater_produce(
                client.client, topic, record.partition ?? RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, key.baseAddress, key.count, value.baseAddress, value.count,
                record.timestamp, headers, UnsafeMutableRawPointer(bitPattern: UInt(sequence)))
        }
        if error == RD_KAFKA_RESP_ERR_NO_ERROR {
            unreported += 1
            produced.append(sequence)
            return
        }
        rd_kafka_headers_destroy(headers)
        if let fault = ProducerFault(fatalErrorOf: client.client) { throw fault }
        let text = String(cString: rd_kafka_err2str(error))
        if error == RD_KAFKA_RESP_ERR__QUEUE_FULL { throw .retriable(text) }
        guard let failure = RecordFailure(inTransaction: error) else { throw .abortable(text) }
        failures.append(FailedRecord(sequence: sequence, failure: failure, text: text))
        produced.append(sequence)
    }

    func flush() throws(ProducerFault) -> [FailedRecord] {
        try takeReports(waitMilliseconds: Self.shortWait)
        if !failures.isEmpty { return failures }
        guard let reason = brokenBy else { return [] }
        let fault = transactionFault()
        if !failures.isEmpty { return failures }
        throw fault ?? .abortable(reason)
    }

    func send(_ cursor: Cursor) throws(ProducerFault) {
        guard brokenBy == nil, failures.isEmpty else { throw .abortable(brokenBy ?? "records have failed") }
        defer { takeEvents(waitMilliseconds: 0) }
        try check(sendOffsets(cursor))
    }

    func commit() throws(ProducerFault) {
        guard brokenBy == nil, failures.isEmpty else { throw .abortable(brokenBy ?? "records have failed") }
        try takeReports(waitMilliseconds: Self.shortWait)
        try check(rd_kafka_commit_transaction(client.client, Self.shortWait))
    }

    func abort() throws(ProducerFault) {
        let deadline = Self.now + UInt64(Self.shortWait)
        while true {
            guard let error = rd_kafka_abort_transaction(client.client, 50) else { break }
            let fault = ProducerFault(taking: error)
            // It has thrown the records out and waits for their reports to be taken.
            takeEvents(waitMilliseconds: 0)
            guard case .retriable = fault, Self.now < deadline else { throw fault }
        }
        while unreported > 0, Self.now < deadline { takeEvents(waitMilliseconds: 10) }
    }

    // MARK: - Answers

    /// Waits until every record of the transaction has its report.
    private func takeReports(waitMilliseconds: Int32) throws(ProducerFault) {
        let deadline = Self.now + UInt64(waitMilliseconds)
        while unreported > 0 {
            // With reports as events, flush only stops librdkafka from waiting for fuller batches, and wakes its threads: one that has
            // waited for a partition to be part of the transaction sleeps until then.
            rd_kafka_flush(client.client, 1)
            takeEvents(waitMilliseconds: 2)
            if let fault = ProducerFault(fatalErrorOf: client.client) { throw fault }
            if unreported > 0, Self.now >= deadline { throw .retriable("\(unreported) records are not acknowledged") }
        }
        if let fault = ProducerFault(fatalErrorOf: client.client) { throw fault }
    }

    private func takeEvents(waitMilliseconds: Int32) {
        var wait = waitMilliseconds
        while let event = rd_kafka_queue_poll(client.queue, wait) {
            wait = 0
            if rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR { takeReports(event) } else { told(event) }
            rd_kafka_event_destroy(event)
        }
    }

    private func takeReports(_ event: OpaquePointer) {
        while true {
            let count = rd_kafka_event_message_array(event, &messages, messages.count)
            if count == 0 { return }
            unreported -= count
            for case let message? in messages[..<count] where message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR {
                let error = message.pointee.err
                let text = String(cString: rd_kafka_err2str(error))
                guard let failure = RecordFailure(inTransaction: error) else {
                    brokenBy = brokenBy ?? text
                    continue
                }
                failures.append(
                    FailedRecord(
                        sequence: UInt64(UInt(bitPattern: message.pointee._private)), failure: failure,
                        blamesBatch: DeliveryVerdict(error).blamesBatch, text: text))
            }
        }
    }

    /// The reason why records were thrown out. A topic that can't be a part of the transaction fails all of it, before anything
    /// is sent, and no report names the record: then all are under suspicion.
    private func transactionFault() -> ProducerFault? {
        // A call that only an intact transaction takes; this one is never committed.
        guard let error = sendOffsets(Cursor(sequence: 0, storeID: "")) else { return nil }
        let code = rd_kafka_error_code(error)
        let fault = ProducerFault(taking: error)
        // The group's and the cursor topic's permissions have the same codes, and no record is to blame for them.
        guard case .abortable(let text) = fault, text.contains("add partition(s) to transaction"),
            let failure = RecordFailure(inTransaction: code), failure != .other
        else { return fault }
        failures = produced.map { FailedRecord(sequence: $0, failure: failure, blamesBatch: true, text: text) }
        return nil
    }

    private func sendOffsets(_ cursor: Cursor) -> OpaquePointer? {
        let offsets = CommittedCursor.offsets(cursor, of: identity)
        defer { rd_kafka_topic_partition_list_destroy(offsets) }
        return rd_kafka_send_offsets_to_transaction(client.client, offsets, group, Self.longWait)
    }

    private func check(_ error: OpaquePointer?) throws(ProducerFault) {
        if let error { throw ProducerFault(taking: error) }
    }

    private func topic(named name: String) -> OpaquePointer? {
        if let topic = topics[name] { return topic }
        guard let topic = rd_kafka_topic_new(client.client, name, nil) else { return nil }
        topics[name] = topic
        return topic
    }

    /// Milliseconds on the monotonic clock.
    private static var now: UInt64 { MessageClock.now.monotonicMilliseconds }
}

extension OutboxRecord {
    /// No key is an empty pointer; an empty value is none, or it would be a tombstone.
    fileprivate func withKeyAndValue<Result>(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Result) -> Result {
        let filler: [UInt8] = [0]
        return filler.withUnsafeBytes { filler in
            value.withUnsafeBytes { value in
                let value = value.isEmpty ? UnsafeRawBufferPointer(rebasing: filler[..<0]) : value
                guard let key else { return body(UnsafeRawBufferPointer(start: nil, count: 0), value) }
                return key.withUnsafeBytes { body($0.isEmpty ? UnsafeRawBufferPointer(rebasing: filler[..<0]) : $0, value) }
            }
        }
    }
}
