import MQTTModel
import MQTTWire

/// MQTT 5 properties from `-D COMMAND NAME VALUE`, in Mosquitto's words. `user-property` has two values.
struct PropertyArguments {
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    private struct Property {
        let command: String
        let name: String
        let value: String
        /// The second value of a user property.
        let second: String
    }
    private var properties: [Property] = []

    private enum Kind {
        case text
        case number(ClosedRange<UInt32>)
        case pair
    }
    private static let bit = Kind.number(0...1)
    private static let short = Kind.number(0...65_535)
    private static let long = Kind.number(0...UInt32.max)
    private static let message: [String: Kind] = [
        "content-type": .text, "correlation-data": .text, "message-expiry-interval": long, "payload-format-indicator": bit,
        "response-topic": .text, "user-property": .pair,
    ]
    private static let commands: [String: [String: Kind]] = [
        "connect": [
            "authentication-data": .text, "authentication-method": .text, "maximum-packet-size": .number(1...UInt32.max),
            "receive-maximum": .number(1...65_535), "request-problem-information": bit, "request-response-information": bit,
            "session-expiry-interval": long, "topic-alias-maximum": short, "user-property": .pair,
        ],
        "publish": message.merging(["topic-alias": .number(1...65_535)]) { $1 },
        "will": message.merging(["will-delay-interval": long]) { $1 },
        "subscribe": ["subscription-identifier": .number(1...268_435_455), "user-property": .pair],
        "unsubscribe": ["user-property": .pair],
        "disconnect": ["session-expiry-interval": long, "user-property": .pair],
    ]

    /// - Parameter words: What stood behind all `-D`, one after another.
    init(_ words: [String]) throws(Fault) {
        var rest = words[...]
        while let command = rest.popFirst() {
            guard let names = Self.commands[command] else {
                throw Fault(
                    description: "-D: unknown command \"\(command)\"; commands are \(Self.commands.keys.sorted().joined(separator: ", "))")
            }
            guard let name = rest.popFirst(), let kind = names[name] else {
                throw Fault(description: "-D \(command): expected one of \(names.keys.sorted().joined(separator: ", "))")
            }
            guard let value = rest.popFirst() else { throw Fault(description: "-D \(command) \(name) needs a value") }
            var second = ""
            switch kind {
            case .text: break
            case .number(let range):
                guard let number = UInt32(value), range.contains(number) else {
                    throw Fault(description: "-D \(command) \(name) is a number from \(range.lowerBound) to \(range.upperBound)")
                }
            case .pair:
                guard let next = rest.popFirst() else { throw Fault(description: "-D \(command) \(name) needs a name and a value") }
                second = next
            }
            properties.append(Property(command: command, name: name, value: value, second: second))
        }
    }

    func apply(to connect: inout Connect) {
        connect.userProperties = userProperties("connect")
        connect.authenticationMethod = text("connect", "authentication-method")
        connect.authenticationData = text("connect", "authentication-data").map { Array($0.utf8) }
        connect.maximumPacketSize = number("connect", "maximum-packet-size")
        connect.receiveMaximum = number("connect", "receive-maximum").map(UInt16.init)
        connect.topicAliasMaximum = number("connect", "topic-alias-maximum").map(UInt16.init) ?? 0
        connect.requestProblemInformation = number("connect", "request-problem-information") != 0
        connect.requestResponseInformation = number("connect", "request-response-information") == 1
        if let seconds = number("connect", "session-expiry-interval") { connect.sessionExpirySeconds = seconds }
        connect.will?.properties = message("will")
        connect.will?.expirySeconds = number("will", "message-expiry-interval")
        connect.will?.delaySeconds = number("will", "will-delay-interval") ?? 0
    }

    func apply(to publish: inout Publish) {
        publish.properties = message("publish")
        publish.expirySeconds = number("publish", "message-expiry-interval")
        publish.topicAlias = number("publish", "topic-alias").map(UInt16.init) ?? 0
    }

    func apply(to subscribe: inout Subscribe) {
        subscribe.userProperties = userProperties("subscribe")
        subscribe.subscriptionID = number("subscribe", "subscription-identifier")
    }

    func apply(to unsubscribe: inout Unsubscribe) { unsubscribe.userProperties = userProperties("unsubscribe") }

    func apply(to disconnect: inout Disconnect) {
        disconnect.userProperties = userProperties("disconnect")
        disconnect.sessionExpirySeconds = number("disconnect", "session-expiry-interval")
    }

    private func message(_ command: String) -> PublishProperties {
        PublishProperties(
            payloadIsUTF8: number(command, "payload-format-indicator").map { $0 == 1 }, contentType: text(command, "content-type"),
            responseTopic: text(command, "response-topic"), correlationData: text(command, "correlation-data").map { Array($0.utf8) },
            userProperties: userProperties(command))
    }

    /// The last one counts.
    private func text(_ command: String, _ name: String) -> String? {
        properties.last { $0.command == command && $0.name == name }?.value
    }

    private func number(_ command: String, _ name: String) -> UInt32? { text(command, name).flatMap { UInt32($0) } }

    private func userProperties(_ command: String) -> [UserProperty] {
        properties.filter { $0.command == command && $0.name == "user-property" }.map { UserProperty($0.value, $0.second) }
    }
}
