import ArgumentParser
import Foundation
import Glibc
import KafkaBridge
import UnixSignals

/// `headwater dev-kafka`: a Kafka for trying things out, without a broker.
struct DevKafkaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev-kafka",
        abstract: "Run a Kafka for development: in memory, gone at exit.",
        discussion: """
            Prints the bootstrap address and serves until SIGINT or SIGTERM. It keeps records in memory only, isolates no \
            transactions and lets everybody in: for trying out and for tests, not for data that matters.

            Example:
              headwater dev-kafka --topic telemetry:4 --bootstrap-file /tmp/kafka &
              kcat -b "$(cat /tmp/kafka)" -L
            """)

    @Option(help: "Number of brokers, 1 to 16.")
    var brokers = 1

    @Option(help: ArgumentHelp("Write the address into this file; it is removed at the end.", valueName: "path"))
    var bootstrapFile: String?

    @Option(
        name: .customLong("topic"),
        help: ArgumentHelp("Make this topic; may be repeated. Others come into being when used.", valueName: "name:partitions"))
    var topics: [TopicArgument] = []

    func validate() throws {
        if !(1...16).contains(brokers) { throw ValidationError("--brokers is a number from 1 to 16") }
    }

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let kafka: DevelopmentKafka
        do {
            kafka = try DevelopmentKafka.start(brokers: brokers, topics: Dictionary(topics.map { ($0.name, $0.partitions) }) { $1 })
        } catch {
            StandardStreams.complain("\(error)")
            throw ExitCode(1)
        }
        defer { kafka.stop() }
        if let bootstrapFile {
            if let reason = WholeFile.write(kafka.bootstrapServers + "\n", to: bootstrapFile, mode: 0o644) {
                StandardStreams.complain("\(bootstrapFile): \(reason)")
                throw ExitCode(1)
            }
        }
        StandardStreams.print(kafka.bootstrapServers)
        StandardStreams.complain("a Kafka for development: records are in memory and gone at exit")
        for await _ in signals { break }
        if let bootstrapFile { unlink(bootstrapFile) }
    }
}

/// `NAME` or `NAME:PARTITIONS`.
struct TopicArgument: ExpressibleByArgument {
    let name: String
    let partitions: Int

    init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let name = parts.first, !name.isEmpty else { return nil }
        let count = parts.count == 2 ? Int(parts[1]) : 4
        guard let count, (1...1_000).contains(count) else { return nil }
        self.name = String(name)
        partitions = count
    }
}
