import Logging
import MQTTModel

/// A route at work: its configuration with the producer it writes to and its counters. Shared by all loops.
final class Route: Sendable {
    let configuration: KafkaRoute
    let producer: KafkaProducer
    private let renderer: RecordRenderer
    let counters = RouteCounters()
    let tap = RouteTap()
    let lastError = LastError()
    private let logger: Logger
    private let logLimit = LogLimit(lines: 5, seconds: 10)

    init(configuration: KafkaRoute, producer: KafkaProducer, identity: BridgeIdentity = BridgeIdentity(), logger: Logger) {
        self.configuration = configuration
        self.producer = producer
        self.renderer = RecordRenderer(configuration, identity: identity)
        self.logger = logger
    }

    func matches(_ topic: String) -> Bool {
        configuration.filters.contains { $0.matches(topic) } && !configuration.excluded.contains { $0.matches(topic) }
    }

    /// The record of this message; of all messages with its client, topic, QoS and RETAIN where the route does not vary by message.
    func render(_ message: Message) throws(RecordRefusal) -> RenderedRecord {
        let rendered = try renderer.render(message)
        if rendered.lacksTimestamp { counters.countTimestampFallback() }
        return rendered
    }

    /// The record as it would be, for whoever watches; nothing is counted.
    func preview(_ message: Message) throws(RecordRefusal) -> OutboxRecord {
        let rendered = try renderer.render(message)
        return OutboxRecord(
            topic: rendered.topic, partition: rendered.partition, key: rendered.key,
            headers: rendered.headers.shared + rendered.headers.own(of: message), timestamp: rendered.timestamp(of: message),
            value: rendered.value(of: message))
    }

    func headers(ofRefused message: Message) -> RecordHeaders { renderer.headers(ofRefused: message) }

    /// The same with a topic of the producer's.
    func bind(_ message: Message) throws(RecordRefusal) -> RouteBinding {
        let rendered = try render(message)
        guard let topic = producer.topic(named: rendered.topic) else { throw .tooManyTopics }
        return RouteBinding(
            route: self, topic: topic, key: rendered.key, headers: rendered.headers, partition: rendered.partition,
            timestamp: rendered.timestamp, value: rendered.value)
    }

    func refused(_ message: Message, _ refusal: RecordRefusal) {
        counters.countReceived()
        counters.count(refusal)
        log("Kafka record refused: \(refusal.advice)", message, reason: refusal.rawValue)
    }

    /// Its publisher is told.
    func unfit(_ message: Message, _ fault: String) { log("payload refused, which does not fit the route's schema: \(fault)", message, reason: "schema") }

    func failed(_ message: Message, _ failure: RecordFailure, text: String) {
        counters.count(failure)
        log("Kafka record failed: \(text)", message, reason: failure.rawValue)
    }

    private func log(_ text: String, _ message: Message, reason: String) {
        lastError.note(text)
        guard let left = logLimit.admit() else { return }
        logger.warning(
            "\(text)\(left > 0 ? " (\(left) such lines were left out)" : "")",
            metadata: [
                "route": "\(configuration.name)", "reason": "\(reason)", "topic": "\(LogLimit.quoted(message.topic))",
                "client": "\(LogLimit.quoted(message.publisher?.clientID ?? ""))",
            ])
    }
}

/// A route filled in for one client, topic, QoS and RETAIN, or for one message where the route varies by message. Immutable;
/// records of many messages share it. Its fields are those of `RenderedRecord`.
final class RouteBinding: Sendable {
    let route: Route
    let topic: TopicHandle
    let key: [UInt8]?
    let headers: RecordHeaders
    let partition: Int32?
    let timestamp: Int64?
    let value: [UInt8]?

    init(
        route: Route, topic: TopicHandle, key: [UInt8]?, headers: RecordHeaders, partition: Int32? = nil, timestamp: Int64? = nil,
        value: [UInt8]? = nil
    ) {
        self.route = route
        self.topic = topic
        self.key = key
        self.headers = headers
        self.partition = partition
        self.timestamp = timestamp
        self.value = value
    }
}

/// A Kafka topic of one producer, valid for the producer's life.
struct TopicHandle: Sendable, Equatable {
    /// Place in the producer's table of topics.
    let index: Int
}
