/// Confluent's wire format: what stands before a payload so that a reader knows its schema.
enum WireFormat {
    static let headBytes = 5

    static func head(_ id: Int32) -> [UInt8] {
        let id = UInt32(bitPattern: id)
        return [0, UInt8(id >> 24), UInt8(id >> 16 & 0xFF), UInt8(id >> 8 & 0xFF), UInt8(id & 0xFF)]
    }

    /// Behind the head of protobuf: which message of the schema it is, as zigzag numbers after their count. The first of all,
    /// by far the most frequent, is a single zero.
    static func messageIndexes(_ indexes: [Int]) -> [UInt8] {
        if indexes == [0] { return [0] }
        var bytes: [UInt8] = []
        for number in [indexes.count] + indexes {
            var value = UInt64(number) << 1
            while value >= 0x80 {
                bytes.append(UInt8(value & 0x7F) | 0x80)
                value >>= 7
            }
            bytes.append(UInt8(value))
        }
        return bytes
    }

    /// - Returns: The id; `nil` when the payload has no head.
    static func id(_ payload: UnsafeRawBufferPointer) -> Int32? {
        guard payload.count >= headBytes, payload[0] == 0 else { return nil }
        let id = UInt32(payload[1]) << 24 | UInt32(payload[2]) << 16 | UInt32(payload[3]) << 8 | UInt32(payload[4])
        return Int32(exactly: id)
    }
}
