import MQTTModel

/// SUBACK (MQTT 5.0 section 3.9). Below MQTT 5, MQTT 3.1 included, every error is sent as 0x80.
package struct SubAck: Hashable, Sendable {
    package var packetID: UInt16
    /// One for each filter of the SUBSCRIBE, in its order.
    package var reasons: [ReasonCode]
    package var reasonString: String?
    package var userProperties: [UserProperty] = []

    package init(packetID: UInt16, reasons: [ReasonCode]) {
        self.packetID = packetID
        self.reasons = reasons
    }

    init(from reader: inout PacketReader, version: ProtocolVersion, limits: DecodeLimits) throws(DecodeError) {
        self.init(packetID: try reader.packetID(), reasons: [])
        if version == .v5 {
            let properties = try reader.properties(.subAck, limits: limits)
            reasonString = properties.reasonString
            userProperties = properties.userProperties
        }
        reasons = try reader.reasons(of: .subAck, limits: limits)
        if version != .v5, let undefined = reasons.first(where: { $0.rawValue > 0x80 }) {
            throw .invalidReasonCode(undefined.rawValue)
        }
    }

    func write(to writer: inout PacketWriter, version: ProtocolVersion) {
        writer.uint16(packetID)
        if version == .v5 {
            var properties = Properties()
            properties.reasonString = reasonString
            properties.userProperties = userProperties
            writer.properties(properties)
        }
        for reason in reasons { writer.byte(version < .v5 && reason.isError ? 0x80 : reason.rawValue) }
    }
}

extension PacketReader {
    /// The reason codes up to the end of a SUBACK or UNSUBACK, at least one.
    mutating func reasons(of type: PacketType, limits: DecodeLimits) throws(DecodeError) -> [ReasonCode] {
        let codes = rest()
        if codes.isEmpty { throw .emptyPayload }
        if codes.count > limits.maxFiltersPerPacket { throw .tooManyFilters }
        var reasons: [ReasonCode] = []
        for code in codes {
            let reason = ReasonCode(rawValue: code)
            guard type.allows(reason, from: .server) else { throw .invalidReasonCode(code) }
            reasons.append(reason)
        }
        return reasons
    }
}
