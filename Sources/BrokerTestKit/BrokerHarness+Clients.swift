import MQTTModel
import MQTTWire

/// Clients that are connected already.
extension BrokerHarness {
    /// Opens a client and connects it.
    ///
    /// - Throws: `ScriptedClientError` when the broker refuses.
    package func connect(
        _ clientID: String, version: ProtocolVersion = .v5, cleanStart: Bool = true, receiveBufferBytes: Int? = nil,
        file: String = #fileID, line: Int = #line, _ adjust: (inout Connect) -> Void = { _ in }
    ) async throws -> ScriptedClient {
        let client = try await open(version: version, receiveBufferBytes: receiveBufferBytes)
        let answer = try await client.connect(clientID, cleanStart: cleanStart, file: file, line: line, adjust)
        guard !answer.reason.isError else {
            throw ScriptedClientError("\(clientID) was refused: \(answer.reason)", file: file, line: line)
        }
        return client
    }
}
