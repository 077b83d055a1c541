import MQTTModel

/// SUBSCRIBE (MQTT 5.0 section 3.8).
package struct Subscribe: Hashable, Sendable {
    package var packetID: UInt16
    /// 1…268,435,455, `nil` for none.
    package var subscriptionID: UInt32?
    package var userProperties: [UserProperty] = []
    /// At least one.
    package var entries: [Entry]

    /// A filter and its subscription options.
    package struct Entry: Hashable, Sendable {
        /// Text without U+0000, not empty and within the limits. That it is a topic filter is not said: SUBACK answers
        /// each one that is not with 0x8F.
        package var filter: String
        package var qos: QoS
        package var noLocal: Bool
        package var retainAsPublished: Bool
        package var retainHandling: RetainHandling

        package init(
            filter: String, qos: QoS = .atMostOnce, noLocal: Bool = false, retainAsPublished: Bool = false,
            retainHandling: RetainHandling = .sendAtSubscribe
        ) {
            self.filter = filter
            self.qos = qos
            self.noLocal = noLocal
            self.retainAsPublished = retainAsPublished
            self.retainHandling = retainHandling
        }
    }

    /// When retained messages are sent (MQTT 5.0 section 3.8.3.1). Below MQTT 5 always `sendAtSubscribe`.
    package enum RetainHandling: UInt8, Hashable, Sendable, CaseIterable {
        case sendAtSubscribe = 0
        case sendIfNew = 1
        case doNotSend = 2
    }

    package init(packetID: UInt16, entries: [Entry]) {
        self.packetID = packetID
        self.entries = entries
    }

    init(from reader: inout PacketReader, version: ProtocolVersion, limits: DecodeLimits) throws(DecodeError) {
        self.init(packetID: try reader.packetID(), entries: [])
        if version == .v5 {
            let properties = try reader.properties(.subscribe, limits: limits)
            subscriptionID = properties.subscriptionIDs.first
            userProperties = properties.userProperties
        }
        if reader.isAtEnd { throw .emptyPayload }
        while !reader.isAtEnd {
            if entries.count == limits.maxFiltersPerPacket { throw .tooManyFilters }
            let filter = try reader.topicFilter(limits: limits)
            entries.append(try Entry(filter: filter, options: reader.byte(), version: version))
        }
    }

    func write(to writer: inout PacketWriter, version: ProtocolVersion) {
        writer.uint16(packetID)
        if version == .v5 {
            var properties = Properties()
            if let subscriptionID { properties.subscriptionIDs = [subscriptionID] }
            properties.userProperties = userProperties
            writer.properties(properties)
        }
        for entry in entries {
            writer.string(entry.filter)
            writer.byte(entry.options(version: version))
        }
    }
}

extension Subscribe.Entry {
    fileprivate init(filter: UnsafeRawBufferPointer, options: UInt8, version: ProtocolVersion) throws(DecodeError) {
        let reserved: UInt8 = version == .v5 ? 0b1100_0000 : 0b1111_1100
        if options & reserved != 0 { throw .reservedSubscriptionOptions }
        guard let qos = QoS(rawValue: options & 0b11),
            let retainHandling = Subscribe.RetainHandling(rawValue: options >> 4 & 0b11)
        else { throw .subscriptionOptions }
        let noLocal = options & 0b100 != 0
        if noLocal, filter.starts(with: "$share/".utf8) { throw .noLocalOnSharedSubscription }
        self.init(
            filter: String(decoding: filter, as: UTF8.self), qos: qos, noLocal: noLocal,
            retainAsPublished: options & 0b1000 != 0, retainHandling: retainHandling)
    }

    fileprivate func options(version: ProtocolVersion) -> UInt8 {
        guard version == .v5 else { return qos.rawValue }
        return qos.rawValue | (noLocal ? 0b100 : 0) | (retainAsPublished ? 0b1000 : 0) | retainHandling.rawValue << 4
    }
}

extension PacketReader {
    /// A topic filter as SUBSCRIBE and UNSUBSCRIBE have it: text, not empty, within the limits, its wildcards not looked at.
    mutating func topicFilter(limits: DecodeLimits) throws(DecodeError) -> UnsafeRawBufferPointer {
        let filter = try text()
        if filter.isEmpty { throw .emptyTopicFilter }
        guard filter.count <= limits.maxTopicBytes, TopicName.levelCount(filter) <= limits.maxTopicLevels else {
            throw .topicFilterTooLong
        }
        return filter
    }
}
