import Encodings

/// A topic filter that has been checked once (MQTT 5.0 sections 4.7 and 4.8): wildcards in their places, and for
/// `$share/NAME/FILTER` the share name apart from the filter.
public struct TopicFilter: Hashable, Sendable, CustomStringConvertible {
    /// The whole text as the client wrote it, `$share/…` included.
    public let string: String
    /// The share name of a shared subscription, else `nil`.
    public let shareName: String?
    /// The part that topics are matched with: `string` without `$share/NAME/`.
    public let pattern: String

    /// - Throws: `TopicError` when the text is no topic filter.
    public init(_ string: String) throws(TopicError) {
        var text = string
        if let error = text.withUTF8({ Self.check(UnsafeRawBufferPointer($0)) }) { throw error }
        self.string = text
        if text.utf8.starts(with: "$share/".utf8) {
            let rest = text.utf8.dropFirst(7)
            let slash = rest.firstIndex(of: UInt8(ascii: "/"))!  // check() has seen it
            shareName = String(text[rest.startIndex..<slash])
            pattern = String(text[text.utf8.index(after: slash)...])
        } else {
            shareName = nil
            pattern = text
        }
    }

    public static func == (left: TopicFilter, right: TopicFilter) -> Bool { ExactText(left.string) == ExactText(right.string) }
    public func hash(into hasher: inout Hasher) { hasher.combine(ExactText(string)) }

    public var description: String { string }
    public var isShared: Bool { shareName != nil }
    public var hasWildcard: Bool { pattern.utf8.contains { $0 == UInt8(ascii: "#") || $0 == UInt8(ascii: "+") } }
    /// Number of levels of `pattern`.
    public var levelCount: Int { pattern.utf8.reduce(1) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 } }

    /// Checks the bytes of a SUBSCRIBE. `nil` says that they are a topic filter.
    public static func check(_ bytes: UnsafeRawBufferPointer) -> TopicError? {
        if bytes.isEmpty { return .empty }
        if bytes.count > 65_535 { return .tooLong }
        guard MQTTString.isValid(bytes) else { return .invalidUTF8 }
        var pattern = bytes[...]
        let shared = Array("$share".utf8)
        if bytes.starts(with: shared), bytes.count == shared.count || bytes[shared.count] == UInt8(ascii: "/") {
            // [MQTT-4.8.2-1] a share name of at least one character; [MQTT-4.8.2-2] without / + #, then a filter
            guard bytes.count > shared.count else { return .invalidShareName }
            let rest = bytes[(shared.count + 1)...]
            guard let slash = rest.firstIndex(of: UInt8(ascii: "/")), slash > rest.startIndex else { return .invalidShareName }
            for byte in rest[..<slash] where byte == UInt8(ascii: "#") || byte == UInt8(ascii: "+") { return .invalidShareName }
            pattern = rest[(slash + 1)...]
            if pattern.isEmpty { return .invalidShareName }
        }
        var levelStart = pattern.startIndex
        for index in pattern.indices {
            switch pattern[index] {
            case UInt8(ascii: "/"):
                levelStart = index + 1
            case UInt8(ascii: "+"):  // [MQTT-4.7.1-2]
                let endsLevel = index + 1 == pattern.endIndex || pattern[index + 1] == UInt8(ascii: "/")
                if index != levelStart || !endsLevel { return .misplacedWildcard }
            case UInt8(ascii: "#"):  // [MQTT-4.7.1-1]
                if index != levelStart || index + 1 != pattern.endIndex { return .misplacedWildcard }
            default:
                break
            }
        }
        return nil
    }

    /// Whether `topic` matches (MQTT 5.0 section 4.7.1). Plain and slow: for configuration and tests; the broker
    /// routes with `TopicTree`.
    public func matches(_ topic: String) -> Bool {
        let slash = UInt8(ascii: "/")
        let levels = topic.utf8.split(separator: slash, omittingEmptySubsequences: false)
        let filters = pattern.utf8.split(separator: slash, omittingEmptySubsequences: false)
        // [MQTT-4.7.2-1] a wildcard at the first level does not match topics that begin with $
        if topic.utf8.first == UInt8(ascii: "$"), filters[0].elementsEqual("#".utf8) || filters[0].elementsEqual("+".utf8) {
            return false
        }
        for (index, filter) in filters.enumerated() {
            if filter.elementsEqual("#".utf8) { return true }
            guard index < levels.count else { return false }
            if !filter.elementsEqual("+".utf8), !filter.elementsEqual(levels[index]) { return false }
        }
        return filters.count == levels.count
    }
}
