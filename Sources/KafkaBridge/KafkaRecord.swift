import CRdKafka
import MQTTModel
import PluginAPI

/// One message on its way to one Kafka topic.
///
/// The record holds the message, and with it the bytes that librdkafka sends from, until the delivery report.
final class KafkaRecord: @unchecked Sendable {
    // @unchecked: `sequence` is written once, under the producer's lock, before any other thread can see the record;
    // `suspicion` is read and written by the report loop's thread alone. The rest is constant.
    let message: Message
    let binding: RouteBinding
    private let hold: PublishHold

    /// Order of acceptance at the producer.
    var sequence: UInt64 = 0
    /// How often a batch that held this record was turned down as a whole. See `ReportLoop.drain`.
    var suspicion = 0

    init(message: Message, binding: RouteBinding, hold: PublishHold) {
        self.message = message
        self.binding = binding
        self.hold = hold
    }

    func acknowledged(atNanoseconds now: UInt64) {
        let received = message.received.monotonicNanoseconds
        binding.route.counters.countAcknowledged(bytes: message.payloadLength, delayNanoseconds: now > received ? now - received : 0)
        hold.recordEnded(.fulfilled)
    }

    func failed(_ failure: RecordFailure, error: rd_kafka_resp_err_t) {
        binding.route.failed(message, failure, text: String(cString: rd_kafka_err2str(error)))
        hold.recordEnded(.failed(failure.reasonCode))
    }

    /// Whether nobody waits for it, so that it may be dropped where others would wait.
    var isDroppable: Bool { if case .none = hold { true } else { false } }

    /// There is no room for it while Kafka does not take what came before.
    func dropped() {
        binding.route.failed(message, .unsent, text: "Kafka does not take what came before, and the route sends at most once")
    }

    /// Hands the record to librdkafka, which then holds one reference to it.
    func send(to topic: OpaquePointer, of client: OpaquePointer) -> rd_kafka_resp_err_t {
        let headers = binding.headers.list(for: message)
        let opaque = Unmanaged.passRetained(self)
        let error = message.withParts { _, _, payload in
            // The pointer outlives the closure: the bytes lie in the message's one block, which neither moves nor changes,
            // and this record keeps it. A value that the route made is copied by librdkafka.
            binding.key.withBytes { key in
                binding.value.withBytes { made in
                    // An empty value needs an address: none at all would be a tombstone.
                    let value =
                        made.isEmpty ? UnsafeRawBufferPointer(start: payload.baseAddress, count: binding.value == nil ? payload.count : 0) : made
                    return headwater_produce(
                        client, topic, binding.partition ?? RD_KAFKA_PARTITION_UA, binding.value == nil ? 0 : RD_KAFKA_MSG_F_COPY,
                        key.baseAddress, key.count, value.baseAddress, value.count, binding.timestamp ?? message.received.unixMilliseconds,
                        headers, opaque.toOpaque())
                }
            }
        }
        if error != RD_KAFKA_RESP_ERR_NO_ERROR {
            rd_kafka_headers_destroy(headers)
            opaque.release()
        }
        return error
    }
}

extension [UInt8]? {
    /// An empty pointer for `nil`: Kafka's "no key".
    fileprivate func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self {
        case .some(let bytes): bytes.withUnsafeBytes(body)
        case .none: body(UnsafeRawBufferPointer(start: nil, count: 0))
        }
    }
}
