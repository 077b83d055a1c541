import MQTTModel

/// PUBLISH (MQTT 5.0 section 3.3) with values of its own: for clients and tests. A broker routes with `PublishFields`.
package struct Publish: Hashable, Sendable {
    /// A topic name; empty only where `topicAlias` stands for it.
    package var topic: String
    package var payload: [UInt8]
    package var qos: QoS
    package var retain: Bool
    package var dup: Bool
    /// 0 with QoS 0, else never.
    package var packetID: UInt16

    // MQTT 5 from here on
    package var properties = PublishProperties()
    package var expirySeconds: UInt32?
    /// 0 for none.
    package var topicAlias: UInt16 = 0
    /// Only from a server.
    package var subscriptionIDs: [UInt32] = []

    package init(
        topic: String, payload: [UInt8], qos: QoS = .atMostOnce, retain: Bool = false, dup: Bool = false, packetID: UInt16 = 0
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.dup = dup
        self.packetID = packetID
    }

    /// Everything that `PublishFields` checks, and the topic name.
    init(
        firstByte: UInt8, body: UnsafeRawBufferPointer, version: ProtocolVersion, limits: DecodeLimits, from peer: Peer
    ) throws(DecodeError) {
        let fields: PublishFields
        switch PublishFields.parse(
            firstByte: firstByte, body: body, version: version, limits: limits, fromClient: peer == .client)
        {
        case .fields(let parsed): fields = parsed
        case .malformed(let error): throw error
        }
        if !fields.topic.isEmpty {
            switch TopicName.check(fields.topic) {
            case nil: break
            case .invalidUTF8: throw .invalidUTF8
            default: throw .topicNameInvalid  // [MQTT-3.3.2-2]
            }
            guard TopicName.levelCount(fields.topic) <= limits.maxTopicLevels else { throw .topicNameInvalid }
        }
        self.init(
            topic: String(decoding: fields.topic, as: UTF8.self), payload: Array(fields.payload), qos: fields.qos,
            retain: fields.retain, dup: fields.dup, packetID: fields.packetID)
        guard !fields.properties.isEmpty else { return }
        let all = try Properties(
            fields.properties, place: peer == .client ? .publishToServer : .publishToClient, limits: limits)
        properties = all.publishProperties
        expirySeconds = all.messageExpirySeconds
        topicAlias = all.topicAlias ?? 0
        subscriptionIDs = all.subscriptionIDs
    }

    var firstByte: UInt8 { PublishImage.firstByte(qos: qos, retain: retain, dup: dup) }

    func write(to writer: inout PacketWriter, version: ProtocolVersion) {
        writer.string(topic)
        if qos != .atMostOnce { writer.uint16(packetID) }
        if version == .v5 {
            var all = Properties()
            all.publishProperties = properties
            all.messageExpirySeconds = expirySeconds
            if topicAlias != 0 { all.topicAlias = topicAlias }
            all.subscriptionIDs = subscriptionIDs
            writer.properties(all)
        }
        writer.raw(payload)
    }
}
