import MQTTModel

/// Reads the fields of a packet one behind the other (MQTT 5.0 section 1.5). Never reads past the end: a field that
/// does is `.truncated`.
struct PacketReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var index: Int

    /// - Parameter index: Offset of the first field, at most `bytes.count`.
    init(_ bytes: UnsafeRawBufferPointer, at index: Int = 0) {
        self.bytes = bytes
        self.index = index
    }

    var isAtEnd: Bool { index == bytes.count }

    /// Says that the packet has no further field.
    func end() throws(DecodeError) {
        guard isAtEnd else { throw .trailingBytes }
    }

    mutating func byte() throws(DecodeError) -> UInt8 {
        guard index < bytes.count else { throw .truncated }
        defer { index += 1 }
        return bytes[index]
    }

    mutating func uint16() throws(DecodeError) -> UInt16 {
        let high = try byte()
        return UInt16(high) << 8 | UInt16(try byte())
    }

    mutating func uint32() throws(DecodeError) -> UInt32 {
        let high = try uint16()
        return UInt32(high) << 16 | UInt32(try uint16())
    }

    mutating func variableByteInteger() throws(DecodeError) -> Int {
        switch VariableByteInteger.read(bytes, at: index) {
        case .value(let value, let length):
            index += length
            return value
        case .incomplete: throw .truncated
        case .malformed: throw .lengthEncoding
        }
    }

    mutating func slice(_ count: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard count <= bytes.count - index else { throw .truncated }
        defer { index += count }
        return UnsafeRawBufferPointer(rebasing: bytes[index..<(index + count)])
    }

    /// Everything that is left.
    mutating func rest() -> UnsafeRawBufferPointer {
        defer { index = bytes.count }
        return UnsafeRawBufferPointer(rebasing: bytes[index...])
    }

    /// Binary Data: a two-byte length and that many bytes.
    mutating func binary() throws(DecodeError) -> UnsafeRawBufferPointer {
        let length = Int(try uint16())
        return try slice(length)
    }

    /// A UTF-8 Encoded String, checked, in place.
    mutating func text() throws(DecodeError) -> UnsafeRawBufferPointer {
        let text = try binary()
        guard MQTTString.isValid(text) else { throw .invalidUTF8 }
        return text
    }

    mutating func string() throws(DecodeError) -> String {
        String(decoding: try text(), as: UTF8.self)
    }

    mutating func packetID() throws(DecodeError) -> UInt16 {
        let packetID = try uint16()
        if packetID == 0 { throw .zeroPacketID }
        return packetID
    }

    mutating func properties(_ place: PropertyPlaces, limits: DecodeLimits) throws(DecodeError) -> Properties {
        let length = try variableByteInteger()
        return try Properties(try slice(length), place: place, limits: limits)
    }
}
