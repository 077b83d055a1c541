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
    /// Name of this broker in the hop list of each record, where it is the message's own.
    private let ownHop: String?

    /// - Parameters:
    ///   - route: Headers of the route's own.
    ///   - payload: Read for the route's paths.
    ///   - traceparent: Of a trace that begins with the one message, which has none that is passed on.
    ///   - broker: Name of this broker in hop lists; `nil`: the records get none.
    init(route: [KafkaRoute.Header], message: Message, payload: PayloadValues = .unread, traceparent: String? = nil, broker: String? = nil) {
        list = rd_kafka_headers_new(8)
        routeNames = route.map(\.name)
        // A client's message begins here, whatever its user properties say.
        let mayHavePassedOthers = BridgeIdentity.isOwn(message)
        ownHop = mayHavePassedOthers ? broker : nil
        message.withParts { topic, _, _ in Self.add("mqtt.topic", topic, to: list) }
        if let publisher = message.publisher {
            Self.add("mqtt.clientid", publisher.clientID, to: list)
            if let username = publisher.username { Self.add("mqtt.username", username, to: list) }
        }
        Self.add("mqtt.qos", message.qos.description, to: list)
        Self.add("mqtt.retain", message.isRetained ? "true" : "false", to: list)
        for header in route {
            guard let value = header.value.rendered(message, payload) else { continue }
            value.withUnsafeBytes { Self.add(header.name, $0, to: list) }
        }
        if let traceparent { Self.add(TraceContext.parentName, traceparent, to: list) }
        if let broker, !mayHavePassedOthers { Self.add(HopList.name, HopList().extended(by: broker), to: list) }
    }

    deinit { rd_kafka_headers_destroy(list) }

    /// The headers of one record. The caller owns the list until librdkafka has accepted the record.
    func list(for message: Message) -> OpaquePointer {
        let copy: OpaquePointer = rd_kafka_headers_copy(list)
        forEachOwn(of: message) { Self.add($0, $1, to: copy) }
        return copy
    }

    /// What the message brings itself.
    private func forEachOwn(of message: Message, _ body: (_ name: String, _ value: UnsafeRawBufferPointer) -> Void) {
        func add(_ name: String, _ value: String) {
            var value = value
            value.withUTF8 { body(name, UnsafeRawBufferPointer($0)) }
        }
        if let ownHop {
            let passed = message.propertiesLength > 0 ? HopList(of: message.properties.userProperties) : HopList()
            add(HopList.name, passed.extended(by: ownHop))
        }
        guard message.propertiesLength > 0 else { return }
        let properties = message.properties
        if let type = properties.contentType { add("content-type", type) }
        if let topic = properties.responseTopic { add("mqtt.response-topic", topic) }
        if let data = properties.correlationData { data.withUnsafeBytes { body("mqtt.correlation-data", $0) } }
        let isTraced = TraceContext.isCarried(by: properties.userProperties)
        for property in properties.userProperties where !Self.isReserved(property.name) && !routeNames.contains(property.name) {
            if TraceContext.isTraceHeader(property.name) {
                guard isTraced, property.name == TraceContext.parentName || TraceContext.isSound(state: property.value) else { continue }
            }
            add(property.name, property.value)
        }
    }

    /// Those in common, for whoever does not hand the record to librdkafka now.
    var shared: [OutboxRecord.Header] {
        var headers: [OutboxRecord.Header] = []
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while rd_kafka_header_get_all(list, headers.count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let name {
            headers.append(
                .init(name: String(cString: name), value: Array(UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : size))))
        }
        return headers
    }

    /// Those of the message's own.
    func own(of message: Message) -> [OutboxRecord.Header] {
        var headers: [OutboxRecord.Header] = []
        forEachOwn(of: message) { headers.append(.init(name: $0, value: Array($1))) }
        return headers
    }

    /// Whether the bridge alone writes headers of that name.
    static func isReserved(_ name: String) -> Bool { name.hasPrefix("mqtt.") || name == "content-type" || name == HopList.name }

    private static func add(_ name: String, _ value: String, to list: OpaquePointer) {
        var value = value
        value.withUTF8 { add(name, UnsafeRawBufferPointer($0), to: list) }
    }

    private static func add(_ name: String, _ value: UnsafeRawBufferPointer, to list: OpaquePointer) {
        rd_kafka_header_add(list, name, name.utf8.count, value.baseAddress, value.count)
    }
}
