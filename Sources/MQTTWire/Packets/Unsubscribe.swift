import MQTTModel

/// UNSUBSCRIBE (MQTT 5.0 section 3.10).
package struct Unsubscribe: Hashable, Sendable {
    package var packetID: UInt16
    package var userProperties: [UserProperty] = []
    /// At least one; as little checked as `Subscribe.Entry.filter`.
    package var filters: [String]

    package init(packetID: UInt16, filters: [String]) {
        self.packetID = packetID
        self.filters = filters
    }

    init(from reader: inout PacketReader, version: ProtocolVersion, limits: DecodeLimits) throws(DecodeError) {
        self.init(packetID: try reader.packetID(), filters: [])
        if version == .v5 { userProperties = try reader.properties(.unsubscribe, limits: limits).userProperties }
        if reader.isAtEnd { throw .emptyPayload }
        while !reader.isAtEnd {
            if filters.count == limits.maxFiltersPerPacket { throw .tooManyFilters }
            filters.append(String(decoding: try reader.topicFilter(limits: limits), as: UTF8.self))
        }
    }

    func write(to writer: inout PacketWriter, version: ProtocolVersion) {
        writer.uint16(packetID)
        if version == .v5 {
            var properties = Properties()
            properties.userProperties = userProperties
            writer.properties(properties)
        }
        for filter in filters { writer.string(filter) }
    }
}
