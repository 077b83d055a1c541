import ArgumentParser
import Security

/// `headwater acl test`: holds rules against a file of what they should say.
struct AclTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Hold an ACL file against a file of expectations.",
        discussion: """
            An expectation is a line: allow|deny USER|- CLIENT read|write|subscribe [tenant=NAME] [qos=N] [retain=yes] TOPIC. \
            A # in the first column begins a comment. What is not as expected is printed with the line that decides.

            Example: headwater acl test acl/examples/extended/groups.acl acl/examples/extended/groups.expect

            Exit codes: 0 everything is as expected; 1 something is not, or a file can't be read; 64 the command line is wrong.
            """)

    @Argument(help: ArgumentHelp("The ACL file.", valueName: "rules"))
    var rules: String

    @Argument(help: ArgumentHelp("The file of expectations.", valueName: "expectations"))
    var expectations: String

    func run() async throws {
        let policy = ACLPolicy(try AclCommand.load(rules))
        let expectations = try AclCommand.expectations(expectations)
        let missed = expectations.cases.compactMap { policy.disappointment($0, in: expectations) }
        StandardStreams.complain(lines: missed.flatMap { $0 })
        StandardStreams.print("\(expectations.cases.count - missed.count) of \(expectations.cases.count) as expected")
        // A file without cases proves nothing, and is more likely the wrong file.
        if !missed.isEmpty || expectations.cases.isEmpty { throw ExitCode(1) }
    }
}
