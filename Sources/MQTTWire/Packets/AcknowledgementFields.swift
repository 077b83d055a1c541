import MQTTModel

/// The hot path's form of PUBACK, PUBREC, PUBREL and PUBCOMP: what a session needs to know, nothing allocated.
@usableFromInline
package struct AcknowledgementFields: Hashable, Sendable {
    @usableFromInline package let packetID: UInt16
    @usableFromInline package let reason: ReasonCode

    @inlinable
    package init(packetID: UInt16, reason: ReasonCode) {
        self.packetID = packetID
        self.reason = reason
    }

    /// Checks as `decodePacket` does; the properties are checked and forgotten.
    ///
    /// - Parameter firstByte: Of the fixed header; that its type is one of the four, the caller has seen.
    @inlinable
    package static func parse(
        firstByte: UInt8, body: UnsafeRawBufferPointer, version: ProtocolVersion, limits: DecodeLimits, from peer: Peer
    ) -> AcknowledgementParse {
        let fixedFlags: UInt8 = firstByte &>> 4 == 6 ? 0b0010 : 0
        guard body.count == 2, firstByte & 0x0F == fixedFlags else {
            return parseLong(firstByte: firstByte, body: body, version: version, limits: limits, from: peer)
        }
        let packetID = UInt16(body[0]) &<< 8 | UInt16(body[1])
        if packetID == 0 { return .malformed(.zeroPacketID) }
        return .fields(AcknowledgementFields(packetID: packetID, reason: ReasonCode(rawValue: 0)))
    }

    @usableFromInline
    static func parseLong(
        firstByte: UInt8, body: UnsafeRawBufferPointer, version: ProtocolVersion, limits: DecodeLimits, from peer: Peer
    ) -> AcknowledgementParse {
        do throws(DecodeError) {
            let packet = try decodePacket(firstByte: firstByte, body: body, version: version, limits: limits, from: peer)
            switch packet {
            case .pubAck(let decoded), .pubRec(let decoded), .pubRel(let decoded), .pubComp(let decoded):
                return .fields(AcknowledgementFields(packetID: decoded.packetID, reason: decoded.reason))
            default:
                return .malformed(.unexpectedPacket(type: firstByte >> 4))
            }
        } catch {
            return .malformed(error)
        }
    }

    /// Bytes that `write` takes at most.
    @inlinable package static var maxEncodedSize: Int { 5 }

    /// Writes an acknowledgement without properties and returns its size: 4, or 5 with a reason other than Success in MQTT 5.
    @inlinable
    package static func write(
        _ type: PacketType, packetID: UInt16, reason: ReasonCode, isV5: Bool, to target: UnsafeMutableRawPointer
    ) -> Int {
        let hasReason = isV5 && reason.rawValue != 0
        target.storeBytes(of: type.firstByte, as: UInt8.self)
        target.storeBytes(of: hasReason ? 3 : 2, toByteOffset: 1, as: UInt8.self)
        target.storeBytes(of: packetID.bigEndian, toByteOffset: 2, as: UInt16.self)
        guard hasReason else { return 4 }
        target.storeBytes(of: reason.rawValue, toByteOffset: 4, as: UInt8.self)
        return 5
    }
}

@usableFromInline
package enum AcknowledgementParse {
    case fields(AcknowledgementFields)
    case malformed(DecodeError)
}
