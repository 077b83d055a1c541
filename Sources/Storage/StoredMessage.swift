import LMDB
import MQTTModel

/// The bytes of a message in the store.
///
/// Times are of the wall clock, because the monotonic one begins anew with the system. The publisher is not kept.
enum StoredMessage {
    private static let retainedBit: UInt8 = 4
    private static let expiryBit: UInt8 = 8

    static func encodedBytes(of message: Message) -> Int { 19 + (message.expires ? 8 : 0) + message.byteCount }

    /// Writes `encodedBytes(of:)` bytes.
    static func write(_ message: Message, to target: UnsafeMutableRawPointer) {
        let expiry = message.expiresAtUnixMilliseconds
        var flags = message.qos.rawValue
        if message.isRetained { flags |= retainedBit }
        if expiry != nil { flags |= expiryBit }
        target.storeBytes(of: flags, as: UInt8.self)
        target.storeBytes(of: message.received.unixMilliseconds.littleEndian, toByteOffset: 1, as: Int64.self)
        message.withParts { topic, properties, payload in
            target.storeBytes(of: UInt16(topic.count).littleEndian, toByteOffset: 9, as: UInt16.self)
            target.storeBytes(of: UInt32(properties.count).littleEndian, toByteOffset: 11, as: UInt32.self)
            target.storeBytes(of: UInt32(payload.count).littleEndian, toByteOffset: 15, as: UInt32.self)
            var offset = 19
            if let expiry {
                target.storeBytes(of: expiry.littleEndian, toByteOffset: offset, as: Int64.self)
                offset += 8
            }
            for part in [topic, properties, payload] {
                if let base = part.baseAddress { (target + offset).copyMemory(from: base, byteCount: part.count) }
                offset += part.count
            }
        }
    }

    /// Reads what `write` wrote; everything that is left in `reader`.
    static func read(_ reader: inout RecordReader, now: MessageClock) throws(RecordReader.Unreadable) -> Message {
        let flags: UInt8 = try reader.integer()
        guard let qos = QoS(rawValue: flags & 3), flags < 16 else { throw RecordReader.Unreadable() }
        let received: Int64 = try reader.integer()
        let topicBytes: UInt16 = try reader.integer()
        let propertiesBytes: UInt32 = try reader.integer()
        let payloadBytes: UInt32 = try reader.integer()
        let expiry: Int64? = flags & expiryBit == 0 ? nil : try reader.integer()
        let topic = try reader.raw(Int(topicBytes))
        let properties = try reader.raw(Int(propertiesBytes))
        let payload = try reader.raw(Int(payloadBytes))
        guard reader.isAtEnd, TopicName.check(topic) == nil else { throw RecordReader.Unreadable() }
        // Milliseconds from now, which may lie before the beginning of the monotonic clock.
        func monotonic(_ unix: Int64) -> UInt64 {
            let distance = unix.subtractingReportingOverflow(now.unixMilliseconds)
            guard !distance.overflow else { return unix < 0 ? 0 : .max - 1 }
            let sum = Int64(clamping: now.monotonicMilliseconds).addingReportingOverflow(distance.partialValue)
            return sum.overflow ? .max - 1 : UInt64(max(0, sum.partialValue))
        }
        let clock = MessageClock(monotonicNanoseconds: monotonic(received).multipliedReportingOverflow(by: 1_000_000).partialValue, unixMilliseconds: received)
        return Message(
            restoring: topic, properties: properties, payload: payload, qos: qos, isRetained: flags & retainedBit != 0, received: clock,
            expiresAtMilliseconds: expiry.map(monotonic))
    }

    /// Bytes of topic, properties and payload, from the encoded form.
    static func byteCount(_ encoded: UnsafeRawBufferPointer) -> Int? {
        guard encoded.count >= 19 else { return nil }
        return encoded.count - 19 - (encoded[0] & expiryBit != 0 ? 8 : 0)
    }
}
