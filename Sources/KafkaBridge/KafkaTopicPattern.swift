/// Kafka topics that a route may write to: a name, or a pattern in which `*` stands for any text, none included.
///
/// `*` does not stop at dots or other separators: for Kafka a topic's name is one text.
public struct KafkaTopicPattern: Sendable, Hashable, CustomStringConvertible {
    /// Why a text is no pattern. Wrong is the author of the configuration.
    public enum Fault: Error, Sendable, Hashable, CustomStringConvertible {
        case empty
        /// What no Kafka topic has could never match.
        case illegalCharacter(String)

        public var description: String {
            switch self {
            case .empty: "an allowed Kafka topic is empty; write a name such as telemetry, or a pattern such as plant-*"
            case .illegalCharacter(let text):
                "the allowed Kafka topic \"\(text)\" has a character that Kafka topics can't hold: letters, digits, . _ - only, and * for any text"
            }
        }
    }

    public let text: String
    private let bytes: [UInt8]
    private static let star = UInt8(ascii: "*")

    public init(_ text: String) throws(Fault) {
        bytes = Array(text.utf8)
        if bytes.isEmpty { throw .empty }
        guard bytes.allSatisfy({ $0 == Self.star || RecordTemplate.isTopicByte($0) }) else { throw .illegalCharacter(text) }
        self.text = text
    }

    public var description: String { text }

    /// Whether `topic` is one of them. Takes at most the product of both lengths in steps.
    public func matches(_ topic: String) -> Bool {
        let name = Array(topic.utf8)
        var place = 0, pattern = 0
        var afterStar: Int?
        var retry = 0
        while place < name.count {
            if pattern < bytes.count, bytes[pattern] == Self.star {
                pattern += 1
                afterStar = pattern
                retry = place
            } else if pattern < bytes.count, bytes[pattern] == name[place] {
                pattern += 1
                place += 1
            } else if let afterStar {
                // The last star takes one character more; earlier ones need not be tried again.
                retry += 1
                place = retry
                pattern = afterStar
            } else {
                return false
            }
        }
        return bytes[pattern...].allSatisfy { $0 == Self.star }
    }
}
