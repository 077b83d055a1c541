import Foundation
import MQTTModel
import NIOCore

/// A message as the journal has it. JSON, since topics and client identifiers may hold any character.
public struct JournalLine: Codable, Sendable, Equatable {
    /// When the broker received it, in milliseconds since 1970-01-01 UTC.
    public let received: Int64
    /// The publisher's client identifier.
    public let client: String?
    public let topic: String
    /// Base64 in JSON: a payload may hold any byte.
    public let payload: Data

    init(_ message: Message) {
        received = message.received.unixMilliseconds
        client = message.publisher?.clientID
        topic = message.topic
        payload = Data(message.payload.readableBytesView)
    }

    /// Lines for `messages`, each with its end.
    static func encode(_ messages: [Message]) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var lines = Data()
        for message in messages {
            lines.append(try encoder.encode(JournalLine(message)))
            lines.append(UInt8(ascii: "\n"))
        }
        return lines
    }
}
