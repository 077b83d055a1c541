import MQTTModel

/// CONNECT (MQTT 5.0 section 3.1): the one packet that says its own protocol version.
package struct Connect: Hashable, Sendable {
    package var protocolVersion: ProtocolVersion
    /// Bit 0x80 of the level of MQTT 3: Mosquitto's way to say that the client is a bridge.
    package var isBridge = false
    /// Clean Session below MQTT 5.
    package var cleanStart = true
    /// 0 for none.
    package var keepAliveSeconds: UInt16 = 0
    /// May be empty; whether the server then chooses one is the server's to say.
    package var clientID: String
    package var will: Will?
    package var username: String?
    package var password: [UInt8]?

    // MQTT 5 from here on
    package var sessionExpirySeconds: UInt32?
    package var receiveMaximum: UInt16?
    package var maximumPacketSize: UInt32?
    package var topicAliasMaximum: UInt16 = 0
    package var requestResponseInformation = false
    package var requestProblemInformation = true
    package var userProperties: [UserProperty] = []
    package var authenticationMethod: String?
    package var authenticationData: [UInt8]?

    /// The message that the server publishes when the connection is lost. `topic` is a topic name.
    package struct Will: Hashable, Sendable {
        package var topic: String
        package var payload: [UInt8]
        package var qos: QoS
        package var retain: Bool
        package var delaySeconds: UInt32 = 0
        package var expirySeconds: UInt32?
        package var properties = PublishProperties()

        package init(topic: String, payload: [UInt8], qos: QoS = .atMostOnce, retain: Bool = false) {
            self.topic = topic
            self.payload = payload
            self.qos = qos
            self.retain = retain
        }
    }

    package init(protocolVersion: ProtocolVersion, clientID: String) {
        self.protocolVersion = protocolVersion
        self.clientID = clientID
    }

    /// The bits of the Connect Flags; Will QoS stands between them.
    private enum Flag {
        static let reserved: UInt8 = 0x01
        static let cleanStart: UInt8 = 0x02
        static let will: UInt8 = 0x04
        static let willQoSShift: UInt8 = 3
        static let willRetain: UInt8 = 0x20
        static let password: UInt8 = 0x40
        static let username: UInt8 = 0x80
    }
}

extension Connect {
    init(from reader: inout PacketReader, limits: DecodeLimits) throws(DecodeError) {
        let level = try Self.readLevel(from: &reader)
        self.init(protocolVersion: level.version, clientID: "")
        isBridge = level.isBridge
        let flags = try reader.byte()
        try readFlags(flags)
        cleanStart = flags & Flag.cleanStart != 0
        keepAliveSeconds = try reader.uint16()
        if protocolVersion == .v5 { try takeProperties(reader.properties(.connect, limits: limits)) }

        let clientIDText = try reader.text()
        if clientIDText.count > limits.maxClientIDBytes { throw .clientIdentifierTooLong }
        clientID = String(decoding: clientIDText, as: UTF8.self)
        if flags & Flag.will != 0 { will = try Self.readWill(from: &reader, flags: flags, version: protocolVersion, limits: limits) }
        // MQTT 3.1 section 3.1: the remaining length has precedence over the flags; a missing field is valid there.
        let mayEnd = protocolVersion == .v3_1
        if flags & Flag.username != 0, !(mayEnd && reader.isAtEnd) { username = try reader.string() }
        if flags & Flag.password != 0, !(mayEnd && reader.isAtEnd) { password = Array(try reader.binary()) }
    }

    private func readFlags(_ flags: UInt8) throws(DecodeError) {
        // [MQTT-3.1.2-3]; MQTT 3.1 calls the bit unused
        if flags & Flag.reserved != 0, protocolVersion != .v3_1 { throw .connectFlags }
        let willQoS = flags >> Flag.willQoSShift & 0b11
        if flags & Flag.will == 0 {
            // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
            if willQoS != 0 || flags & Flag.willRetain != 0 { throw .connectFlags }
        } else if willQoS == 3 {  // [MQTT-3.1.2-12]
            throw .connectFlags
        }
        if flags & Flag.password != 0, flags & Flag.username == 0, protocolVersion != .v5 { throw .passwordWithoutUsername }
    }

    private mutating func takeProperties(_ properties: Properties) {
        sessionExpirySeconds = properties.sessionExpirySeconds
        receiveMaximum = properties.receiveMaximum
        maximumPacketSize = properties.maximumPacketSize
        topicAliasMaximum = properties.topicAliasMaximum ?? 0
        requestResponseInformation = properties.requestResponseInformation ?? false
        requestProblemInformation = properties.requestProblemInformation ?? true
        userProperties = properties.userProperties
        authenticationMethod = properties.authenticationMethod
        authenticationData = properties.authenticationData
    }

    private static func readWill(
        from reader: inout PacketReader, flags: UInt8, version: ProtocolVersion, limits: DecodeLimits
    ) throws(DecodeError) -> Will {
        let properties = version == .v5 ? try reader.properties(.will, limits: limits) : Properties()
        let topic = try reader.text()
        guard topic.count <= limits.maxTopicBytes, TopicName.check(topic) == nil,
            TopicName.levelCount(topic) <= limits.maxTopicLevels
        else { throw .willTopicInvalid }
        guard let qos = QoS(rawValue: flags >> Flag.willQoSShift & 0b11) else { throw .connectFlags }
        var will = Will(
            topic: String(decoding: topic, as: UTF8.self), payload: Array(try reader.binary()), qos: qos,
            retain: flags & Flag.willRetain != 0)
        will.delaySeconds = properties.willDelaySeconds ?? 0
        will.expirySeconds = properties.messageExpirySeconds
        will.properties = properties.publishProperties
        return will
    }
}

extension Connect {
    /// `cleanStart`, flags and fields as they stand; a password without a user name is left out below MQTT 5.
    func write(to writer: inout PacketWriter) {
        let isV5 = protocolVersion == .v5
        let sentPassword = isV5 || username != nil ? password : nil
        writer.string(protocolVersion == .v3_1 ? "MQIsdp" : "MQTT")
        writer.byte(protocolVersion.rawValue | (isBridge && !isV5 ? 0x80 : 0))
        var flags: UInt8 = cleanStart ? Flag.cleanStart : 0
        if let will {
            flags |= Flag.will | will.qos.rawValue << Flag.willQoSShift | (will.retain ? Flag.willRetain : 0)
        }
        if username != nil { flags |= Flag.username }
        if sentPassword != nil { flags |= Flag.password }
        writer.byte(flags)
        writer.uint16(keepAliveSeconds)
        if isV5 { writer.properties(properties) }
        writer.string(clientID)
        if let will {
            if isV5 { writer.properties(will.allProperties) }
            writer.string(will.topic)
            writer.binary(will.payload)
        }
        if let username { writer.string(username) }
        if let sentPassword { writer.binary(sentPassword) }
    }

    private var properties: Properties {
        var properties = Properties()
        properties.sessionExpirySeconds = sessionExpirySeconds
        properties.receiveMaximum = receiveMaximum
        properties.maximumPacketSize = maximumPacketSize
        if topicAliasMaximum != 0 { properties.topicAliasMaximum = topicAliasMaximum }
        if requestResponseInformation { properties.requestResponseInformation = true }
        if !requestProblemInformation { properties.requestProblemInformation = false }
        properties.userProperties = userProperties
        properties.authenticationMethod = authenticationMethod
        properties.authenticationData = authenticationData
        return properties
    }
}

extension Connect.Will {
    fileprivate var allProperties: Properties {
        var all = Properties()
        all.publishProperties = properties
        all.messageExpirySeconds = expirySeconds
        if delaySeconds != 0 { all.willDelaySeconds = delaySeconds }
        return all
    }
}
