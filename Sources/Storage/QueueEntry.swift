import LMDB
import MQTTModel

/// One message in the queue of a session, as the store has it: what is not acknowledged yet, in flight or waiting.
///
/// Its packet identifier is not stored, for it follows from the sequence number (docs/adr/0010).
package struct QueueEntry: Sendable {
    package let sequence: UInt64
    /// `nil`: the receiver has the message (PUBREC); what is left is PUBREL and PUBCOMP.
    package let message: Message?
    package let qos: QoS
    package let retain: Bool
    package let subscriptionIDs: [UInt32]?
    /// The filter of the shared subscription that chose the session, `$share/` included.
    package let share: String?
}

/// The bytes of a queue entry's value.
enum QueueEntryRecord {
    static let retainBit: UInt8 = 4
    static let releasedBit: UInt8 = 8
    static let referenceBit: UInt8 = 16
    static let shareBit: UInt8 = 32
    static let identifiersBit: UInt8 = 64

    /// - Parameter reference: Number of the stored message that the entry refers to; `nil`: it holds the message itself.
    static func encodedBytes(_ operation: StoreOperation, _ message: Message, reference: UInt64?) -> Int {
        var bytes = SealedRecord.sealBytes + 1 + (reference == nil ? StoredMessage.encodedBytes(of: message) : 8)
        if let details = operation.details {
            if let share = details.share { bytes += 2 + share.utf8.count }
            if let identifiers = details.subscriptionIDs { bytes += 4 + 4 * identifiers.count }
        }
        return bytes
    }

    static func write(
        _ operation: StoreOperation, _ message: Message, reference: UInt64?, to record: UnsafeMutableRawBufferPointer, key: UnsafeRawBufferPointer
    ) {
        var flags = operation.qos.rawValue
        if operation.retain { flags |= retainBit }
        if reference != nil { flags |= referenceBit }
        var offset = SealedRecord.sealBytes + 1
        if let share = operation.details?.share {
            flags |= shareBit
            let text = Array(share.utf8)
            record.storeBytes(of: UInt16(text.count).littleEndian, toByteOffset: offset, as: UInt16.self)
            text.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: record[(offset + 2)...]).copyMemory(from: $0) }
            offset += 2 + text.count
        }
        if let identifiers = operation.details?.subscriptionIDs {
            flags |= identifiersBit
            record.storeBytes(of: UInt32(identifiers.count).littleEndian, toByteOffset: offset, as: UInt32.self)
            offset += 4
            for identifier in identifiers {
                record.storeBytes(of: identifier.littleEndian, toByteOffset: offset, as: UInt32.self)
                offset += 4
            }
        }
        record[SealedRecord.sealBytes] = flags
        if let reference {
            record.storeBytes(of: reference.littleEndian, toByteOffset: offset, as: UInt64.self)
        } else {
            StoredMessage.write(message, to: record.baseAddress.unsafelyUnwrapped + offset)
        }
        SealedRecord.close(record, key: key)
    }

    /// What an entry says before its message.
    struct Header {
        let qos: QoS
        let retain: Bool
        let isReleased: Bool
        let share: String?
        let subscriptionIDs: [UInt32]?
        /// The stored message that it refers to.
        let reference: UInt64?
    }

    /// - Parameter reader: On the content of a record; stands at the message afterwards, if the entry holds it.
    static func readHeader(_ reader: inout RecordReader) throws(RecordReader.Unreadable) -> Header {
        let flags: UInt8 = try reader.integer()
        guard let qos = QoS(rawValue: flags & 3), flags < 128 else { throw RecordReader.Unreadable() }
        var share: String?
        if flags & shareBit != 0 {
            let length: UInt16 = try reader.integer()
            share = String(decoding: try reader.raw(Int(length)), as: UTF8.self)
        }
        var identifiers: [UInt32]?
        if flags & identifiersBit != 0 {
            let count = Int(try reader.integer(UInt32.self))
            guard count * 4 <= reader.rest else { throw RecordReader.Unreadable() }
            var list: [UInt32] = []
            for _ in 0..<count { list.append(try reader.integer()) }
            identifiers = list
        }
        let reference: UInt64? = flags & referenceBit == 0 ? nil : try reader.integer()
        return Header(
            qos: qos, retain: flags & retainBit != 0, isReleased: flags & releasedBit != 0, share: share, subscriptionIDs: identifiers,
            reference: reference)
    }

    /// What is left of an entry whose message the receiver has.
    static let released: [UInt8] = [QoS.exactlyOnce.rawValue | releasedBit]
}
