import ArgumentParser
import Foundation

/// `headwater bridge dead-letters`: records that Kafka would not take and the broker has kept.
struct BridgeDeadLettersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters",
        abstract: "Look through the dead letters that the broker keeps, send them again, or drop them.",
        discussion: """
            A record that can never be sent leaves the outbox, so that those behind it go on: to the route's dead-letter topic, or, where \
            there is none or Kafka refuses that too, to the broker's store. These commands are about the latter. Mend the cause first; \
            then resend.

            Examples:
              headwater bridge dead-letters list telemetry
              headwater bridge dead-letters show telemetry 17
              headwater bridge dead-letters resend telemetry 17 18
              headwater bridge dead-letters resend telemetry --all --topic telemetry.repaired
              headwater bridge dead-letters drop telemetry --all

            Exit codes: 0 all was done; 1 something was not, and stderr says what; 64 the command line is wrong.
            """,
        subcommands: [
            DeadLettersListCommand.self, DeadLettersShowCommand.self, DeadLettersResendCommand.self, DeadLettersDropCommand.self,
        ])

    struct Letter: Decodable {
        let sequence: UInt64
        let reason: String?
        let error: String?
        let topic: String?
        let mqttTopic: String?
        let client: String?
        let died: Int64?
        let valueBytes: Int
    }
}

/// `headwater bridge dead-letters list`
struct DeadLettersListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List a route's dead letters, oldest first.",
        discussion: """
            Example: headwater bridge dead-letters list telemetry --count 20 --after 17

            Exit codes: 0 listed, be it none; 1 there is no such route, it has no outbox, or no broker answers; 64 the command line is wrong.
            """)

    @OptionGroup var connection: BridgeConnection
    @Argument(help: "Name of the route.") var route: String
    @Option(help: "At most so many: 1 to 1000.") var count = 100
    @Option(help: "Only those behind this sequence number.") var after: UInt64?

    func validate() throws {
        if !(1...1_000).contains(count) { throw ValidationError("--count is a number from 1 to 1000") }
    }

    struct Listing: Decodable {
        let kept: Int
        let deadLetters: [BridgeDeadLettersCommand.Letter]
        let damaged: [UInt64]
        let nextAfter: UInt64?
    }

    func run() async throws {
        let query = [("count", "\(count)")] + (after.map { [("after", "\($0)")] } ?? [])
        let answer = try await connection.get(["routes", route, "dead-letters"], query: query)
        if connection.json { _ = StandardStreams.write(answer) } else { Self.lines(try connection.decode(Listing.self, answer)).forEach(StandardStreams.print) }
    }

    static func lines(_ listing: Listing) -> [String] {
        guard listing.kept > 0 else { return ["no dead letters are kept"] }
        var table = TextTable([
            ("SEQUENCE", .right), ("DIED", .left), ("REASON", .left), ("TOPIC", .left), ("MQTT TOPIC", .left), ("CLIENT", .left),
            ("BYTES", .right), ("ERROR", .left),
        ])
        for letter in listing.deadLetters {
            table.add([
                "\(letter.sequence)", letter.died.map(BridgeTime.text) ?? "-", letter.reason ?? "-", letter.topic ?? "-", letter.mqttTopic ?? "-",
                letter.client ?? "-", "\(letter.valueBytes)", String((letter.error ?? "-").prefix(60)),
            ])
        }
        var lines = table.lines
        if !listing.damaged.isEmpty {
            lines.append("damaged, can only be dropped: \(listing.damaged.map(String.init).joined(separator: " "))")
        }
        let shown = listing.deadLetters.count + listing.damaged.count
        lines.append("\(shown) of \(listing.kept)" + (listing.nextAfter.map { shown > 0 ? "; more with --after \($0)" : "" } ?? ""))
        return lines
    }
}

/// `headwater bridge dead-letters show`
struct DeadLettersShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print one dead letter whole.",
        discussion: """
            Examples:
              headwater bridge dead-letters show telemetry 17
              headwater bridge dead-letters show telemetry 17 --value > value.bin

            Exit codes: 0 printed; 1 there is none of that number, or no broker answers; 64 the command line is wrong.
            """)

    @OptionGroup var connection: BridgeConnection
    @Argument(help: "Name of the route.") var route: String
    @Argument(help: "Sequence number, from `list`.") var sequence: UInt64
    @Flag(help: "Write the value alone, byte for byte.") var value = false

    struct Whole: Decodable {
        let sequence: UInt64
        let reason: String?
        let error: String?
        let topic: String?
        let mqttTopic: String?
        let died: Int64?
        let received: Int64
        let partition: Int?
        let key: String?
        let keyBase64: String?
        let timestamp: Int64
        let headers: [BridgeDryRunCommand.Record.Header]
        let valueBytes: Int
        let value: String?
        let valueBase64: String?
    }

    func run() async throws {
        let answer = try await connection.get(["routes", route, "dead-letters", "\(sequence)"])
        if connection.json, !value {
            _ = StandardStreams.write(answer)
            return
        }
        let letter = try connection.decode(Whole.self, answer)
        if value {
            let bytes = letter.value.map { Array($0.utf8) } ?? letter.valueBase64.flatMap { Data(base64Encoded: $0) }.map { Array($0) } ?? []
            _ = StandardStreams.write(bytes)
        } else {
            for line in Self.lines(letter) { StandardStreams.print(StandardStreams.printable(line)) }
        }
    }

    static func lines(_ letter: Whole) -> [String] {
        let key = letter.key ?? letter.keyBase64.map { "base64 \($0)" }
        return [
            "dead letter \(letter.sequence): \(letter.reason ?? "no reason"): \(letter.error ?? "")",
            "  died \(letter.died.map(BridgeTime.text) ?? "-"), received \(BridgeTime.text(letter.received)), time \(BridgeTime.text(letter.timestamp))",
            "  topic \(letter.topic ?? "none"), partition \(letter.partition.map(String.init) ?? "by key"), key \(key ?? "none")",
        ] + letter.headers.map { "  \($0.name): \($0.value ?? "base64 \($0.valueBase64 ?? "")")" } + [
            "  value, \(letter.valueBytes) bytes: \(letter.value ?? "base64 \(letter.valueBase64 ?? "")")"
        ]
    }
}
