import MQTTModel

/// UNSUBACK (MQTT 5.0 section 3.11). Below MQTT 5 it has a packet identifier and nothing else.
package struct UnsubAck: Hashable, Sendable {
    package var packetID: UInt16
    /// One for each filter of the UNSUBSCRIBE, in its order; empty when received below MQTT 5.
    package var reasons: [ReasonCode]
    package var reasonString: String?
    package var userProperties: [UserProperty] = []

    package init(packetID: UInt16, reasons: [ReasonCode]) {
        self.packetID = packetID
        self.reasons = reasons
    }

    init(from reader: inout PacketReader, version: ProtocolVersion, limits: DecodeLimits) throws(DecodeError) {
        self.init(packetID: try reader.packetID(), reasons: [])
        guard version == .v5 else { return }
        let properties = try reader.properties(.unsubAck, limits: limits)
        reasonString = properties.reasonString
        userProperties = properties.userProperties
        reasons = try reader.reasons(of: .unsubAck, limits: limits)
    }

    func write(to writer: inout PacketWriter, version: ProtocolVersion) {
        writer.uint16(packetID)
        guard version == .v5 else { return }
        var properties = Properties()
        properties.reasonString = reasonString
        properties.userProperties = userProperties
        writer.properties(properties)
        for reason in reasons { writer.byte(reason.rawValue) }
    }
}
