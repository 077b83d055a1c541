import MQTTModel
import MQTTWire

/// A message as a scripted client received it.
public struct ReceivedMessage: Sendable, Equatable {
    public let topic: String
    public let payload: [UInt8]
    public let qos: QoS
    /// The RETAIN flag.
    public let isRetained: Bool
    /// The DUP flag: the broker sent it before.
    public let isDuplicate: Bool
    public let properties: PublishProperties
}

/// The everyday exchanges, for tests of programs that embed the broker.
extension ScriptedClient {
    /// Sends CONNECT and waits for CONNACK.
    ///
    /// - Parameter sessionExpirySeconds: Below MQTT 5, `nil` asks for a clean session and any value for a kept one.
    /// - Returns: Whether the broker had a session for the client.
    /// - Throws: `ScriptedClientError` when the broker refuses or does not answer.
    @discardableResult
    public func connect(
        clientID: String, cleanStart: Bool = true, keepAliveSeconds: UInt16 = 0, sessionExpirySeconds: UInt32? = nil,
        username: String? = nil, password: [UInt8]? = nil, file: String = #fileID, line: Int = #line
    ) async throws -> Bool {
        let answer = try await connect(clientID, cleanStart: cleanStart, file: file, line: line) { connect in
            connect.keepAliveSeconds = keepAliveSeconds
            connect.sessionExpirySeconds = sessionExpirySeconds
            if version != .v5, sessionExpirySeconds != nil { connect.cleanStart = false }
            connect.username = username
            connect.password = password
        }
        guard !answer.reason.isError else {
            throw ScriptedClientError("the broker refused: \(answer.reason)", file: file, line: line)
        }
        return answer.sessionPresent
    }

    /// Subscribes to one filter and waits for SUBACK.
    ///
    /// - Returns: The granted QoS or the refusal.
    @discardableResult
    public func subscribe(
        _ filter: String, qos: QoS = .atMostOnce, file: String = #fileID, line: Int = #line
    ) async throws -> ReasonCode {
        let reasons = try await subscribe([Subscribe.Entry(filter: filter, qos: qos)], file: file, line: line)
        return reasons.first ?? .unspecifiedError
    }

    /// Publishes and waits for the acknowledgements that the QoS has.
    ///
    /// - Parameter packetID: Must not be in use; ignored at QoS 0.
    /// - Returns: The reason code of PUBACK or PUBREC; Success at QoS 0.
    @discardableResult
    public func publish(
        _ topic: String, payload: [UInt8], qos: QoS = .atMostOnce, isRetained: Bool = false, packetID: UInt16 = 1,
        file: String = #fileID, line: Int = #line
    ) async throws -> ReasonCode {
        let message = Publish(
            topic: topic, payload: payload, qos: qos, retain: isRetained, packetID: qos == .atMostOnce ? 0 : packetID)
        return try await publish(message, file: file, line: line)
    }

    /// Waits for `count` messages and acknowledges each.
    public func messages(
        _ count: Int, within time: Duration = patience, file: String = #fileID, line: Int = #line
    ) async throws -> [ReceivedMessage] {
        try await receive(count, within: time, file: file, line: line).map {
            ReceivedMessage(
                topic: $0.topic, payload: $0.payload, qos: $0.qos, isRetained: $0.retain, isDuplicate: $0.dup, properties: $0.properties)
        }
    }
}
