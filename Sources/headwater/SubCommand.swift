import ArgumentParser
import MQTTModel
import MQTTWire

/// `headwater sub`: subscribes and prints, with the main options of mosquitto_sub.
struct SubCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub",
        abstract: "Subscribe and print messages.",
        discussion: """
            Options have the names and meanings of mosquitto_sub; MQTT 5 is spoken unless -V says otherwise. Payloads are \
            printed as they are, each with a line end (-N: without).

            Examples:
              headwater sub -t 'home/#' -v
              headwater sub -t '$share/workers/jobs/+' -q 1 -C 10
              headwater sub -t '#' -T 'noise/#' -F '%I %t %q %x'

            -F: %t topic, %p payload, %x payload in hexadecimal, %l its length, %q QoS, %r retain, %m packet identifier, %U time \
            in seconds, %I time as RFC 3339, %C content type, %R response topic, %D correlation data, %E expiry, %P user \
            properties, %S subscription identifiers, %% a percent sign; \\n, \\t and \\\\ as in C.

            Exit codes: 0 ended by -C, -E or a signal; 27 ended by -W; 1 a failure; 64 the command line is wrong; otherwise the \
            CONNACK code with which the broker refused.
            """,
        helpNames: .long)

    @OptionGroup var client: ClientOptions

    @Option(name: .shortAndLong, parsing: .unconditionalSingleValue, help: "Topic filter to subscribe to; may be repeated.")
    var topic: [String] = []

    @Option(
        name: [.customShort("T"), .customLong("filter-out")], parsing: .unconditionalSingleValue,
        help: "Don't print topics that match this filter; may be repeated.")
    var filterOut: [String] = []

    @Option(
        name: [.customShort("U"), .customLong("unsubscribe")], parsing: .unconditionalSingleValue,
        help: "Unsubscribe from this filter first; may be repeated.")
    var unsubscribe: [String] = []

    @Option(name: [.customShort("C"), .customLong("count")], help: "End after this many messages.")
    var count: Int?

    @Option(name: [.customShort("W"), .customLong("timeout")], help: "End after this many seconds, with exit code 27.")
    var timeout: Double?

    @Flag(name: [.customShort("E"), .customLong("exit-after-subscribe")], help: "End when the subscriptions are acknowledged.")
    var endsAfterSubscribe = false

    @Flag(name: .shortAndLong, help: "Print the topic before the payload.")
    var verbose = false

    @Flag(name: [.customShort("N"), .customLong("no-eol")], help: "Print no line end after the payload.")
    var noLineEnd = false

    @Option(name: [.customShort("F"), .customLong("format")], parsing: .unconditional, help: "How to print a message; see above.")
    var format: String?

    @Flag(name: [.customShort("R"), .customLong("no-retained")], help: "Don't print messages that were retained.")
    var noRetained = false

    @Flag(help: "End when the first message comes that was not retained.")
    var retainedOnly = false

    @Flag(help: "MQTT 5: receive no messages that this client publishes.")
    var noLocal = false

    @Flag(help: "MQTT 5: keep the RETAIN flag as it was published.")
    var retainAsPublished = false

    @Option(help: ArgumentHelp("MQTT 5: when retained messages come: always, new or never.", valueName: "when"))
    var retainHandling = RetainHandlingArgument.always

    func validate() throws {
        if topic.isEmpty, unsubscribe.isEmpty { throw ValidationError("-t says what to subscribe to") }
        for filter in topic { try TopicArgumentCheck.filter(filter, option: "-t") }
        for filter in filterOut { try TopicArgumentCheck.filter(filter, option: "-T") }
        for filter in unsubscribe { try TopicArgumentCheck.filter(filter, option: "-U") }
        if let count, count < 1 { throw ValidationError("-C is at least 1") }
        if let timeout, !(timeout > 0 && timeout <= 1e9) { throw ValidationError("-W is a number of seconds above 0") }
        if noRetained, retainedOnly { throw ValidationError("-R and --retained-only leave nothing to print") }
        if let format {
            do { _ = try MessageFormat(format) } catch { throw ValidationError("-F: \(error.description)") }
        }
    }

    func run() async throws {
        try await ClientFailure.reported(quiet: client.quiet) {
            let properties = try client.properties()
            var disconnect = Disconnect()
            properties.apply(to: &disconnect)
            let session = ClientSession(
                options: client, connect: try client.connect(password: try client.readPassword()), disconnect: disconnect,
                secondsAllowed: timeout)
            let text = format ?? ((verbose ? "%t %p" : "%p") + (noLineEnd ? "" : "\\n"))
            let line = try MessageFormat(format == nil || noLineEnd ? text : text + "\\n")
            let subscriber = Subscriber(
                session: session, format: line, filterOut: try filterOut.map { try TopicFilter($0) }, count: count,
                endsAfterSubscribe: endsAfterSubscribe, skipsRetained: noRetained, retainedOnly: retainedOnly)
            var subscribe = Subscribe(
                packetID: 1,
                entries: topic.map {
                    Subscribe.Entry(
                        filter: $0, qos: QoS(argument: client.qos) ?? .atMostOnce, noLocal: noLocal, retainAsPublished: retainAsPublished,
                        retainHandling: retainHandling.value)
                })
            properties.apply(to: &subscribe)
            var unsubscription = Unsubscribe(packetID: 2, filters: unsubscribe)
            properties.apply(to: &unsubscription)
            let first: [Packet] =
                (unsubscribe.isEmpty ? [] : [.unsubscribe(unsubscription)]) + (topic.isEmpty ? [] : [.subscribe(subscribe)])
            let ending = try await session.run { writer, _ in
                for packet in first { try await session.send(packet, writer) }
                // Messages are the reader's business; the session ends with it.
                try await Task.sleep(for: .seconds(Double(Int32.max)))
            } receive: { packet, writer in
                try await subscriber.received(packet, writer)
            }
            if case .timeIsOver = ending { throw ExitCode(27) }
        }
    }
}

enum RetainHandlingArgument: String, ExpressibleByArgument, CaseIterable {
    case always, new, never

    var value: Subscribe.RetainHandling {
        switch self {
        case .always: .sendAtSubscribe
        case .new: .sendIfNew
        case .never: .doNotSend
        }
    }
}
