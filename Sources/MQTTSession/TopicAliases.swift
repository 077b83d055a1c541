import MQTTModel

/// Topic aliases that a client has set on its connection (MQTT 5.0 section 3.3.2.3.4).
package struct InboundTopicAliases {
    /// Bytes of all topics: 65,535 aliases of the longest topics would be 4 GB.
    private static let maxBytes = 1 << 20

    private var topics: [[UInt8]] = []
    private var bytes = 0
    private let maximum: Int

    /// - Parameter maximum: The Topic Alias Maximum announced in CONNACK.
    package init(maximum: Int) { self.maximum = maximum }

    /// Whether `alias` is one that the client may use [MQTT-3.3.2-8] [MQTT-3.3.2-9].
    package func isLegal(_ alias: UInt16) -> Bool { alias > 0 && Int(alias) <= maximum }

    /// - Returns: `false`: the topics of all aliases would take more than 1 MiB; nothing is changed.
    package mutating func set(_ alias: UInt16, topic: UnsafeRawBufferPointer) -> Bool {
        while topics.count < Int(alias) { topics.append([]) }
        let growth = topic.count - topics[Int(alias) - 1].count
        guard growth <= 0 || bytes + growth <= Self.maxBytes else { return false }
        bytes += growth
        topics[Int(alias) - 1] = Array(topic)
        return true
    }

    /// The topic, `nil` if the alias was never set.
    package func topic(for alias: UInt16) -> [UInt8]? {
        guard alias > 0, Int(alias) <= topics.count, !topics[Int(alias) - 1].isEmpty else { return nil }
        return topics[Int(alias) - 1]
    }
}

/// Topic aliases that the broker sets towards a client: the first topics that come along get one and keep it. Devices
/// publish on few topics, so replacing old ones would buy little.
package struct OutboundTopicAliases {
    private var aliases: [[UInt8]: UInt16] = [:]
    private let maximum: Int

    /// - Parameter maximum: The smaller of the client's Topic Alias Maximum and the broker's own limit.
    package init(maximum: Int) { self.maximum = maximum }

    package enum Use: Equatable {
        /// Send the topic, no alias.
        case none
        /// Send topic and alias: the client learns it.
        case introduce(UInt16)
        /// Send the alias alone.
        case known(UInt16)
    }

    package mutating func use(for topic: UnsafeRawBufferPointer) -> Use {
        let key = Array(topic)
        if let alias = aliases[key] { return .known(alias) }
        guard aliases.count < maximum else { return .none }
        let alias = UInt16(aliases.count + 1)
        aliases[key] = alias
        return .introduce(alias)
    }

    /// The packet that would have introduced the alias was not sent after all.
    package mutating func forget(topic: UnsafeRawBufferPointer) {
        let key = Array(topic)
        if let alias = aliases[key], Int(alias) == aliases.count { aliases[key] = nil }
    }
}
