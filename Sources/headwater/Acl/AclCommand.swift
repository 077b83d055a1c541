import ArgumentParser
import Security

/// `headwater acl`: what an operator does with the rules of topics.
struct AclCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acl",
        abstract: "Check, explain and test ACL files.",
        discussion: """
            An ACL file says who may read and publish which topics: Mosquitto's format, with groups, tenants and limits beside it \
            (docs/acl.md). These commands read the file alone and ask no broker.

            Examples:
              headwater acl check acl/default.acl
              headwater acl explain acl/default.acl --client pump1 --topic clients/pump1/state
              headwater acl test site.acl site.expect

            Exit codes: 0 all is well; 1 it is not, and stderr says why; 64 the command line is wrong.
            """,
        subcommands: [AclCheckCommand.self, AclExplainCommand.self, AclTestCommand.self])

    /// Reads and checks, or prints every fault and ends with 1.
    static func load(_ path: String) throws -> ACLFile {
        let contents = try bytes(of: path)
        return try orExit { () throws(ACLFileError) in try ACLFile(contents, name: path) }
    }

    static func expectations(_ path: String) throws -> ACLExpectations {
        let contents = try bytes(of: path)
        return try orExit { () throws(ACLFileError) in try ACLExpectations(contents, name: path) }
    }

    private static func bytes(of path: String) throws -> [UInt8] {
        try orExit { () throws(SecurityFault) in try SecurityFile.read(path, maxBytes: ACLFile.maximumBytes).bytes }
    }

    private static func orExit<Result, Fault: Error & CustomStringConvertible>(_ body: () throws(Fault) -> Result) throws -> Result {
        do throws(Fault) {
            return try body()
        } catch {
            // As compilers do, without the program's name: file:line: text.
            StandardStreams.complain(lines: [error.description])
            throw ExitCode(1)
        }
    }
}

extension StandardStreams {
    /// Lines to stderr as they are.
    static func complain(lines: [String]) { _ = write(Array(lines.map { $0 + "\n" }.joined().utf8), to: 2) }
}
