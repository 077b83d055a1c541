import MQTTModel

/// Makes messages of records as a route's configuration says. Pure but for remembering the last tenant.
struct InboundRenderer {
    private let route: KafkaInboundRoute
    private let broker: String
    private let tree: PayloadTree
    private var publisher: ClientInfo?

    /// User properties of one message, in number and in bytes of names and values together; what is beyond is left out.
    static let maxUserProperties = 32
    static let maxUserPropertyBytes = 16 << 10
    private static let longestTenant = 256
    private static let deepestTopic = 200

    /// - Parameter broker: Its name in hop lists.
    init(_ route: KafkaInboundRoute, broker: String) {
        self.route = route
        self.broker = broker
        tree = PayloadTree(route.valuePaths)
    }

    mutating func message(of record: InboundRecord) throws(InboundRefusal) -> Message {
        let hops = HopList(of: record)
        guard hops.isAllowed(at: broker, maxHops: route.maxHops) else { throw .looped }
        let value = record.value ?? []
        let values = tree.isEmpty ? .unread : value.withUnsafeBytes { PayloadValues(of: $0, at: tree) }
        let topic = try topicName(of: record, values)
        return Message(
            topic: topic, payload: value, qos: route.qos, isRetained: route.isRetained, properties: properties(of: record, hops),
            expirySeconds: route.expirySeconds, publisher: try publisher(of: record, values))
    }

    private func topicName(of record: InboundRecord, _ values: PayloadValues) throws(InboundRefusal) -> TopicName {
        let bytes = try route.topic.rendered(record, values)
        if bytes.first == UInt8(ascii: "$") { throw .reservedTopic }
        let isLegal = bytes.withUnsafeBytes { TopicName.check($0) == nil && TopicName.levelCount($0) <= Self.deepestTopic }
        guard isLegal, let name = try? TopicName(String(decoding: bytes, as: UTF8.self)) else { throw .illegalTopic }
        return name
    }

    private mutating func publisher(of record: InboundRecord, _ values: PayloadValues) throws(InboundRefusal) -> ClientInfo? {
        guard let template = route.tenant else { return nil }
        let bytes = try template.rendered(record, values)
        guard bytes.count <= Self.longestTenant, Self.isText(bytes) else { throw .illegalTenant }
        let tenant = String(decoding: bytes, as: UTF8.self)
        if let publisher, publisher.tenant.utf8.elementsEqual(bytes) { return publisher }
        let made = BridgeIdentity.publisher(route: route.name, tenant: tenant)
        publisher = made
        return made
    }

    private func properties(of record: InboundRecord, _ hops: HopList) -> PublishProperties {
        var properties = PublishProperties()
        var bytes = 0
        func add(_ name: String, _ value: [UInt8]) {
            let size = name.utf8.count + value.count
            guard properties.userProperties.count < Self.maxUserProperties, bytes + size <= Self.maxUserPropertyBytes,
                !name.isEmpty, Self.isText(Array(name.utf8)), Self.isText(value)
            else { return }
            bytes += size
            properties.userProperties.append(UserProperty(name, String(decoding: value, as: UTF8.self)))
        }
        // First, so that no header can take its place.
        if !hops.brokers.isEmpty { add(HopList.name, Array(hops.text.utf8)) }
        if route.passesKey, let key = record.key { add(Self.keyProperty, key) }
        properties.contentType = route.contentType
        for header in record.headers where header.name != HopList.name && header.name != Self.keyProperty {
            if header.name == "content-type" {
                if properties.contentType == nil, header.value.count <= 256, Self.isText(header.value) {
                    properties.contentType = String(decoding: header.value, as: UTF8.self)
                }
            } else {
                add(header.name, header.value)
            }
        }
        return properties
    }

    private static let keyProperty = "kafka.key"

    /// Whether MQTT can carry it as a UTF-8 Encoded String.
    static func isText(_ bytes: [UInt8]) -> Bool { bytes.count <= 65_535 && bytes.withUnsafeBytes { MQTTString.isValid($0) } }
}
