/// The one table of MQTT 5 properties (MQTT 5.0 section 2.2.2.2): form of the value, and the packets that may carry it.
enum PropertyID: UInt8, CaseIterable {
    case payloadFormatIndicator = 0x01
    case messageExpiryInterval = 0x02
    case contentType = 0x03
    case responseTopic = 0x08
    case correlationData = 0x09
    case subscriptionIdentifier = 0x0B
    case sessionExpiryInterval = 0x11
    case assignedClientIdentifier = 0x12
    case serverKeepAlive = 0x13
    case authenticationMethod = 0x15
    case authenticationData = 0x16
    case requestProblemInformation = 0x17
    case willDelayInterval = 0x18
    case requestResponseInformation = 0x19
    case responseInformation = 0x1A
    case serverReference = 0x1C
    case reasonString = 0x1F
    case receiveMaximum = 0x21
    case topicAliasMaximum = 0x22
    case topicAlias = 0x23
    case maximumQoS = 0x24
    case retainAvailable = 0x25
    case userProperty = 0x26
    case maximumPacketSize = 0x27
    case wildcardSubscriptionAvailable = 0x28
    case subscriptionIdentifiersAvailable = 0x29
    case sharedSubscriptionAvailable = 0x2A

    enum Form {
        case byte, twoByteInteger, fourByteInteger, variableByteInteger, text, binary, textPair
    }

    var form: Form {
        switch self {
        case .payloadFormatIndicator, .requestProblemInformation, .requestResponseInformation, .maximumQoS,
            .retainAvailable, .wildcardSubscriptionAvailable, .subscriptionIdentifiersAvailable,
            .sharedSubscriptionAvailable:
            .byte
        case .serverKeepAlive, .receiveMaximum, .topicAliasMaximum, .topicAlias: .twoByteInteger
        case .messageExpiryInterval, .sessionExpiryInterval, .willDelayInterval, .maximumPacketSize: .fourByteInteger
        case .subscriptionIdentifier: .variableByteInteger
        case .contentType, .responseTopic, .assignedClientIdentifier, .authenticationMethod, .responseInformation,
            .serverReference, .reasonString:
            .text
        case .correlationData, .authenticationData: .binary
        case .userProperty: .textPair
        }
    }

    var places: PropertyPlaces {
        switch self {
        case .payloadFormatIndicator, .messageExpiryInterval, .contentType, .responseTopic, .correlationData:
            [.publishToServer, .publishToClient, .will]
        // [MQTT-3.3.4-6] a client may not send one
        case .subscriptionIdentifier: [.publishToClient, .subscribe]
        // [MQTT-3.14.2-2] a server may not send one in DISCONNECT
        case .sessionExpiryInterval: [.connect, .connAck, .disconnectToServer]
        case .assignedClientIdentifier, .serverKeepAlive, .responseInformation, .maximumQoS, .retainAvailable,
            .wildcardSubscriptionAvailable, .subscriptionIdentifiersAvailable, .sharedSubscriptionAvailable:
            [.connAck]
        case .authenticationMethod, .authenticationData: [.connect, .connAck, .auth]
        case .requestProblemInformation, .requestResponseInformation: [.connect]
        case .willDelayInterval: [.will]
        case .serverReference: [.connAck, .disconnectToClient, .disconnectToServer]
        case .reasonString:
            [.connAck, .acknowledgement, .subAck, .unsubAck, .disconnectToClient, .disconnectToServer, .auth]
        case .receiveMaximum, .topicAliasMaximum, .maximumPacketSize: [.connect, .connAck]
        case .topicAlias: [.publishToServer, .publishToClient]
        case .userProperty: .all
        }
    }
}

/// Property blocks that differ in what they allow. A will has one of its own; PUBLISH and DISCONNECT depend on the direction.
struct PropertyPlaces: OptionSet {
    let rawValue: UInt16

    static let connect = PropertyPlaces(rawValue: 1 << 0)
    static let will = PropertyPlaces(rawValue: 1 << 1)
    static let connAck = PropertyPlaces(rawValue: 1 << 2)
    static let publishToServer = PropertyPlaces(rawValue: 1 << 3)
    static let publishToClient = PropertyPlaces(rawValue: 1 << 4)
    /// PUBACK, PUBREC, PUBREL and PUBCOMP.
    static let acknowledgement = PropertyPlaces(rawValue: 1 << 5)
    static let subscribe = PropertyPlaces(rawValue: 1 << 6)
    static let subAck = PropertyPlaces(rawValue: 1 << 7)
    static let unsubscribe = PropertyPlaces(rawValue: 1 << 8)
    static let unsubAck = PropertyPlaces(rawValue: 1 << 9)
    static let disconnectToServer = PropertyPlaces(rawValue: 1 << 10)
    static let disconnectToClient = PropertyPlaces(rawValue: 1 << 11)
    static let auth = PropertyPlaces(rawValue: 1 << 12)
    static let all = PropertyPlaces(rawValue: (1 << 13) - 1)
}
