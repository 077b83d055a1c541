import LMDB
import MQTTModel

/// The bytes of a message in the store.
///
/// Times are of the wall clock, because the monotonic one begins anew with the system. The publisher is not kept. The tenant is
/// kept with a retained message; one in a queue has the tenant of the queue's session.
enum StoredMessage {
    private static let retainedBit: UInt8 = 4
    private static let expiryBit: UInt8 = 8
    private static let tenantBit: UInt8 = 16

    /// - Parameter tenant: Of a retained message: its name, at most 65,535 bytes; empty for the default tenant.
    static func encodedBytes(of message: Message, tenant: String = "") -> Int {
        19 + (message.expires ? 8 : 0) + (tenant.isEmpty ? 0 : 2 + tenant.utf8.count) + message.byteCount
    }

    /// Writes `encodedBytes(of:tenant:)` bytes.
    static func write(_ message: Message, tenant: String = "", to target: UnsafeMutableRawPointer) {
        let expiry = message.expiresAtUnixMilliseconds
        var flags = message.qos.rawValue
        if message.isRetained { flags |= retainedBit }
        if expiry != nil { flags |= expiryBit }
        if !tenant.isEmpty { flags |= tenantBit }
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
            if !tenant.isEmpty {
                var tenant = tenant
                tenant.withUTF8 { text in
                    target.storeBytes(of: UInt16(text.count).littleEndian, toByteOffset: offset, as: UInt16.self)
                    UnsafeMutableRawBufferPointer(start: target + offset + 2, count: text.count).copyBytes(from: text)
                    offset += 2 + text.count
                }
            }
            for part in [topic, properties, payload] {
                if let base = part.baseAddress { (target + offset).copyMemory(from: base, byteCount: part.count) }
                offset += part.count
            }
        }
    }

    /// Reads what `write` wrote; everything that is left in `reader`.
    ///
    /// - Parameter tenant: Number of the tenant in whose queue the message is.
    static func read(_ reader: inout RecordReader, tenant: UInt32, now: MessageClock) throws(RecordReader.Unreadable) -> Message {
        try read(&reader, now: now, below: tenantBit) { _ in tenant }
    }

    /// Reads a retained message, which says itself whose it is.
    ///
    /// - Parameter tenantNumber: Gives a tenant's name its number in this process.
    static func readRetained(
        _ reader: inout RecordReader, now: MessageClock, tenantNumber: (String) -> UInt32
    ) throws(RecordReader.Unreadable) -> Message {
        try read(&reader, now: now, below: tenantBit << 1) { $0.isEmpty ? 0 : tenantNumber($0) }
    }

    private static func read(
        _ reader: inout RecordReader, now: MessageClock, below flagLimit: UInt8, tenantNumber: (String) -> UInt32
    ) throws(RecordReader.Unreadable) -> Message {
        let flags: UInt8 = try reader.integer()
        guard let qos = QoS(rawValue: flags & 3), flags < flagLimit else { throw RecordReader.Unreadable() }
        let received: Int64 = try reader.integer()
        let topicBytes: UInt16 = try reader.integer()
        let propertiesBytes: UInt32 = try reader.integer()
        let payloadBytes: UInt32 = try reader.integer()
        let expiry: Int64? = flags & expiryBit == 0 ? nil : try reader.integer()
        var tenant = ""
        if flags & tenantBit != 0 {
            tenant = String(decoding: try reader.raw(Int(reader.integer(UInt16.self))), as: UTF8.self)
            if tenant.isEmpty { throw RecordReader.Unreadable() }
        }
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
            restoring: topic, properties: properties, payload: payload, qos: qos, isRetained: flags & retainedBit != 0,
            tenant: tenantNumber(tenant), received: clock, expiresAtMilliseconds: expiry.map(monotonic))
    }

    /// Bytes of topic, properties and payload, from the encoded form of a message without a tenant.
    static func byteCount(_ encoded: UnsafeRawBufferPointer) -> Int? {
        guard encoded.count >= 19 else { return nil }
        return encoded.count - 19 - (encoded[0] & expiryBit != 0 ? 8 : 0)
    }
}
