import MQTTModel

/// Judges the properties of one block in the order in which they stand: allowed here, not twice, a legal value.
struct PropertyRules {
    private let place: PropertyPlaces
    /// Bit n: property identifier n has been seen. Identifiers end at 0x2A.
    private var seen: UInt64 = 0
    private var userPropertiesLeft: Int

    init(_ place: PropertyPlaces, limits: DecodeLimits) {
        self.place = place
        userPropertiesLeft = limits.maxUserProperties
    }

    mutating func check(_ property: PropertyScanner) throws(DecodeError) {
        let id = property.id
        if id == .userProperty {
            userPropertiesLeft -= 1
            if userPropertiesLeft < 0 { throw .tooManyUserProperties }
            guard MQTTString.isValid(property.bytes), MQTTString.isValid(property.pairValue) else { throw .invalidUTF8 }
            return
        }
        guard id.places.contains(place) else { throw .forbiddenProperty(id.rawValue) }
        let bit: UInt64 = 1 << UInt64(id.rawValue)
        // A message that matches several subscriptions has several identifiers [MQTT-3.3.4-3].
        let mayRepeat = id == .subscriptionIdentifier && place == .publishToClient
        if seen & bit != 0, !mayRepeat { throw .duplicateProperty(id.rawValue) }
        seen |= bit
        switch id {
        case .payloadFormatIndicator, .requestProblemInformation, .requestResponseInformation, .maximumQoS,
            .retainAvailable, .wildcardSubscriptionAvailable, .subscriptionIdentifiersAvailable,
            .sharedSubscriptionAvailable:
            if property.number > 1 { throw .propertyValue(id.rawValue) }
        case .subscriptionIdentifier, .receiveMaximum, .maximumPacketSize:
            if property.number == 0 { throw .propertyValue(id.rawValue) }
        case .topicAlias:
            if property.number == 0 { throw .topicAliasInvalid }
        case .responseTopic:
            switch TopicName.check(property.bytes) {
            case nil: break
            case .invalidUTF8: throw .invalidUTF8
            default: throw .propertyValue(id.rawValue)  // [MQTT-3.3.2-14]
            }
        case .contentType, .assignedClientIdentifier, .authenticationMethod, .responseInformation, .serverReference,
            .reasonString:
            guard MQTTString.isValid(property.bytes) else { throw .invalidUTF8 }
        case .messageExpiryInterval, .correlationData, .sessionExpiryInterval, .serverKeepAlive, .authenticationData,
            .willDelayInterval, .topicAliasMaximum, .userProperty:
            break
        }
    }
}
