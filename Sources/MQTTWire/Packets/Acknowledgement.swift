import MQTTModel

/// PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5.0 sections 3.4 to 3.7), which have one form.
package struct Acknowledgement: Hashable, Sendable {
    package var packetID: UInt16
    /// Not sent below MQTT 5.
    package var reason: ReasonCode
    package var reasonString: String?
    package var userProperties: [UserProperty] = []

    package init(packetID: UInt16, reason: ReasonCode = .success) {
        self.packetID = packetID
        self.reason = reason
    }

    init(
        from reader: inout PacketReader, type: PacketType, version: ProtocolVersion, limits: DecodeLimits, peer: Peer
    ) throws(DecodeError) {
        self.init(packetID: try reader.packetID())
        // A remaining length of 2 says Success; one of 3 has no property length (MQTT 5.0 section 3.4.2.1).
        guard version == .v5, !reader.isAtEnd else { return }
        reason = ReasonCode(rawValue: try reader.byte())
        guard type.allows(reason, from: peer) else { throw .invalidReasonCode(reason.rawValue) }
        guard !reader.isAtEnd else { return }
        let properties = try reader.properties(.acknowledgement, limits: limits)
        reasonString = properties.reasonString
        userProperties = properties.userProperties
    }

    func write(to writer: inout PacketWriter, version: ProtocolVersion) {
        writer.uint16(packetID)
        guard version == .v5 else { return }
        writer.reason(reason, reasonString: reasonString, userProperties: userProperties)
    }
}

extension PacketWriter {
    /// The shortest form of a reason code and properties at the end of a packet: both left out for 0x00 without
    /// properties, the property length left out without properties.
    mutating func reason(_ reason: ReasonCode, reasonString: String?, userProperties: [UserProperty]) {
        var properties = Properties()
        properties.reasonString = reasonString
        properties.userProperties = userProperties
        self.reason(reason, properties)
    }

    mutating func reason(_ reason: ReasonCode, _ properties: Properties) {
        let content = block(properties)
        if content.isEmpty, reason.rawValue == 0 { return }
        byte(reason.rawValue)
        if !content.isEmpty { block(content) }
    }
}
