import ArgumentParser
import ConfigFile
import Foundation

/// `headwater check`: says what a configuration means without starting anything.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check a configuration and print it complete, defaults included.",
        discussion: """
            Reads the file and the HEADWATER_ variables as `run` does, opens nothing, and prints what would be in force as \
            YAML that can be read again; secrets are hidden.

            Example: headwater check -c /etc/headwater/headwater.yaml

            Exit codes: 0 the configuration is good; 1 it is not, and stderr names every fault as FILE:LINE:COLUMN: TEXT.
            """)

    @Option(name: [.short, .customLong("config")], help: "The configuration file, YAML. Without it: the defaults.")
    var config: String?

    @Flag(name: [.short, .long], help: "Print faults only.")
    var quiet = false

    @Flag(help: "Print every option with its default, its meaning and its variable, and end.")
    var options = false

    func run() async throws {
        if options { return StandardStreams.print(OptionReference.text) }
        let configuration = try Self.load(config)
        guard !quiet else { return }
        for note in configuration.notes { StandardStreams.print("# \(note)") }
        StandardStreams.print(configuration.effectiveYAML())
    }

    /// Loads, or prints every fault and ends with 1.
    static func load(_ file: String?) throws -> HeadwaterConfiguration {
        do {
            return try HeadwaterConfiguration.load(file: file, environment: ProcessInfo.processInfo.environment)
        } catch {
            _ = StandardStreams.write(Array((error.description + "\n").utf8), to: STDERR_FILENO)
            throw ExitCode(1)
        }
    }
}
