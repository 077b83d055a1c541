/// UTF-8 Encoded Strings as MQTT wants them (MQTT 5.0 section 1.5.4): well-formed UTF-8 without surrogates
/// [MQTT-1.5.4-1] and without U+0000 [MQTT-1.5.4-2]. Other control characters and non-characters are allowed, as the
/// specification only advises against them.
public enum MQTTString {
    /// Whether `bytes` may stand as a UTF-8 Encoded String.
    @inlinable
    public static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        let count = bytes.count
        // Eight plain ASCII bytes at a time: no high bit, no zero byte.
        while index + 8 <= count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let zero = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            if (word & 0x8080_8080_8080_8080) | zero != 0 { break }
            index &+= 8
        }
        while index < count {
            let first = bytes[index]
            if first < 0x80 {
                if first == 0 { return false }
                index &+= 1
            } else {
                let length = sequenceLength(bytes, at: index)
                if length == 0 { return false }
                index &+= length
            }
        }
        return true
    }

    /// Length of the well-formed multi-byte sequence at `index`, 0 if there is none (Unicode 15, table 3-7).
    @usableFromInline
    static func sequenceLength(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int {
        let first = bytes[index]
        let left = bytes.count - index
        func continues(_ offset: Int, from low: UInt8 = 0x80, to high: UInt8 = 0xBF) -> Bool {
            let byte = bytes[index + offset]
            return byte >= low && byte <= high
        }
        switch first {
        case 0xC2...0xDF:
            return left >= 2 && continues(1) ? 2 : 0
        case 0xE0:
            return left >= 3 && continues(1, from: 0xA0) && continues(2) ? 3 : 0
        case 0xED:  // U+D800…U+DFFF, the surrogates, start with ED A0…BF
            return left >= 3 && continues(1, to: 0x9F) && continues(2) ? 3 : 0
        case 0xE1...0xEF:
            return left >= 3 && continues(1) && continues(2) ? 3 : 0
        case 0xF0:
            return left >= 4 && continues(1, from: 0x90) && continues(2) && continues(3) ? 4 : 0
        case 0xF1...0xF3:
            return left >= 4 && continues(1) && continues(2) && continues(3) ? 4 : 0
        case 0xF4:
            return left >= 4 && continues(1, to: 0x8F) && continues(2) && continues(3) ? 4 : 0
        default:
            return 0
        }
    }
}
