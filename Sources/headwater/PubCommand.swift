import ArgumentParser
import MQTTModel
import MQTTWire

/// `headwater pub`: publishes, with the main options of mosquitto_pub.
struct PubCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pub",
        abstract: "Publish messages.",
        discussion: """
            Options have the names and meanings of mosquitto_pub; MQTT 5 is spoken unless -V says otherwise.

            Examples:
              headwater pub -t home/kitchen/temperature -m 21.5
              headwater pub -t home/alarm -q 2 -r -f alarm.json -D publish content-type application/json
              sensor | headwater pub -t lines -q 1 -l

            Exit codes: 0 all sent and, above QoS 0, acknowledged; 1 not all; 64 the command line is wrong; otherwise the \
            CONNACK code with which the broker refused.
            """,
        helpNames: .long)

    @OptionGroup var client: ClientOptions

    @Option(name: .shortAndLong, parsing: .unconditional, help: "Topic to publish to.")
    var topic: String

    @Option(name: .shortAndLong, parsing: .unconditional, help: "Payload.")
    var message: String?

    @Option(name: .shortAndLong, parsing: .unconditional, help: "File whose contents are the payload.")
    var file: String?

    @Flag(name: [.customShort("n"), .customLong("null-message")], help: "An empty payload.")
    var isEmpty = false

    @Flag(name: [.customShort("s"), .customLong("stdin-file")], help: "All of stdin is the payload.")
    var isWholeInput = false

    @Flag(name: [.customShort("l"), .customLong("stdin-line")], help: "Each line of stdin is a payload.")
    var isLines = false

    @Flag(name: .shortAndLong, help: "Messages are retained.")
    var retain = false

    @Option(name: [.customShort("M"), .customLong("max-inflight")], help: "QoS 1 and 2: messages sent ahead of their acknowledgement.")
    var maxInflight = 20

    @Option(name: .customLong("repeat"), help: "Publish this many times (with -m, -f, -n or -s).")
    var repeatCount = 1

    @Option(help: ArgumentHelp("Wait between repetitions.", valueName: "seconds"))
    var repeatDelay = 0.0

    func validate() throws {
        try TopicArgumentCheck.name(topic, option: "-t")
        let sources = [message != nil, file != nil, isEmpty, isWholeInput, isLines].filter { $0 }.count
        if sources != 1 { throw ValidationError("one of -m, -f, -n, -s and -l says what to publish") }
        if repeatCount < 1 { throw ValidationError("--repeat is at least 1") }
        if isLines, repeatCount != 1 { throw ValidationError("--repeat does not go with -l") }
        if !(0...86_400).contains(repeatDelay) { throw ValidationError("--repeat-delay is a number of seconds") }
        if !(1...65_535).contains(maxInflight) { throw ValidationError("-M is a number from 1 to 65535") }
    }

    func run() async throws {
        try await ClientFailure.reported(quiet: client.quiet) {
            let payload = try payload()
            let properties = try client.properties()
            var disconnect = Disconnect()
            properties.apply(to: &disconnect)
            let session = ClientSession(
                options: client, connect: try client.connect(password: try client.readPassword()), disconnect: disconnect,
                secondsAllowed: nil)
            let publisher = Publisher(session: session, maxInflight: maxInflight)
            var publish = Publish(topic: topic, payload: payload ?? [], qos: QoS(argument: client.qos) ?? .atMostOnce, retain: retain)
            properties.apply(to: &publish)
            let message = publish
            let ending = try await session.run { writer, connAck in
                try publisher.begin(connAck, message)
                if payload == nil {
                    for await line in StandardInputLines() {
                        var next = message
                        next.payload = line
                        try await publisher.publish(next, writer)
                    }
                } else {
                    for round in 1...repeatCount {
                        if round > 1, repeatDelay > 0 { try await Task.sleep(for: .seconds(repeatDelay)) }
                        try await publisher.publish(message, writer)
                    }
                }
                try await publisher.finish()
            } receive: { packet, writer in
                try await publisher.received(packet, writer)
                return true
            }
            if case .signal = ending { throw ExitCode(1) }
        }
    }

    /// `nil` where the payloads are the lines of stdin.
    private func payload() throws -> [UInt8]? {
        if isLines { return nil }
        if let message { return Array(message.utf8) }
        if isEmpty { return [] }
        let maxBytes = 268_435_455
        let bytes = if let file { InputFile.read(file, maxBytes: maxBytes) } else { InputFile.read(0, maxBytes: maxBytes) }
        guard let bytes else { throw ClientFault.input("\(file ?? "stdin") can't be read, or is larger than a message may be") }
        return bytes
    }
}
