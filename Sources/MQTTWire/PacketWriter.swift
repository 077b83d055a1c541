/// Collects the body of a packet, field by field (MQTT 5.0 section 1.5).
struct PacketWriter {
    private(set) var bytes: [UInt8] = []
    private let detail: Detail

    /// How much of the explanatory properties is written; see `encodePacket`.
    enum Detail {
        case full, withoutReasonString, withoutUserProperties
    }

    init(detail: Detail = .full) { self.detail = detail }

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func uint16(_ value: UInt16) {
        byte(UInt8(value >> 8))
        byte(UInt8(value & 0xFF))
    }

    mutating func uint32(_ value: UInt32) {
        uint16(UInt16(value >> 16))
        uint16(UInt16(value & 0xFFFF))
    }

    mutating func variableByteInteger(_ value: Int) {
        bytes.append(variableByteInteger: value)
    }

    mutating func raw(_ content: [UInt8]) { bytes += content }

    /// Binary Data. More than 65,535 bytes can't be said and are cut.
    mutating func binary(_ content: [UInt8]) {
        uint16(UInt16(clamping: content.count))
        bytes += content.prefix(65_535)
    }

    /// A UTF-8 Encoded String. More than 65,535 bytes can't be said and are cut before the character that is too much.
    mutating func string(_ string: String) {
        let text = string.utf8
        guard text.count > 65_535 else {
            uint16(UInt16(text.count))
            bytes += text
            return
        }
        var length = 65_535
        while text[text.index(text.startIndex, offsetBy: length)] & 0xC0 == 0x80 { length -= 1 }
        uint16(UInt16(length))
        bytes += text.prefix(length)
    }

    /// The wire form of `properties` without its length, as far as the detail asked for goes.
    func block(_ properties: Properties) -> [UInt8] {
        var properties = properties
        if detail != .full { properties.reasonString = nil }
        if detail == .withoutUserProperties { properties.userProperties = [] }
        return properties.encoded
    }

    /// A property block with its length.
    mutating func properties(_ properties: Properties) {
        block(self.block(properties))
    }

    /// A property block in wire form, with its length.
    mutating func block(_ block: [UInt8]) {
        variableByteInteger(block.count)
        bytes += block
    }
}

extension [UInt8] {
    mutating func append(variableByteInteger value: Int) {
        withUnsafeTemporaryAllocation(byteCount: 4, alignment: 1) { buffer in
            // Four bytes are room for every Variable Byte Integer, and an allocation of four bytes has an address.
            let length = VariableByteInteger.write(value, to: buffer.baseAddress!)
            append(contentsOf: buffer[..<length])
        }
    }
}
