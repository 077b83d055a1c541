import CRdKafka

/// A record as it was read from Kafka, copied out of librdkafka's memory.
struct InboundRecord: Sendable, Equatable {
    struct Header: Sendable, Equatable {
        let name: String
        let value: [UInt8]
    }

    var topic: String
    var partition: Int32
    var offset: Int64
    /// Milliseconds since 1970; `nil`: the record has none.
    var timestamp: Int64?
    var key: [UInt8]?
    /// `nil`: a tombstone.
    var value: [UInt8]?
    /// In order; names may repeat. At most `maxHeaders`.
    var headers: [Header] = []

    /// More are not looked at: they are a stranger's, and each costs memory.
    static let maxHeaders = 128

    /// What it takes in memory while it is on its way.
    var byteCount: Int { (key?.count ?? 0) + (value?.count ?? 0) + headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.count } + 200 }
}

extension InboundRecord {
    /// - Parameter message: Without an error.
    init(_ message: UnsafeMutablePointer<rd_kafka_message_t>) {
        let fields = message.pointee
        topic = rd_kafka_topic_name(fields.rkt).map { String(cString: $0) } ?? ""
        partition = fields.partition
        offset = fields.offset
        key = fields.key.map { Array(UnsafeRawBufferPointer(start: $0, count: fields.key_len)) }
        value = fields.payload.map { Array(UnsafeRawBufferPointer(start: $0, count: fields.len)) }
        var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let milliseconds = rd_kafka_message_timestamp(message, &kind)
        timestamp = kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || milliseconds < 0 ? nil : milliseconds
        var list: OpaquePointer?
        guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return }
        var name: UnsafePointer<CChar>?
        var bytes: UnsafeRawPointer?
        var size = 0
        while headers.count < Self.maxHeaders, rd_kafka_header_get_all(list, headers.count, &name, &bytes, &size) == RD_KAFKA_RESP_ERR_NO_ERROR,
            let name
        {
            headers.append(Header(name: String(cString: name), value: Array(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : size))))
        }
    }
}
