/// The Variable Byte Integer (MQTT 5.0 section 1.5.5): seven bits a byte, least significant first, at most four bytes.
@usableFromInline
package enum VariableByteInteger {
    /// The largest value that four bytes can say.
    @inlinable package static var maximum: Int { 268_435_455 }

    @usableFromInline
    package enum Reading: Hashable, Sendable {
        /// `length` is the number of bytes of the integer itself.
        case value(Int, length: Int)
        /// The bytes end before the integer does.
        case incomplete
        /// A fifth byte would follow, or the last byte adds nothing [MQTT-1.5.5-1].
        case malformed
    }

    /// Reads the integer that starts at `index`.
    @inlinable
    package static func read(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Reading {
        var value = 0
        var length = 0
        while true {
            if index &+ length >= bytes.count { return .incomplete }
            let byte = bytes[index &+ length]
            value |= Int(byte & 0x7F) &<< (7 &* length)
            length &+= 1
            if byte < 0x80 { return byte == 0 && length > 1 ? .malformed : .value(value, length: length) }
            if length == 4 { return .malformed }
        }
    }

    /// Bytes that `value` takes: 1…4. A value above `maximum` has no encoding; that it can't occur is the caller's to see to.
    @inlinable
    package static func size(of value: Int) -> Int {
        value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
    }

    /// Writes `value` (0…`maximum`) and returns the number of bytes, `size(of: value)`.
    @inlinable
    package static func write(_ value: Int, to target: UnsafeMutableRawPointer) -> Int {
        var rest = value
        var length = 0
        // Never a fifth byte, so that a wrong value is a wrong packet and not a write past the room that size(of:) gave.
        while rest >= 128, length < 3 {
            target.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: length, as: UInt8.self)
            rest &>>= 7
            length &+= 1
        }
        target.storeBytes(of: UInt8(truncatingIfNeeded: rest) & 0x7F, toByteOffset: length, as: UInt8.self)
        return length &+ 1
    }
}
