import Glibc
import MQTTModel
import MQTTWire

/// How `sub` prints a message: text with the placeholders of mosquitto_sub's `-F`, read once.
struct MessageFormat: Sendable {
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    private enum Part: Sendable {
        case bytes([UInt8])
        case field(Character)
    }
    private static let fields = "tpxlqrmUICRDEPS"
    private var parts: [Part] = []

    init(_ text: String) throws(Fault) {
        var literal: [UInt8] = []
        var rest = text[...]
        while let character = rest.popFirst() {
            guard character == "%" || character == "\\" else {
                literal += Array(String(character).utf8)
                continue
            }
            guard let next = rest.popFirst() else { throw Fault(description: "\(character) at the end says nothing") }
            switch (character, next) {
            case ("%", "%"), ("\\", "\\"): literal += Array(String(next).utf8)
            case ("\\", "n"): literal.append(0x0A)
            case ("\\", "t"): literal.append(0x09)
            case ("\\", "r"): literal.append(0x0D)
            case ("\\", "0"): literal.append(0)
            case ("%", _) where Self.fields.contains(next):
                if !literal.isEmpty { parts.append(.bytes(literal)) }
                literal = []
                parts.append(.field(next))
            default:
                throw Fault(
                    description: "\(character)\(next) is not known; there are % and one of \(Self.fields)%, and \\n \\t \\r \\0 \\\\")
            }
        }
        if !literal.isEmpty { parts.append(.bytes(literal)) }
    }

    func bytes(of publish: Publish) -> [UInt8] {
        var out: [UInt8] = []
        for part in parts {
            switch part {
            case .bytes(let bytes): out += bytes
            case .field("p"): out += publish.payload
            case .field("D"): out += publish.properties.correlationData ?? []
            case .field(let field): out += Array(text(field, publish).utf8)
            }
        }
        return out
    }

    private func text(_ field: Character, _ publish: Publish) -> String {
        switch field {
        case "t": publish.topic
        case "x": publish.payload.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        case "l": "\(publish.payload.count)"
        case "q": "\(publish.qos)"
        case "r": publish.retain ? "1" : "0"
        case "m": "\(publish.packetID)"
        case "U": Self.now { "\($0.tv_sec).\(String(1_000_000_000 + $0.tv_nsec).dropFirst())" }
        case "I": Self.now(LogLine.rfc3339)
        case "C": publish.properties.contentType ?? ""
        case "R": publish.properties.responseTopic ?? ""
        case "E": publish.expirySeconds.map { "\($0)" } ?? ""
        case "P": publish.properties.userProperties.map { "\($0.name):\($0.value)" }.joined(separator: " ")
        case "S": publish.subscriptionIDs.map { "\($0)" }.joined(separator: " ")
        default: ""
        }
    }

    private static func now(_ text: (timespec) -> String) -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return text(time)
    }
}
