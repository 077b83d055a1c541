import MQTTModel

/// Decodes one whole packet, found by `readFrame`, and checks all that can be checked without knowing the connection.
///
/// - Parameters:
///   - firstByte: Type and flags from the fixed header.
///   - body: The packet without its fixed header.
///   - version: Of the connection. A CONNECT says its own, so for it any value will do.
///   - peer: Who sent it.
/// - Throws: `DecodeError`; the connection can't go on then.
package func decodePacket(
    firstByte: UInt8, body: UnsafeRawBufferPointer, version: ProtocolVersion, limits: DecodeLimits, from peer: Peer
) throws(DecodeError) -> Packet {
    guard let type = PacketType(rawValue: firstByte >> 4), type != .auth || version == .v5 else {
        throw .reservedPacketType(firstByte >> 4)
    }
    guard type.maySend(peer, version: version) else { throw .unexpectedPacket(type: type.rawValue) }
    guard type.allows(flags: firstByte & 0x0F, version: version) else { throw .reservedFlags(type: type.rawValue) }
    var reader = PacketReader(body)
    let packet: Packet
    switch type {
    case .connect: packet = .connect(try Connect(from: &reader, limits: limits))
    case .connAck: packet = .connAck(try ConnAck(from: &reader, version: version, limits: limits))
    case .publish:
        return .publish(try Publish(firstByte: firstByte, body: body, version: version, limits: limits, from: peer))
    case .pubAck: packet = .pubAck(try Acknowledgement(from: &reader, type: type, version: version, limits: limits, peer: peer))
    case .pubRec: packet = .pubRec(try Acknowledgement(from: &reader, type: type, version: version, limits: limits, peer: peer))
    case .pubRel: packet = .pubRel(try Acknowledgement(from: &reader, type: type, version: version, limits: limits, peer: peer))
    case .pubComp: packet = .pubComp(try Acknowledgement(from: &reader, type: type, version: version, limits: limits, peer: peer))
    case .subscribe: packet = .subscribe(try Subscribe(from: &reader, version: version, limits: limits))
    case .subAck: packet = .subAck(try SubAck(from: &reader, version: version, limits: limits))
    case .unsubscribe: packet = .unsubscribe(try Unsubscribe(from: &reader, version: version, limits: limits))
    case .unsubAck: packet = .unsubAck(try UnsubAck(from: &reader, version: version, limits: limits))
    case .pingReq: packet = .pingReq
    case .pingResp: packet = .pingResp
    case .disconnect: packet = .disconnect(try Disconnect(from: &reader, version: version, limits: limits, peer: peer))
    case .auth: packet = .auth(try Auth(from: &reader, limits: limits, peer: peer))
    }
    try reader.end()
    return packet
}
