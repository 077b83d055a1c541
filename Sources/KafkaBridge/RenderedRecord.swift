import MQTTModel

/// A message as one route writes it: all that Kafka is told, before it is any producer's business.
///
/// Where the route does not vary by message it is good for all messages of one client, topic, QoS and RETAIN; so what is each
/// message's own (value, time, user properties) is asked for with the message.
struct RenderedRecord: Sendable {
    /// A legal and allowed name.
    let topic: String
    /// From 0; `nil`: the partitioner's choice, by key.
    let partition: Int32?
    /// Not empty.
    let key: [UInt8]?
    let headers: RecordHeaders
    /// Milliseconds since 1970; `nil`: when the message was received.
    let timestamp: Int64?
    /// `nil`: the payload.
    let value: [UInt8]?
    /// Whether the route wanted a time of the payload's and found none.
    let lacksTimestamp: Bool

    func timestamp(of message: Message) -> Int64 { timestamp ?? message.received.unixMilliseconds }

    /// The value, copied. Never absent: an empty value is no tombstone.
    func value(of message: Message) -> [UInt8] { value ?? message.withParts { _, _, payload in Array(payload) } }
}

/// Makes records of messages as a route's configuration says. Pure: no producer, no counters.
struct RecordRenderer: Sendable {
    private let route: KafkaRoute
    private let tree: PayloadTree
    private let readsPayload: Bool
    private let identity: BridgeIdentity

    /// - Parameter identity: Says the broker's name in hop lists; without a name there are none.
    init(_ route: KafkaRoute, identity: BridgeIdentity = BridgeIdentity()) {
        self.route = route
        self.identity = identity
        tree = PayloadTree(route.payloadPaths)
        readsPayload = !tree.isEmpty || route.value == .json
    }

    func render(_ message: Message) throws(RecordRefusal) -> RenderedRecord {
        let payload = readsPayload ? PayloadValues(of: message, at: tree) : .unread
        let topic = try route.topic.topicName(for: message, payload)
        if !route.allows(topic) { throw .topicNotAllowed }
        let timestamp: Int64? =
            if case .payload(let path, let unit) = route.timestamp {
                payload[path].flatMap { RecordTimestamp.milliseconds($0, unit) }
            } else { nil }
        let value: [UInt8]? =
            switch route.value {
            case .payload: nil
            case .json: JSONEnvelope.text(of: message, payload)
            case .template(let template): template.rendered(message, payload) ?? []
            }
        return RenderedRecord(
            topic: topic, partition: try partition(of: message, payload), key: route.key?.rendered(message, payload),
            headers: RecordHeaders(route: route.headers, message: message, payload: payload, traceparent: newTraceparent(for: message), broker: identity.name),
            timestamp: timestamp, value: value, lacksTimestamp: route.timestamp != .received && timestamp == nil)
    }

    /// Headers of a message that can't become a record: what is known of it without the route's templates.
    func headers(ofRefused message: Message) -> RecordHeaders { RecordHeaders(route: [], message: message, broker: identity.name) }

    /// Decimal digits alone; a template that comes out empty leaves the choice to the key, as if there were none.
    private func partition(of message: Message, _ payload: PayloadValues) throws(RecordRefusal) -> Int32? {
        guard let text = route.partition?.rendered(message, payload) else { return nil }
        guard let number = Self.partition(text) else { throw .invalidPartition }
        return number
    }

    static func partition(_ text: [UInt8]) -> Int32? {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return text.allSatisfy(digits.contains) ? Int32(String(decoding: text, as: UTF8.self)) : nil
    }

    private func newTraceparent(for message: Message) -> String? {
        guard route.startsTraces, !route.headers.contains(where: { $0.name == TraceContext.parentName }) else { return nil }
        return TraceContext.isCarried(by: message.properties.userProperties) ? nil : TraceContext.newParent()
    }
}
