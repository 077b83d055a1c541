import ArgumentParser
import Security

/// `headwater acl check`: reads rules and says what is wrong with them.
struct AclCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Read ACL files and name every fault, and every line that may not mean what was meant.",
        discussion: """
            Example: headwater acl check /etc/headwater/site.acl

            Exit codes: 0 the broker would take the files, whatever the notes say; 1 it would not, and stderr names every fault as \
            FILE:LINE: TEXT.
            """)

    @Argument(help: ArgumentHelp("The ACL files.", valueName: "file"))
    var files: [String]

    func run() async throws {
        var isFaulty = false
        for path in files {
            do {
                for line in Self.lines(try AclCommand.load(path)) { StandardStreams.print(line) }
            } catch is ExitCode {
                isFaulty = true
            }
        }
        if isFaulty { throw ExitCode(1) }
    }

    static func lines(_ file: ACLFile) -> [String] {
        func count(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }
        func lists(_ section: ACLList.Section) -> Int { file.lists.count { $0.section == section } }
        let parts = [count(file.rules.count, "rule"), count(lists(.user), "user"), count(lists(.group), "group")]
        let total = file.rules.isEmpty ? "no rules: everything is denied" : parts.joined(separator: ", ")
        return file.notes.map { "\($0.file):\($0.line): note: \($0.message)" } + ["\(file.name): \(total)"]
    }
}
