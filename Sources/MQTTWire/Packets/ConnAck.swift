import MQTTModel

/// CONNACK (MQTT 5.0 section 3.2). The initial values say what the absence of a property says.
package struct ConnAck: Hashable, Sendable {
    package var sessionPresent: Bool
    /// Below MQTT 5 it becomes a return code; see `ReasonCode.connectReturnCode`.
    package var reason: ReasonCode

    // MQTT 5 from here on
    package var sessionExpirySeconds: UInt32?
    package var receiveMaximum: UInt16?
    /// QoS 2, the default, is said by silence.
    package var maximumQoS = QoS.exactlyOnce
    package var retainAvailable = true
    package var maximumPacketSize: UInt32?
    package var assignedClientID: String?
    package var topicAliasMaximum: UInt16 = 0
    package var reasonString: String?
    package var userProperties: [UserProperty] = []
    package var wildcardSubscriptionAvailable = true
    package var subscriptionIdentifiersAvailable = true
    package var sharedSubscriptionAvailable = true
    package var serverKeepAliveSeconds: UInt16?
    package var responseInformation: String?
    package var serverReference: String?
    package var authenticationMethod: String?
    package var authenticationData: [UInt8]?

    package init(reason: ReasonCode = .success, sessionPresent: Bool = false) {
        self.reason = reason
        self.sessionPresent = sessionPresent
    }

    init(from reader: inout PacketReader, version: ProtocolVersion, limits: DecodeLimits) throws(DecodeError) {
        let flags = try reader.byte()
        let code = try reader.byte()
        let reason: ReasonCode
        if version == .v5 {
            reason = ReasonCode(rawValue: code)
            guard PacketType.connAck.allows(reason, from: .server) else { throw .invalidReasonCode(code) }
        } else {
            guard let known = ReasonCode(connectReturnCode: code) else { throw .invalidReasonCode(code) }
            reason = known
        }
        // The flags byte is unused in MQTT 3.1.
        if version != .v3_1, flags > 1 || (flags == 1 && code != 0) { throw .connAckFlags }
        self.init(reason: reason, sessionPresent: version != .v3_1 && flags == 1)
        if version == .v5 { takeProperties(try reader.properties(.connAck, limits: limits)) }
    }

    private mutating func takeProperties(_ properties: Properties) {
        sessionExpirySeconds = properties.sessionExpirySeconds
        receiveMaximum = properties.receiveMaximum
        maximumQoS = properties.maximumQoS ?? .exactlyOnce
        retainAvailable = properties.retainAvailable ?? true
        maximumPacketSize = properties.maximumPacketSize
        assignedClientID = properties.assignedClientID
        topicAliasMaximum = properties.topicAliasMaximum ?? 0
        reasonString = properties.reasonString
        userProperties = properties.userProperties
        wildcardSubscriptionAvailable = properties.wildcardSubscriptionAvailable ?? true
        subscriptionIdentifiersAvailable = properties.subscriptionIdentifiersAvailable ?? true
        sharedSubscriptionAvailable = properties.sharedSubscriptionAvailable ?? true
        serverKeepAliveSeconds = properties.serverKeepAliveSeconds
        responseInformation = properties.responseInformation
        serverReference = properties.serverReference
        authenticationMethod = properties.authenticationMethod
        authenticationData = properties.authenticationData
    }

    func write(to writer: inout PacketWriter, version: ProtocolVersion) {
        // [MQTT-3.2.2-6] a refusal has no session
        writer.byte(sessionPresent && reason.rawValue == 0 && version != .v3_1 ? 1 : 0)
        guard version == .v5 else { return writer.byte(reason.connectReturnCode) }
        writer.byte(reason.rawValue)
        writer.properties(properties)
    }

    private var properties: Properties {
        var properties = Properties()
        properties.sessionExpirySeconds = sessionExpirySeconds
        properties.receiveMaximum = receiveMaximum
        properties.maximumQoS = maximumQoS
        if !retainAvailable { properties.retainAvailable = false }
        properties.maximumPacketSize = maximumPacketSize
        properties.assignedClientID = assignedClientID
        if topicAliasMaximum != 0 { properties.topicAliasMaximum = topicAliasMaximum }
        properties.reasonString = reasonString
        properties.userProperties = userProperties
        if !wildcardSubscriptionAvailable { properties.wildcardSubscriptionAvailable = false }
        if !subscriptionIdentifiersAvailable { properties.subscriptionIdentifiersAvailable = false }
        if !sharedSubscriptionAvailable { properties.sharedSubscriptionAvailable = false }
        properties.serverKeepAliveSeconds = serverKeepAliveSeconds
        properties.responseInformation = responseInformation
        properties.serverReference = serverReference
        properties.authenticationMethod = authenticationMethod
        properties.authenticationData = authenticationData
        return properties
    }
}

extension ReasonCode {
    /// The Connect Return Code of MQTT 3 (MQTT 3.1.1 section 3.2.2.3) that comes nearest. What a client may try again is
    /// 3, Server unavailable; what it may not is 5, Not authorized.
    package var connectReturnCode: UInt8 {
        guard isError else { return 0 }
        switch self {
        case .unsupportedProtocolVersion: return 1
        case .clientIdentifierNotValid: return 2
        case .badUserNameOrPassword: return 4
        case .notAuthorized, .banned, .badAuthenticationMethod, .topicNameInvalid, .retainNotSupported, .qosNotSupported: return 5
        default: return 3
        }
    }

    /// - Parameter connectReturnCode: 0…5; others give `nil`.
    package init?(connectReturnCode: UInt8) {
        switch connectReturnCode {
        case 0: self = .success
        case 1: self = .unsupportedProtocolVersion
        case 2: self = .clientIdentifierNotValid
        case 3: self = .serverUnavailable
        case 4: self = .badUserNameOrPassword
        case 5: self = .notAuthorized
        default: return nil
        }
    }
}
