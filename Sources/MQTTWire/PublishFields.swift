import MQTTModel

/// The fields of a received PUBLISH, in place: the hot path's form. Nothing is copied and nothing allocated; the
/// pointers are good as long as the body that was parsed.
@usableFromInline
package struct PublishFields {
    /// Not checked beyond its length: whoever routes keeps the topics that have been. Empty only with a topic alias.
    @usableFromInline package var topic: UnsafeRawBufferPointer
    /// 0 with QoS 0, else never.
    @usableFromInline package var packetID: UInt16
    @usableFromInline package var payload: UnsafeRawBufferPointer
    /// The property block, checked, without its length. Empty below MQTT 5.
    @usableFromInline package var properties = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Whether `properties` holds nothing that belongs to this connection or to the message's age, and can be handed on
    /// as it is; otherwise see `travellingProperties`.
    @usableFromInline package var propertiesTravelWhole = true
    /// 0 for none.
    @usableFromInline package var topicAlias: UInt16 = 0
    /// Message Expiry Interval, `nil` for none.
    @usableFromInline package var expirySeconds: UInt32?
    /// The publisher says that the payload is UTF-8 text; see `payloadMatchesFormat`.
    @usableFromInline package var payloadFormatIsUTF8 = false
    @usableFromInline package var dup: Bool
    @usableFromInline package var qos: QoS
    @usableFromInline package var retain: Bool

    @inlinable package var hasTopicAlias: Bool { topicAlias != 0 }

    @inlinable
    init(
        topic: UnsafeRawBufferPointer, packetID: UInt16, payload: UnsafeRawBufferPointer, dup: Bool, qos: QoS,
        retain: Bool
    ) {
        self.topic = topic
        self.packetID = packetID
        self.payload = payload
        self.dup = dup
        self.qos = qos
        self.retain = retain
    }

    /// Parses and checks everything but the topic's text and the payload's.
    ///
    /// - Parameters:
    ///   - firstByte: Of the fixed header; that its type is PUBLISH, the caller has seen.
    ///   - body: The packet without its fixed header.
    @inlinable
    package static func parse(
        firstByte: UInt8, body: UnsafeRawBufferPointer, version: ProtocolVersion, limits: DecodeLimits, fromClient: Bool
    ) -> PublishParse {
        let qos: QoS
        switch firstByte & 0b0110 {
        case 0b0000:
            if firstByte & 0b1000 != 0 { return .malformed(.dupWithQoS0) }
            qos = .atMostOnce
        case 0b0010: qos = .atLeastOnce
        case 0b0100: qos = .exactlyOnce
        default: return .malformed(.invalidQoS)
        }
        let count = body.count
        guard count >= 2 else { return .malformed(.truncated) }
        let topicLength = Int(body[0]) &<< 8 | Int(body[1])
        var index = 2 &+ topicLength
        var packetID: UInt16 = 0
        if firstByte & 0b0110 != 0 {
            guard index &+ 2 <= count else { return .malformed(.truncated) }
            packetID = UInt16(body[index]) &<< 8 | UInt16(body[index &+ 1])
            if packetID == 0 { return .malformed(.zeroPacketID) }
            index &+= 2
        } else if index > count {
            return .malformed(.truncated)
        }
        if topicLength > limits.maxTopicBytes { return .malformed(.topicNameInvalid) }
        var fields = PublishFields(
            topic: UnsafeRawBufferPointer(rebasing: body[2..<(2 &+ topicLength)]), packetID: packetID, payload: body,
            dup: firstByte & 0b1000 != 0, qos: qos, retain: firstByte & 0b0001 != 0)
        switch version {
        case .v3_1, .v3_1_1:
            if topicLength == 0 { return .malformed(.emptyTopic) }
        case .v5:
            if index == count { return .malformed(.truncated) }
            if body[index] == 0 {
                if topicLength == 0 { return .malformed(.emptyTopicWithoutAlias) }
                index &+= 1
            } else if let error = fields.takeProperties(body, at: &index, limits: limits, fromClient: fromClient) {
                return .malformed(error)
            }
        }
        fields.payload = UnsafeRawBufferPointer(rebasing: body[index...])
        return .fields(fields)
    }

    /// Reads the property block whose length stands at `index`, and moves `index` behind it.
    @usableFromInline
    mutating func takeProperties(
        _ body: UnsafeRawBufferPointer, at index: inout Int, limits: DecodeLimits, fromClient: Bool
    ) -> DecodeError? {
        do throws(DecodeError) {
            var reader = PacketReader(body, at: index)
            let length = try reader.variableByteInteger()
            properties = try reader.slice(length)
            index = reader.index
            var scanner = PropertyScanner(properties)
            var rules = PropertyRules(fromClient ? .publishToServer : .publishToClient, limits: limits)
            while try scanner.next() {
                try rules.check(scanner)
                switch scanner.id {
                case .payloadFormatIndicator: payloadFormatIsUTF8 = scanner.number == 1
                case .topicAlias: topicAlias = UInt16(truncatingIfNeeded: scanner.number)
                case .messageExpiryInterval: expirySeconds = scanner.number
                default: break
                }
                if !scanner.id.travels { propertiesTravelWhole = false }
            }
            return topic.isEmpty && topicAlias == 0 ? .emptyTopicWithoutAlias : nil
        } catch {
            return error
        }
    }

    /// Appends those properties of a checked block that go on to subscribers: all but topic alias, message expiry
    /// interval and subscription identifiers, in their order [MQTT-3.3.2-18].
    package static func travellingProperties(_ block: UnsafeRawBufferPointer, into out: inout [UInt8]) {
        var scanner = PropertyScanner(block)
        // A block that has been checked can't throw; of another, what comes before the damage is kept.
        while (try? scanner.next()) == true {
            if scanner.id.travels { out.append(contentsOf: scanner.whole) }
        }
    }

    /// Whether the payload is what Payload Format Indicator says: `false` only if it says UTF-8 and the payload is not.
    /// A server may check (MQTT 5.0 section 3.3.2.3.2), and answers 0x99 then. Reads the whole payload.
    package func payloadMatchesFormat() -> Bool {
        guard payloadFormatIsUTF8 else { return true }
        // Of a payload well-formed UTF-8 is asked, which U+0000 is. MQTTString refuses that, so it sees what lies between.
        var rest = payload[...]
        while let zero = rest.firstIndex(of: 0) {
            guard MQTTString.isValid(UnsafeRawBufferPointer(rebasing: rest[..<zero])) else { return false }
            rest = rest[(zero + 1)...]
        }
        return MQTTString.isValid(UnsafeRawBufferPointer(rebasing: rest))
    }
}

@usableFromInline
package enum PublishParse {
    case fields(PublishFields)
    case malformed(DecodeError)
}

extension PropertyID {
    /// Whether a server hands the property of a PUBLISH on as it is.
    var travels: Bool {
        switch self {
        case .topicAlias, .messageExpiryInterval, .subscriptionIdentifier: false
        default: true
        }
    }
}
