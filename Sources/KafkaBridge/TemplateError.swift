/// Why a text is no `RecordTemplate`. Wrong is the author of the configuration: the description says where and what to
/// write instead.
public struct TemplateError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Fault: Hashable, Sendable {
        case empty
        case loneDollar
        case unclosed
        case unknownPlaceholder(String)
        case level(String)
        case levelZero
        case emptySeparator
        case unexpected(String)
        case emptyUserProperty
        case payloadPath(String)
        case valuePath(String)
        case emptyHeader
        case unknownInboundPlaceholder(String)
    }

    /// Column of the fault in the template, from 1, in characters.
    public let position: Int
    public let fault: Fault

    public var description: String { "column \(position): \(advice)" }

    private var advice: String {
        switch fault {
        case .empty:
            "the template is empty; write a literal text, or for example ${topic[1]}"
        case .loneDollar:
            "a $ begins a placeholder such as ${topic}; write $$ for a dollar sign"
        case .unclosed:
            "the placeholder has no closing }"
        case .unknownPlaceholder(let name):
            "there is no placeholder ${\(name)}; there are " + Self.placeholders
        case .level(let text):
            "[\(text)] is no level; write [2] for the second level, [-1] for the last, [2...] for the second and all after it"
        case .levelZero:
            "levels count from 1: [1] is the first, [-1] the last"
        case .emptySeparator:
            "the : is followed by no separator; write for example ${topic:.}"
        case .unexpected(let text):
            "\(text) can't stand here; only ${topic} takes a [level] and a :separator"
        case .emptyUserProperty:
            "${user.} lacks the name of the user property; write for example ${user.device}"
        case .valuePath(let text):
            "\(text) is no place in a JSON value; write for example value.device.id, value.items[0].id or value[\"odd name\"]"
        case .emptyHeader:
            "${header.} lacks the name of the header; write for example ${header.device}"
        case .unknownInboundPlaceholder(let name):
            "there is no placeholder ${\(name)}; there are kafka.topic, kafka.partition, key, header.NAME, value.PATH, timestamp"
        case .payloadPath(let text):
            "\(text) is no place in a JSON payload; write for example payload.device.id, payload.items[0].id or payload[\"odd name\"]"
        }
    }

    private static let placeholders =
        "topic, topic[N], topic[N...], clientid, username, tenant, qos, retain, timestamp, user.NAME, payload.PATH"
}
