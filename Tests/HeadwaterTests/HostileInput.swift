import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

/// One line of a table of bytes that nobody should send, and the broker's answer to it.
struct HostileInput: Sendable, CustomTestStringConvertible {
    enum Answer: Sendable {
        /// DISCONNECT with this reason and a close; below MQTT 5 the close alone.
        case end(ReasonCode)
        /// CONNACK with this reason, and a close.
        case refused(ReasonCode)
        /// A close without a word.
        case close
        /// The connection goes on; what it answers is not the row's business.
        case goesOn
    }

    let name: String
    let bytes: [UInt8]
    let answer: Answer
    var version = ProtocolVersion.v5

    init(_ name: String, _ bytes: [UInt8], _ answer: Answer, _ version: ProtocolVersion = .v5) {
        self.name = name
        self.bytes = bytes
        self.answer = answer
        self.version = version
    }

    init(_ name: String, _ text: String, _ answer: Answer, _ version: ProtocolVersion = .v5) {
        self.init(name, wire(text), answer, version)
    }

    var testDescription: String { "\(name), MQTT \(version)" }
}

extension BrokerHarness {
    /// Sends each row on a connection of its own, and after each asks whether the broker still serves a fresh client.
    ///
    /// - Parameter isConnected: Whether CONNECT comes before the row's bytes.
    func expectAnswers(to rows: [HostileInput], isConnected: Bool, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for row in rows {
            do {
                let client = try await open(version: row.version)
                if isConnected { try await client.connect("hostile") }
                client.send(bytes: row.bytes)
                switch row.answer {
                case .end(let reason): try await client.expectEnd(reason)
                case .close: try await client.expectClose()
                case .refused(let reason):
                    let answer = try await client.first("CONNACK") { if case .connAck(let answer) = $0 { answer } else { nil } }
                    #expect(answer.reason == reason, "\(row.name)", sourceLocation: sourceLocation)
                    try await client.expectClose()
                case .goesOn:
                    if isConnected { try await client.ping() }
                    await client.close()
                }
                try await expectHealthy()
            } catch {
                Issue.record("\(row.testDescription): \(error)", sourceLocation: sourceLocation)
            }
        }
    }
}
