import CRdKafka
import MQTTModel

/// The headers that records of one client, topic, QoS and RETAIN have in common: made once, copied for each record.
///
/// What a message brings itself (user properties and the like) is appended to the copy. It can't speak for the broker:
/// user properties with a name that the bridge or the route writes are left out.
final class RecordHeaders: @unchecked Sendable {
    // @unchecked: the list is filled in `init` and only read afterwards.
    private let list: OpaquePointer
    private let routeNames: [String]

    init(route: KafkaRoute, message: Message) {
        list = rd_kafka_headers_new(8)
        routeNames = route.headers.map(\.name)
        message.withParts { topic, _, _ in Self.add("mqtt.topic", topic, to: list) }
        if let publisher = message.publisher {
            Self.add("mqtt.clientid", publisher.clientID, to: list)
            if let username = publisher.username { Self.add("mqtt.username", username, to: list) }
        }
        Self.add("mqtt.qos", message.qos.description, to: list)
        Self.add("mqtt.retain", message.isRetained ? "true" : "false", to: list)
        for header in route.headers {
            guard let value = header.value.rendered(message) else { continue }
            value.withUnsafeBytes { Self.add(header.name, $0, to: list) }
        }
    }

    deinit { rd_kafka_headers_destroy(list) }

    /// The headers of one record. The caller owns the list until librdkafka has accepted the record.
    func list(for message: Message) -> OpaquePointer {
        let copy: OpaquePointer = rd_kafka_headers_copy(list)
        guard message.propertiesLength > 0 else { return copy }
        let properties = message.properties
        if let type = properties.contentType { Self.add("content-type", type, to: copy) }
        if let topic = properties.responseTopic { Self.add("mqtt.response-topic", topic, to: copy) }
        if let data = properties.correlationData { data.withUnsafeBytes { Self.add("mqtt.correlation-data", $0, to: copy) } }
        for property in properties.userProperties where !Self.isReserved(property.name) && !routeNames.contains(property.name) {
            Self.add(property.name, property.value, to: copy)
        }
        return copy
    }

    /// Whether the bridge alone writes headers of that name.
    static func isReserved(_ name: String) -> Bool { name.hasPrefix("mqtt.") || name == "content-type" }

    private static func add(_ name: String, _ value: String, to list: OpaquePointer) {
        var value = value
        value.withUTF8 { add(name, UnsafeRawBufferPointer($0), to: list) }
    }

    private static func add(_ name: String, _ value: UnsafeRawBufferPointer, to list: OpaquePointer) {
        rd_kafka_header_add(list, name, name.utf8.count, value.baseAddress, value.count)
    }
}
