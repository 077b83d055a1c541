import ArgumentParser
import Foundation
import Storage

/// `headwater db`: what an operator does with a store.
struct DbCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db",
        abstract: "Check, measure, back up, compact and restore a store.",
        discussion: """
            `check`, `stats` and `backup` work while the broker runs; `compact` and `restore` need it stopped. Run them as the \
            broker's user, or as root.

            Examples:
              headwater db stats --store /var/lib/headwater
              headwater db backup --store /var/lib/headwater
              headwater db check --store /var/lib/headwater /var/lib/headwater/backup.mdb

            Exit codes: 0 all is well; 1 it is not, and stderr says why; 64 the command line is wrong.
            """,
        subcommands: [DbCheckCommand.self, DbStatsCommand.self, DbBackupCommand.self, DbCompactCommand.self, DbRestoreCommand.self])
}

/// The directory, which each of the subcommands needs.
struct StoreArgument: ParsableArguments {
    @Option(help: ArgumentHelp("Directory of the store: what store.directory names.", valueName: "directory"))
    var store: String

    func validate() throws {
        if store.isEmpty { throw ValidationError("--store needs a directory") }
    }

    /// Says why not, and ends with 1.
    static func orExit<Result>(_ body: () throws(StoreFault) -> Result) throws -> Result {
        do throws(StoreFault) {
            return try body()
        } catch {
            StandardStreams.complain(error.description)
            throw ExitCode(1)
        }
    }

    /// Tells of long jobs, as soon as they are long.
    static let progress: @Sendable (Int) -> Void = { bytes in StandardStreams.complain("\(byteText(bytes)) written so far") }

    static func byteText(_ bytes: Int) -> String {
        var value = Double(bytes)
        var unit = 0
        while value >= 1_024, unit < 4 {
            value /= 1_024
            unit += 1
        }
        return unit == 0 ? "\(bytes) B" : String(format: "%.1f %@", value, ["B", "KiB", "MiB", "GiB", "TiB"][unit])
    }
}
