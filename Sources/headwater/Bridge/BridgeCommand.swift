import ArgumentParser

/// `headwater bridge`: what an operator does with the Kafka bridge of a running broker.
struct BridgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bridge",
        abstract: "Watch and operate the Kafka bridge of a running broker.",
        discussion: """
            Talks to the broker's HTTP (http.address; 127.0.0.1:9883 if nothing else is said), where metrics and health are too. \
            docs/bridge-operations.md tells what the figures mean and what to do when they look wrong.

            Examples:
              headwater bridge status
              headwater bridge pause telemetry
              headwater bridge dry-run telemetry --count 3
              headwater bridge dead-letters list telemetry
              headwater bridge dead-letters resend telemetry 17 18 -c headwater.yaml

            Exit codes: 0 all was done; 1 it was not, or there is no broker, and stderr says why; 64 the command line is wrong.
            """,
        subcommands: [
            BridgeStatusCommand.self, BridgePauseCommand.self, BridgeResumeCommand.self, BridgeDryRunCommand.self, BridgeDeadLettersCommand.self,
        ])
}
