import MQTTModel

/// A message's record as its outbox entry will have it. Where a route does not vary by message, one frame is good for all messages of a
/// client, topic, QoS and RETAIN.
final class OutboxFrame {
    let head: [UInt8]
    /// The Kafka topic; empty for a message that has none.
    let topic: String
    let key: [UInt8]?
    /// In place of the payload.
    let value: [UInt8]?
    private let headers: RecordHeaders
    private let timestamp: Int64?

    init(_ record: RenderedRecord, message: Message) {
        headers = record.headers
        topic = record.topic
        key = record.key
        value = record.value
        timestamp = record.timestamp
        head =
            RecordFrame.Head(
                topic: record.topic, partition: record.partition, key: record.key, tenant: message.publisher?.tenant ?? "",
                headers: record.headers.shared
            ).encoded()
    }

    /// A message that can't become the route's record: it goes to the dead letters, with what is known of it.
    init(_ refusal: RecordRefusal, route: Route, message: Message) {
        let headers = route.headers(ofRefused: message)
        self.headers = headers
        topic = ""
        key = nil
        value = nil
        timestamp = nil
        head =
            RecordFrame.Head(
                tenant: message.publisher?.tenant ?? "", headers: headers.shared, death: (refusal.rawValue, refusal.advice)
            ).encoded()
    }

    /// The part of the one message.
    func tail(of message: Message) -> [UInt8] {
        let received = message.received.unixMilliseconds
        let own = message.propertiesLength > 0 ? headers.own(of: message) : []
        return RecordFrame.tail(timestamp: timestamp ?? received, receivedUnixMilliseconds: received, headers: own)
    }
}
