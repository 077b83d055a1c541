import MQTTModel

/// Appends a packet in its shortest legal form.
///
/// What a version does not know is left out: properties, reason codes of acknowledgements and No Local below MQTT 5,
/// Session Present in MQTT 3.1. Text and binary fields above 65,535 bytes are cut, as they can't be said.
///
/// - Parameters:
///   - version: Of the connection; a CONNECT says its own.
///   - maxPacketBytes: The receiver's Maximum Packet Size. Where the packet is larger, an answer loses first its Reason
///     String, then its User Properties too [MQTT-3.4.2-2] [MQTT-3.4.2-3].
/// - Returns: `false` when it is still too large; nothing has been appended then.
@discardableResult
package func encodePacket(
    _ packet: Packet, version: ProtocolVersion, into out: inout [UInt8],
    maxPacketBytes: Int = 5 + VariableByteInteger.maximum
) -> Bool {
    var writer = PacketWriter()
    let firstByte = packet.write(to: &writer, version: version)
    if totalBytes(writer) > maxPacketBytes, packet.mayOmitDetail {
        writer = PacketWriter(detail: .withoutReasonString)
        _ = packet.write(to: &writer, version: version)
        if totalBytes(writer) > maxPacketBytes {
            writer = PacketWriter(detail: .withoutUserProperties)
            _ = packet.write(to: &writer, version: version)
        }
    }
    guard totalBytes(writer) <= min(maxPacketBytes, 5 + VariableByteInteger.maximum) else { return false }
    out.append(firstByte)
    out.append(variableByteInteger: writer.bytes.count)
    out.append(contentsOf: writer.bytes)
    return true
}

private func totalBytes(_ body: PacketWriter) -> Int {
    1 + VariableByteInteger.size(of: body.bytes.count) + body.bytes.count
}

extension Packet {
    /// Whether Reason String and User Properties only explain, and may be left out. Those of PUBLISH, CONNECT, SUBSCRIBE
    /// and UNSUBSCRIBE are content.
    fileprivate var mayOmitDetail: Bool {
        switch self {
        case .connect, .publish, .subscribe, .unsubscribe, .pingReq, .pingResp: false
        case .connAck, .pubAck, .pubRec, .pubRel, .pubComp, .subAck, .unsubAck, .disconnect, .auth: true
        }
    }

    /// Writes the body and returns the first byte.
    fileprivate func write(to writer: inout PacketWriter, version: ProtocolVersion) -> UInt8 {
        switch self {
        case .connect(let connect): connect.write(to: &writer)
        case .connAck(let connAck): connAck.write(to: &writer, version: version)
        case .publish(let publish):
            publish.write(to: &writer, version: version)
            return publish.firstByte
        case .pubAck(let acknowledgement), .pubRec(let acknowledgement), .pubRel(let acknowledgement),
            .pubComp(let acknowledgement):
            acknowledgement.write(to: &writer, version: version)
        case .subscribe(let subscribe): subscribe.write(to: &writer, version: version)
        case .subAck(let subAck): subAck.write(to: &writer, version: version)
        case .unsubscribe(let unsubscribe): unsubscribe.write(to: &writer, version: version)
        case .unsubAck(let unsubAck): unsubAck.write(to: &writer, version: version)
        case .pingReq, .pingResp: break
        case .disconnect(let disconnect): disconnect.write(to: &writer, version: version)
        case .auth(let auth): auth.write(to: &writer)
        }
        return type.firstByte
    }
}
