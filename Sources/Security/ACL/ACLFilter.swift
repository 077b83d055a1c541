import MQTTModel

/// The filters of rules: what Mosquitto accepts (`mosquitto_sub_topic_check`), and in addition valid UTF-8.
enum ACLFilter {
    /// As in Mosquitto; this many separators are one level more.
    static let maximumSeparators = 200
    static let maximumBytes = 65_535

    /// What is wrong with a filter and how to mend it; `nil` for nothing.
    static func fault(in bytes: ArraySlice<UInt8>) -> String? {
        if bytes.isEmpty { return "the topic filter is missing" }
        let shown = ShownText.quoted(bytes)
        if bytes.count > maximumBytes {
            return "the topic filter has \(bytes.count) bytes, and no topic has more than \(maximumBytes); shorten it"
        }
        if !bytes.withUnsafeBytes({ MQTTString.isValid($0) }) {
            return "\(shown) is not valid UTF-8, so that no topic could match it; save the file as UTF-8"
        }
        var separators = 0
        for index in bytes.indices {
            let before = index == bytes.startIndex ? nil : bytes[index - 1]
            let after = index + 1 == bytes.endIndex ? nil : bytes[index + 1]
            switch bytes[index] {
            case UInt8(ascii: "/"):
                separators += 1
            case UInt8(ascii: "+") where !(isBoundary(before) && isBoundary(after)):
                return "\(shown) has a + that does not fill a level; write the level out or + alone between slashes"
            case UInt8(ascii: "#") where !(isBoundary(before) && after == nil):
                return "\(shown) has a # that is not the whole last level; end the filter with /#"
            default:
                break
            }
        }
        if separators > maximumSeparators {
            return "the topic filter has \(separators + 1) levels, more than \(maximumSeparators + 1); use # for the rest"
        }
        return nil
    }

    private static func isBoundary(_ byte: UInt8?) -> Bool { byte == nil || byte == UInt8(ascii: "/") }

    /// Whether a level of a filter is a variable. Values are given by the caller, `nil` for "it is literal".
    static func variable(_ level: ArraySlice<UInt8>, _ variables: ACLRule.Variables) -> ACLVariable? {
        guard variables != .none, level.count == 2, level.first == UInt8(ascii: "%") else { return nil }
        switch level[level.startIndex + 1] {
        case UInt8(ascii: "c"): return .clientID
        case UInt8(ascii: "u"): return .username
        case UInt8(ascii: "t") where variables == .all: return .tenant
        default: return nil
        }
    }
}

/// What a level of a filter may stand for.
enum ACLVariable: UInt8, CaseIterable {
    case clientID = 0
    case username = 1
    case tenant = 2

    /// In a set of variables.
    var bit: UInt8 { 1 << rawValue }
}
