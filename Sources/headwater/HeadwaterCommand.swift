import ArgumentParser

/// The program `headwater`: a subcommand for each thing one does with a broker.
struct HeadwaterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "headwater",
        abstract: "An MQTT broker with a bridge to Kafka inside.",
        discussion: """
            Try it out, in two terminals:
              headwater run
              headwater sub -t 'hello/#' -v      (and in a third: headwater pub -t hello/world -m hi)

            Exit codes: 0 all went well; 1 it did not, and stderr says why; 64 the command line is wrong. `pub` and `sub` \
            end with the CONNACK code when the broker refuses them, and with 27 when their time is over.
            """,
        version: Version.current,
        subcommands: [
            RunCommand.self, CheckCommand.self, PubCommand.self, SubCommand.self, AclCommand.self, PasswdCommand.self, DbCommand.self,
            BridgeCommand.self, DevKafkaCommand.self, HealthCommand.self,
        ])
}
