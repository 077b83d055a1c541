import MQTTModel

/// All properties of MQTT 5 as values: one decoder and one encoder for every packet. A packet takes out what it has;
/// that nothing else is in it, `PropertyRules` has seen to.
struct Properties {
    var payloadIsUTF8: Bool?
    var messageExpirySeconds: UInt32?
    var contentType: String?
    var responseTopic: String?
    var correlationData: [UInt8]?
    var subscriptionIDs: [UInt32] = []
    var sessionExpirySeconds: UInt32?
    var assignedClientID: String?
    var serverKeepAliveSeconds: UInt16?
    var authenticationMethod: String?
    var authenticationData: [UInt8]?
    var requestProblemInformation: Bool?
    var willDelaySeconds: UInt32?
    var requestResponseInformation: Bool?
    var responseInformation: String?
    var serverReference: String?
    var reasonString: String?
    var receiveMaximum: UInt16?
    var topicAliasMaximum: UInt16?
    var topicAlias: UInt16?
    var maximumQoS: QoS?
    var retainAvailable: Bool?
    var userProperties: [UserProperty] = []
    var maximumPacketSize: UInt32?
    var wildcardSubscriptionAvailable: Bool?
    var subscriptionIdentifiersAvailable: Bool?
    var sharedSubscriptionAvailable: Bool?

    init() {}

    /// - Parameter block: The block without its length.
    init(_ block: UnsafeRawBufferPointer, place: PropertyPlaces, limits: DecodeLimits) throws(DecodeError) {
        var scanner = PropertyScanner(block)
        var rules = PropertyRules(place, limits: limits)
        while try scanner.next() {
            try rules.check(scanner)
            take(scanner)
        }
        // MQTT 5.0 section 3.1.2.11.10 and its like in CONNACK and AUTH
        if authenticationData != nil, authenticationMethod == nil { throw .authenticationMethodMissing }
    }

    /// The part that travels from publisher to subscribers.
    var publishProperties: PublishProperties {
        get {
            PublishProperties(
                payloadIsUTF8: payloadIsUTF8, contentType: contentType, responseTopic: responseTopic,
                correlationData: correlationData, userProperties: userProperties)
        }
        set {
            payloadIsUTF8 = newValue.payloadIsUTF8
            contentType = newValue.contentType
            responseTopic = newValue.responseTopic
            correlationData = newValue.correlationData
            userProperties = newValue.userProperties
        }
    }

    private mutating func take(_ property: PropertyScanner) {
        let number = property.number
        var text: String { String(decoding: property.bytes, as: UTF8.self) }
        switch property.id {
        case .payloadFormatIndicator: payloadIsUTF8 = number == 1
        case .messageExpiryInterval: messageExpirySeconds = number
        case .contentType: contentType = text
        case .responseTopic: responseTopic = text
        case .correlationData: correlationData = Array(property.bytes)
        case .subscriptionIdentifier: subscriptionIDs.append(number)
        case .sessionExpiryInterval: sessionExpirySeconds = number
        case .assignedClientIdentifier: assignedClientID = text
        case .serverKeepAlive: serverKeepAliveSeconds = UInt16(truncatingIfNeeded: number)
        case .authenticationMethod: authenticationMethod = text
        case .authenticationData: authenticationData = Array(property.bytes)
        case .requestProblemInformation: requestProblemInformation = number == 1
        case .willDelayInterval: willDelaySeconds = number
        case .requestResponseInformation: requestResponseInformation = number == 1
        case .responseInformation: responseInformation = text
        case .serverReference: serverReference = text
        case .reasonString: reasonString = text
        case .receiveMaximum: receiveMaximum = UInt16(truncatingIfNeeded: number)
        case .topicAliasMaximum: topicAliasMaximum = UInt16(truncatingIfNeeded: number)
        case .topicAlias: topicAlias = UInt16(truncatingIfNeeded: number)
        case .maximumQoS: maximumQoS = number == 0 ? .atMostOnce : .atLeastOnce
        case .retainAvailable: retainAvailable = number == 1
        case .userProperty:
            userProperties.append(UserProperty(text, String(decoding: property.pairValue, as: UTF8.self)))
        case .maximumPacketSize: maximumPacketSize = number
        case .wildcardSubscriptionAvailable: wildcardSubscriptionAvailable = number == 1
        case .subscriptionIdentifiersAvailable: subscriptionIdentifiersAvailable = number == 1
        case .sharedSubscriptionAvailable: sharedSubscriptionAvailable = number == 1
        }
    }

    /// The wire form without the length in front, ordered by identifier.
    var encoded: [UInt8] {
        var out = PacketWriter()
        func put(_ id: PropertyID, _ value: Bool?) {
            guard let value else { return }
            out.byte(id.rawValue)
            out.byte(value ? 1 : 0)
        }
        func put(_ id: PropertyID, _ value: UInt16?) {
            guard let value else { return }
            out.byte(id.rawValue)
            out.uint16(value)
        }
        func put(_ id: PropertyID, _ value: UInt32?) {
            guard let value else { return }
            out.byte(id.rawValue)
            out.uint32(value)
        }
        func put(_ id: PropertyID, _ value: String?) {
            guard let value else { return }
            out.byte(id.rawValue)
            out.string(value)
        }
        func put(_ id: PropertyID, _ value: [UInt8]?) {
            guard let value else { return }
            out.byte(id.rawValue)
            out.binary(value)
        }
        put(.payloadFormatIndicator, payloadIsUTF8)
        put(.messageExpiryInterval, messageExpirySeconds)
        put(.contentType, contentType)
        put(.responseTopic, responseTopic)
        put(.correlationData, correlationData)
        for subscriptionID in subscriptionIDs {
            out.byte(PropertyID.subscriptionIdentifier.rawValue)
            out.variableByteInteger(Int(subscriptionID))
        }
        put(.sessionExpiryInterval, sessionExpirySeconds)
        put(.assignedClientIdentifier, assignedClientID)
        put(.serverKeepAlive, serverKeepAliveSeconds)
        put(.authenticationMethod, authenticationMethod)
        put(.authenticationData, authenticationData)
        put(.requestProblemInformation, requestProblemInformation)
        put(.willDelayInterval, willDelaySeconds)
        put(.requestResponseInformation, requestResponseInformation)
        put(.responseInformation, responseInformation)
        put(.serverReference, serverReference)
        put(.reasonString, reasonString)
        put(.receiveMaximum, receiveMaximum)
        put(.topicAliasMaximum, topicAliasMaximum)
        put(.topicAlias, topicAlias)
        // MQTT 5.0 section 3.2.2.3.4: QoS 2 is said by leaving the property out
        put(.maximumQoS, maximumQoS.flatMap { $0 == .exactlyOnce ? nil : $0 == .atLeastOnce })
        put(.retainAvailable, retainAvailable)
        for property in userProperties {
            put(.userProperty, property.name)
            out.string(property.value)
        }
        put(.maximumPacketSize, maximumPacketSize)
        put(.wildcardSubscriptionAvailable, wildcardSubscriptionAvailable)
        put(.subscriptionIdentifiersAvailable, subscriptionIdentifiersAvailable)
        put(.sharedSubscriptionAvailable, sharedSubscriptionAvailable)
        return out.bytes
    }
}
