import Encodings

/// A topic name that has been checked (MQTT 5.0 section 4.7): not empty, valid UTF-8, no wildcard, at most
/// 65,535 bytes.
public struct TopicName: Hashable, Sendable, CustomStringConvertible {
    public var string: String { text.string }
    private let text: ExactText

    /// - Throws: `TopicError` when the text is no topic name.
    public init(_ string: String) throws(TopicError) {
        var string = string
        let error = string.withUTF8 { Self.check(UnsafeRawBufferPointer($0)) }
        if let error { throw error }
        text = ExactText(string)
    }

    public var description: String { string }

    /// Checks the bytes of a PUBLISH. `nil` says that they are a topic name.
    public static func check(_ bytes: UnsafeRawBufferPointer) -> TopicError? {
        if bytes.isEmpty { return .empty }
        if bytes.count > 65_535 { return .tooLong }
        for byte in bytes where byte == UInt8(ascii: "#") || byte == UInt8(ascii: "+") { return .wildcardInName }
        return MQTTString.isValid(bytes) ? nil : .invalidUTF8
    }

    /// Number of levels, separated by `/`.
    public static func levelCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        var levels = 1
        for byte in bytes where byte == UInt8(ascii: "/") { levels += 1 }
        return levels
    }
}

/// Why a text is no topic name or topic filter. Wrong is whoever sent it: a peer or the author of a configuration.
public enum TopicError: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    case tooLong
    case invalidUTF8
    case wildcardInName
    case misplacedWildcard
    case invalidShareName
    case tooManyLevels

    public var description: String {
        switch self {
        case .empty: "is empty"
        case .tooLong: "is longer than 65,535 bytes"
        case .invalidUTF8: "is not valid UTF-8 without U+0000"
        case .wildcardInName: "holds a wildcard, which only a topic filter may"
        case .misplacedWildcard: "has a wildcard out of place: + fills a whole level, # the whole last level"
        case .invalidShareName: "is not $share/NAME/FILTER with a name without / + #"
        case .tooManyLevels: "has more levels than the server allows"
        }
    }
}
