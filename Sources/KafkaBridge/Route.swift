import Logging
import MQTTModel

/// A route at work: its configuration with the producer it writes to and its counters. Shared by all loops.
final class Route: Sendable {
    let configuration: KafkaRoute
    let producer: KafkaProducer
    let counters = RouteCounters()
    private let logger: Logger
    private let logLimit = LogLimit(lines: 5, seconds: 10)

    init(configuration: KafkaRoute, producer: KafkaProducer, logger: Logger) {
        self.configuration = configuration
        self.producer = producer
        self.logger = logger
    }

    func matches(_ topic: String) -> Bool { configuration.filters.contains { $0.matches(topic) } }

    /// What records of this message's client, topic, QoS and RETAIN have in common.
    func bind(_ message: Message) throws(RecordRefusal) -> RouteBinding {
        let name = try configuration.topic.topicName(for: message)
        guard let topic = producer.topic(named: name) else { throw .tooManyTopics }
        return RouteBinding(
            route: self, topic: topic, key: configuration.key?.rendered(message),
            headers: RecordHeaders(route: configuration, message: message))
    }

    func refused(_ message: Message, _ refusal: RecordRefusal) {
        counters.countReceived()
        counters.count(refusal)
        log("Kafka record refused: \(refusal.advice)", message, reason: refusal.rawValue)
    }

    func failed(_ message: Message, _ failure: RecordFailure, text: String) {
        counters.count(failure)
        log("Kafka record failed: \(text)", message, reason: failure.rawValue)
    }

    private func log(_ text: String, _ message: Message, reason: String) {
        guard let left = logLimit.admit() else { return }
        logger.warning(
            "\(text)\(left > 0 ? " (\(left) such lines were left out)" : "")",
            metadata: [
                "route": "\(configuration.name)", "reason": "\(reason)", "topic": "\(LogLimit.quoted(message.topic))",
                "client": "\(LogLimit.quoted(message.publisher?.clientID ?? ""))",
            ])
    }
}

/// A route filled in for one client, topic, QoS and RETAIN. Immutable; records of many messages share it.
final class RouteBinding: Sendable {
    let route: Route
    let topic: TopicHandle
    let key: [UInt8]?
    let headers: RecordHeaders

    init(route: Route, topic: TopicHandle, key: [UInt8]?, headers: RecordHeaders) {
        self.route = route
        self.topic = topic
        self.key = key
        self.headers = headers
    }
}

/// A Kafka topic of one producer, valid for the producer's life.
struct TopicHandle: Sendable, Equatable {
    /// Place in the producer's table of topics.
    let index: Int
}
