import ArgumentParser
import Foundation

/// Which dead letters: their numbers, or all.
struct DeadLetterSelection: ParsableArguments {
    @OptionGroup var connection: BridgeConnection
    @Argument(help: "Name of the route.") var route: String
    @Argument(help: "Sequence numbers, from `list`.") var sequences: [UInt64] = []
    @Flag(help: "All of the route's.") var all = false

    func validate() throws {
        if all == !sequences.isEmpty { throw ValidationError(all ? "give either --all or sequence numbers" : "give sequence numbers, or --all") }
    }

    struct Report: Decodable {
        struct Skipped: Decodable {
            let sequence: UInt64
            let reason: String
        }
        let resent: Int?
        let dropped: Int?
        let skipped: Int
        let reasons: [Skipped]
        let stopped: String?
        let kept: Int
    }

    /// As many numbers as fit into one request.
    private static let mostInOneRequest = 400

    /// Asks, some at a time, prints what was done, and ends with 1 if something was not.
    func send(_ verb: String, topic: String? = nil) async throws {
        struct Order: Encodable {
            var all: Bool?
            var sequences: [UInt64]?
            var topic: String?
        }
        var orders = [Order(all: true, topic: topic)]
        if !all {
            orders = stride(from: 0, to: sequences.count, by: Self.mostInOneRequest).map {
                Order(sequences: Array(sequences[$0..<min($0 + Self.mostInOneRequest, sequences.count)]), topic: topic)
            }
        }
        var isWhole = true
        for order in orders {
            let answer = try await connection.post(["routes", route, "dead-letters", verb], Array(try JSONEncoder().encode(order)))
            let report = try connection.decode(Report.self, answer)
            if connection.json { _ = StandardStreams.write(answer) } else { Self.lines(report).forEach(StandardStreams.print) }
            for skipped in report.reasons { StandardStreams.complain("\(skipped.sequence): \(StandardStreams.printable(skipped.reason))") }
            if let stopped = report.stopped { StandardStreams.complain("stopped: \(stopped)") }
            if report.skipped > 0 || report.stopped != nil { isWhole = false }
        }
        if !isWhole { throw ExitCode(1) }
    }

    static func lines(_ report: Report) -> [String] {
        let done = report.resent.map { "\($0) put into the outbox again" } ?? "\(report.dropped ?? 0) dropped"
        return [done + (report.skipped > 0 ? ", \(report.skipped) not" : "") + "; \(report.kept) left"]
    }
}

/// `headwater bridge dead-letters resend`
struct DeadLettersResendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resend",
        abstract: "Put dead letters into the route's outbox again, to be sent to their Kafka topic.",
        discussion: """
            In one transaction of the store each goes from the dead letters into the outbox: none is lost or doubled, whatever happens. \
            Behind what waits there already, with its key, headers and time. Letters that never had a Kafka topic (the template gave \
            none) need --topic, and then have the payload as their value and no key. What fails again comes back here.

            Examples:
              headwater bridge dead-letters resend telemetry 17 18
              headwater bridge dead-letters resend telemetry --all

            Exit codes: 0 all are in the outbox; 1 some are not, and stderr says which and why; 64 the command line is wrong.
            """)

    @OptionGroup var selection: DeadLetterSelection
    @Option(help: "Kafka topic in place of the original one.") var topic: String?

    func run() async throws { try await selection.send("resend", topic: topic) }
}

/// `headwater bridge dead-letters drop`
struct DeadLettersDropCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop",
        abstract: "Remove dead letters for good.",
        discussion: """
            There is no way back; `show --json` or `list --json` keep a copy first.

            Example: headwater bridge dead-letters drop telemetry 17

            Exit codes: 0 they are gone; 1 some were not there, or no broker answers; 64 the command line is wrong.
            """)

    @OptionGroup var selection: DeadLetterSelection

    func run() async throws { try await selection.send("drop") }
}
