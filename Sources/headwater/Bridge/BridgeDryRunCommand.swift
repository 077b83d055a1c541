import ArgumentParser

/// `headwater bridge dry-run`: what a route makes of live messages.
struct BridgeDryRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dry-run",
        abstract: "Show the Kafka records that a route makes of the messages that come now.",
        discussion: """
            Produces nothing itself and changes nothing: the route goes on as it is, and a paused one shows too. Printed are the Kafka \
            topic, partition, key, time, headers and value of each record, or why it would go to the dead letters. Try templates out \
            with it: pause the route (or give the new one a topic of its own), publish, look.

            Example: headwater bridge dry-run telemetry --count 3 --seconds 30

            Exit codes: 0 something was shown; 1 nothing was: no message came in time, there is no such route, or no broker answers; \
            64 the command line is wrong.
            """)

    @OptionGroup var connection: BridgeConnection
    @Argument(help: "Name of the route.") var route: String

    @Option(help: "End after so many messages: 1 to 1000.")
    var count = 10

    @Option(help: "End after so many seconds: 1 to 60.")
    var seconds = 10

    func validate() throws {
        if !(1...1_000).contains(count) { throw ValidationError("--count is a number from 1 to 1000") }
        if !(1...60).contains(seconds) { throw ValidationError("--seconds is a number from 1 to 60") }
    }

    struct Record: Decodable {
        struct Header: Decodable {
            let name: String
            let value: String?
            let valueBase64: String?
        }
        let outcome: String
        let reason: String?
        let error: String?
        let mqttTopic: String
        let client: String?
        let topic: String?
        let partition: Int?
        let key: String?
        let keyBase64: String?
        let timestamp: Int64?
        let headers: [Header]?
        let valueBytes: Int?
        let value: String?
        let valueBase64: String?
    }

    func run() async throws {
        let answer = try await connection.get(
            ["routes", route, "dry-run"], query: [("count", "\(count)"), ("seconds", "\(seconds)")], timeoutSeconds: seconds + 10)
        if answer.isEmpty {
            StandardStreams.complain("no message took route \(route) in \(seconds) s")
            throw ExitCode(1)
        }
        if connection.json {
            _ = StandardStreams.write(answer)
            return
        }
        for line in answer.split(separator: UInt8(ascii: "\n")) {
            for text in Self.lines(try connection.decode(Record.self, Array(line))) { StandardStreams.print(StandardStreams.printable(text)) }
        }
    }

    static func lines(_ record: Record) -> [String] {
        var lines = ["\(record.mqttTopic) of \(record.client.map { "client \($0)" } ?? "no client")"]
        if let reason = record.reason { lines.append("  \(record.outcome): \(reason): \(record.error ?? "")") }
        guard let topic = record.topic else { return lines }
        let key = record.key ?? record.keyBase64.map { "base64 \($0)" }
        lines.append("  topic \(topic), partition \(record.partition.map(String.init) ?? "by key"), key \(key ?? "none")")
        if let time = record.timestamp { lines.append("  time \(BridgeTime.text(time))") }
        for header in record.headers ?? [] { lines.append("  \(header.name): \(header.value ?? "base64 \(header.valueBase64 ?? "")")") }
        lines.append("  value, \(record.valueBytes ?? 0) bytes: \(record.value ?? "base64 \(record.valueBase64 ?? "")")")
        return lines
    }
}
