/// The header of one frame from a client (RFC 6455 section 5.2), checked as far as it can be without what came before.
struct WebSocketFrameHeader: Equatable {
    enum Opcode: UInt8 {
        case continuation = 0
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10

        var isControl: Bool { rawValue & 8 != 0 }
    }

    enum Parsed: Equatable {
        case needMore
        case header(WebSocketFrameHeader)
        case malformed(WebSocketCloseCode, String)
    }

    /// Most bytes that a masked header has.
    static let maxBytes = 14

    let opcode: Opcode
    let isFinal: Bool
    /// In the order of memory.
    let mask: UInt32
    /// Below 2^63.
    let payloadBytes: UInt64
    /// Of the header itself.
    let byteCount: Int

    /// A fault is told with the first byte that shows it.
    static func parse(_ bytes: UnsafeRawBufferPointer) -> Parsed {
        guard bytes.count > 0 else { return .needMore }
        let first = bytes[0]
        guard first & 0x70 == 0 else { return .malformed(.protocolError, "reserved bits set without an extension") }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { return .malformed(.protocolError, "unknown opcode") }
        let isFinal = first & 0x80 != 0
        guard isFinal || !opcode.isControl else { return .malformed(.protocolError, "fragmented control frame") }
        guard opcode != .text else { return .malformed(.unsupportedData, "text frame") }
        guard bytes.count > 1 else { return .needMore }
        guard bytes[1] & 0x80 != 0 else { return .malformed(.protocolError, "frame without mask") }
        let length = bytes[1] & 0x7F
        guard length < 126 || !opcode.isControl else { return .malformed(.protocolError, "control frame above 125 bytes") }
        let lengthBytes = length < 126 ? 0 : length == 126 ? 2 : 8
        guard bytes.count >= 2 + lengthBytes else { return .needMore }
        var payloadBytes = UInt64(length)
        switch lengthBytes {
        case 2: payloadBytes = UInt64(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        case 8: payloadBytes = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
        default: break
        }
        guard payloadBytes >> 63 == 0 else { return .malformed(.protocolError, "64-bit length with its first bit set") }
        guard lengthBytes == 0 || payloadBytes > (lengthBytes == 2 ? 125 : 0xFFFF) else {
            return .malformed(.protocolError, "length in more bytes than it needs")
        }
        let byteCount = 2 + lengthBytes + 4
        guard bytes.count >= byteCount else { return .needMore }
        return .header(
            WebSocketFrameHeader(
                opcode: opcode, isFinal: isFinal, mask: bytes.loadUnaligned(fromByteOffset: 2 + lengthBytes, as: UInt32.self),
                payloadBytes: payloadBytes, byteCount: byteCount))
    }
}
