import ArgumentParser
import Storage

/// `headwater db backup`: a copy of the store that can take its place.
struct DbBackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy a store, also while the broker runs.",
        discussion: """
            Writes the state of this moment to a new file, checks every page and record of it, and only then gives it its name: \
            the backup before stays until there is a better one. The broker goes on meanwhile. A backup in the store's directory, \
            which is the default, is also what store.on_damage: restore restores; against the loss of the disk name a file on \
            another one.

            Examples:
              headwater db backup --store /var/lib/headwater
              headwater db backup --store /var/lib/headwater /backup/headwater.mdb

            Exit codes: 0 the backup is made; 1 it is not, and the one before is as it was.
            """)

    @OptionGroup var store: StoreArgument

    @Argument(help: "The file to write. (default: backup.mdb in the store's directory)")
    var file: String?

    func validate() throws {
        if let file, file.isEmpty { throw ValidationError("the backup needs a name") }
    }

    func run() async throws {
        let made = try StoreArgument.orExit { () throws(StoreFault) in
            try StoreMaintenance(directory: store.store).backup(to: file, progress: StoreArgument.progress)
        }
        for alarm in made.alarms { StandardStreams.complain(alarm) }
        for fault in made.faults { StandardStreams.complain("copied as it is: \(fault)") }
        StandardStreams.print("\(made.file): \(made.records) records, \(StoreArgument.byteText(made.bytes)), checked")
    }
}
