import MQTTModel

/// Why bytes are no MQTT packet. Always the peer's fault: the connection is closed, in MQTT 5 with `reasonCode`.
///
/// Closed and without references, so that the hot path returns it in registers. It carries numbers only, never text of
/// the peer: `description` is safe in a log line and in a Reason String.
@usableFromInline
package enum DecodeError: Error, Hashable, Sendable, CustomStringConvertible {
    // Framing
    /// A Variable Byte Integer of more than four bytes, or not in its shortest form [MQTT-1.5.5-1].
    case lengthEncoding
    /// Larger than the receiver allows; known before the body has arrived.
    case packetTooLarge
    /// Packet type 0, or type 15 below MQTT 5.
    case reservedPacketType(UInt8)
    /// Fixed header flags other than those the specification fixes for the type [MQTT-2.1.3-1].
    case reservedFlags(type: UInt8)
    /// The packet ends inside a field.
    case truncated
    /// Bytes after the last field.
    case trailingBytes
    /// Text that is not UTF-8, or holds a surrogate or U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2].
    case invalidUTF8
    /// A packet that this peer may never send.
    case unexpectedPacket(type: UInt8)
    /// Packet Identifier 0 [MQTT-2.2.1-3].
    case zeroPacketID
    /// A reason code or return code that the packet does not have.
    case invalidReasonCode(UInt8)

    // CONNECT, CONNACK
    /// The Protocol Name is neither `MQTT` nor `MQIsdp` [MQTT-3.1.2-1].
    case protocolName
    /// A Protocol Level that the name does not have [MQTT-3.1.2-2]; `Connect.refusalVersion` says how to answer.
    case unsupportedProtocolVersion(level: UInt8)
    /// The reserved connect flag, Will QoS 3, or will flags without a will.
    case connectFlags
    /// A password without a user name, which only MQTT 5 allows [MQTT-3.1.2-22 of MQTT 3.1.1].
    case passwordWithoutUsername
    /// A client identifier above `DecodeLimits.maxClientIDBytes`.
    case clientIdentifierTooLong
    /// A Will Topic that is no topic name, or is beyond the limits for topics.
    case willTopicInvalid
    /// Reserved CONNACK flags, or Session Present with a refusal [MQTT-3.2.2-6].
    case connAckFlags

    // PUBLISH
    /// QoS 3 [MQTT-3.3.1-4].
    case invalidQoS
    /// DUP with QoS 0 [MQTT-3.3.1-2].
    case dupWithQoS0
    /// An empty topic name below MQTT 5 [MQTT-4.7.3-1].
    case emptyTopic
    /// An empty topic name without a Topic Alias (MQTT 5.0 section 3.3.2.1).
    case emptyTopicWithoutAlias
    /// A topic name with a wildcard, or beyond the limits for topics.
    case topicNameInvalid
    /// Topic Alias 0 [MQTT-3.3.2-8].
    case topicAliasInvalid

    // SUBSCRIBE, UNSUBSCRIBE and their acknowledgements
    /// No topic filter, or no reason code, where there must be one [MQTT-3.8.3-2].
    case emptyPayload
    /// More filters or codes than `DecodeLimits.maxFiltersPerPacket`.
    case tooManyFilters
    /// An empty topic filter [MQTT-4.7.3-1].
    case emptyTopicFilter
    /// A topic filter beyond the limits for topics.
    case topicFilterTooLong
    /// Reserved bits in the subscription options [MQTT-3.8.3-5].
    case reservedSubscriptionOptions
    /// QoS 3 or Retain Handling 3 in the subscription options (MQTT 5.0 section 3.8.3.1).
    case subscriptionOptions
    /// No Local on a shared subscription [MQTT-3.8.3-4].
    case noLocalOnSharedSubscription

    // Properties
    /// A property identifier that does not exist.
    case unknownProperty(UInt32)
    /// A property that the packet may not have.
    case forbiddenProperty(UInt8)
    /// A property twice that may stand once.
    case duplicateProperty(UInt8)
    /// A property with a value that the specification forbids.
    case propertyValue(UInt8)
    /// More user properties than `DecodeLimits.maxUserProperties`.
    case tooManyUserProperties
    /// Authentication Data without an Authentication Method, or AUTH without one.
    case authenticationMethodMissing

    /// What DISCONNECT or CONNACK of MQTT 5 says.
    package var reasonCode: ReasonCode {
        switch self {
        case .lengthEncoding, .reservedPacketType, .reservedFlags, .truncated, .trailingBytes, .invalidUTF8, .protocolName,
            .connectFlags, .invalidQoS, .dupWithQoS0, .emptyTopic, .emptyTopicFilter, .reservedSubscriptionOptions,
            .unknownProperty:
            .malformedPacket
        case .unexpectedPacket, .zeroPacketID, .invalidReasonCode, .passwordWithoutUsername, .connAckFlags,
            .emptyTopicWithoutAlias, .emptyPayload, .subscriptionOptions, .noLocalOnSharedSubscription, .forbiddenProperty,
            .duplicateProperty, .propertyValue, .authenticationMethodMissing:
            .protocolError
        case .packetTooLarge: .packetTooLarge
        case .unsupportedProtocolVersion: .unsupportedProtocolVersion
        case .clientIdentifierTooLong: .clientIdentifierNotValid
        case .willTopicInvalid, .topicNameInvalid: .topicNameInvalid
        case .topicAliasInvalid: .topicAliasInvalid
        case .topicFilterTooLong: .topicFilterInvalid
        case .tooManyFilters, .tooManyUserProperties: .quotaExceeded
        }
    }

    @usableFromInline
    package var description: String {
        switch self {
        case .lengthEncoding: "variable byte integer too long or not in its shortest form"
        case .packetTooLarge: "packet larger than allowed"
        case .reservedPacketType(let type): "reserved packet type \(type)"
        case .reservedFlags(let type): "reserved fixed header flags of packet type \(type)"
        case .truncated: "packet ends inside a field"
        case .trailingBytes: "bytes after the last field"
        case .invalidUTF8: "text is not valid UTF-8 without U+0000"
        case .unexpectedPacket(let type): "packet type \(type) may not be sent by this peer"
        case .zeroPacketID: "packet identifier 0"
        case .invalidReasonCode(let code): "undefined reason code \(code)"
        case .protocolName: "protocol name is not MQTT"
        case .unsupportedProtocolVersion(let level): "unsupported protocol level \(level)"
        case .connectFlags: "reserved or contradictory connect flags"
        case .passwordWithoutUsername: "password without user name"
        case .clientIdentifierTooLong: "client identifier longer than allowed"
        case .willTopicInvalid: "will topic is no topic name or longer than allowed"
        case .connAckFlags: "reserved or contradictory CONNACK flags"
        case .invalidQoS: "QoS 3"
        case .dupWithQoS0: "DUP with QoS 0"
        case .emptyTopic: "empty topic name"
        case .emptyTopicWithoutAlias: "empty topic name without topic alias"
        case .topicNameInvalid: "topic name holds a wildcard or is longer than allowed"
        case .topicAliasInvalid: "topic alias 0"
        case .emptyPayload: "empty payload"
        case .tooManyFilters: "more topic filters than allowed"
        case .emptyTopicFilter: "empty topic filter"
        case .topicFilterTooLong: "topic filter longer or deeper than allowed"
        case .reservedSubscriptionOptions: "reserved bits in subscription options"
        case .subscriptionOptions: "undefined subscription options"
        case .noLocalOnSharedSubscription: "No Local on a shared subscription"
        case .unknownProperty(let id): "unknown property \(id)"
        case .forbiddenProperty(let id): "property \(id) not allowed in this packet"
        case .duplicateProperty(let id): "property \(id) more than once"
        case .propertyValue(let id): "property \(id) has an undefined value"
        case .tooManyUserProperties: "more user properties than allowed"
        case .authenticationMethodMissing: "authentication data without authentication method"
        }
    }
}
