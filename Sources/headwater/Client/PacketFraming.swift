import MQTTModel
import MQTTWire
import NIOCore

/// Bytes from a broker become packets, as the broker's own codec reads them.
struct PacketFraming: ByteToMessageDecoder {
    typealias InboundOut = Packet

    let version: ProtocolVersion
    /// What CONNECT announced as Maximum Packet Size, or all that MQTT allows.
    let maxPacketBytes: Int

    mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        let read = try buffer.withUnsafeReadableBytes { bytes -> (packet: Packet, length: Int)? in
            switch readFrame(bytes, at: 0, maxPacketBytes: maxPacketBytes) {
            case .needMore: return nil
            case .malformed(let error): throw error
            case .frame(let frame):
                let packet = try decodePacket(
                    firstByte: frame.firstByte, body: frame.body(in: bytes), version: version, limits: DecodeLimits(maxTopicLevels: 65_535),
                    from: .server)
                return (packet, frame.end)
            }
        }
        guard let read else { return .needMoreData }
        buffer.moveReaderIndex(forwardBy: read.length)
        context.fireChannelRead(wrapInboundOut(read.packet))
        return .continue
    }

    mutating func decodeLast(context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool) throws -> DecodingState {
        while try decode(context: context, buffer: &buffer) == .continue {}
        return .needMoreData
    }
}

/// Packets to a broker become bytes.
struct PacketBytes: MessageToByteEncoder {
    typealias OutboundIn = Packet

    let version: ProtocolVersion

    func encode(data: Packet, out: inout ByteBuffer) throws {
        var bytes: [UInt8] = []
        guard encodePacket(data, version: version, into: &bytes) else { throw ClientFault.packetTooLarge }
        out.writeBytes(bytes)
    }
}
