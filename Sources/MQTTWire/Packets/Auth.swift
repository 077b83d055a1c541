import MQTTModel

/// AUTH (MQTT 5.0 section 3.15): one step of enhanced authentication.
package struct Auth: Hashable, Sendable {
    package var reason: ReasonCode
    /// There unless the packet is an empty Success.
    package var authenticationMethod: String?
    package var authenticationData: [UInt8]?
    package var reasonString: String?
    package var userProperties: [UserProperty] = []

    package init(reason: ReasonCode, authenticationMethod: String?, authenticationData: [UInt8]? = nil) {
        self.reason = reason
        self.authenticationMethod = authenticationMethod
        self.authenticationData = authenticationData
    }

    init(from reader: inout PacketReader, limits: DecodeLimits, peer: Peer) throws(DecodeError) {
        self.init(reason: .success, authenticationMethod: nil)
        // A remaining length of 0 says Success without properties (MQTT 5.0 section 3.15.2.1).
        if !reader.isAtEnd { reason = ReasonCode(rawValue: try reader.byte()) }
        guard PacketType.auth.allows(reason, from: peer) else { throw .invalidReasonCode(reason.rawValue) }
        if !reader.isAtEnd {
            let properties = try reader.properties(.auth, limits: limits)
            authenticationMethod = properties.authenticationMethod
            authenticationData = properties.authenticationData
            reasonString = properties.reasonString
            userProperties = properties.userProperties
        }
        // MQTT 5.0 section 3.15.2.2.2
        if authenticationMethod == nil, reason != .success { throw .authenticationMethodMissing }
    }

    func write(to writer: inout PacketWriter) {
        var properties = Properties()
        properties.authenticationMethod = authenticationMethod
        properties.authenticationData = authenticationData
        properties.reasonString = reasonString
        properties.userProperties = userProperties
        writer.reason(reason, properties)
    }
}
