import MQTTModel

/// DISCONNECT (MQTT 5.0 section 3.14). Below MQTT 5 only a client sends it, and it is empty.
package struct Disconnect: Hashable, Sendable {
    package var reason: ReasonCode
    /// Only from a client; that it doesn't raise an expiry of 0 is the session's to check.
    package var sessionExpirySeconds: UInt32?
    package var reasonString: String?
    package var serverReference: String?
    package var userProperties: [UserProperty] = []

    package init(reason: ReasonCode = .normalDisconnection, reasonString: String? = nil) {
        self.reason = reason
        self.reasonString = reasonString
    }

    init(from reader: inout PacketReader, version: ProtocolVersion, limits: DecodeLimits, peer: Peer) throws(DecodeError) {
        self.init()
        guard version == .v5, !reader.isAtEnd else { return }
        reason = ReasonCode(rawValue: try reader.byte())
        guard PacketType.disconnect.allows(reason, from: peer) else { throw .invalidReasonCode(reason.rawValue) }
        guard !reader.isAtEnd else { return }
        let properties = try reader.properties(
            peer == .client ? .disconnectToServer : .disconnectToClient, limits: limits)
        sessionExpirySeconds = properties.sessionExpirySeconds
        reasonString = properties.reasonString
        serverReference = properties.serverReference
        userProperties = properties.userProperties
    }

    func write(to writer: inout PacketWriter, version: ProtocolVersion) {
        guard version == .v5 else { return }
        var properties = Properties()
        properties.sessionExpirySeconds = sessionExpirySeconds
        properties.reasonString = reasonString
        properties.serverReference = serverReference
        properties.userProperties = userProperties
        writer.reason(reason, properties)
    }
}
