import ArgumentParser
import Storage

/// `headwater db restore`: puts a backup in the place of a store.
struct DbRestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Put a backup in the place of a store; the broker must be stopped.",
        discussion: """
            Checks the backup first. What is in the store now is not deleted but moved to a dated directory beside it. What came \
            after the backup is not in the store afterwards.

            Examples:
              headwater db restore --store /var/lib/headwater
              headwater db restore --store /var/lib/headwater /backup/headwater.mdb

            Exit codes: 0 done; 1 not done, and the store is as it was.
            """)

    @OptionGroup var store: StoreArgument

    @Argument(help: "The backup. (default: backup.mdb in the store's directory)")
    var file: String?

    func run() async throws {
        let place = try StoreArgument.orExit { () throws(StoreFault) in
            try StoreMaintenance.restore(from: file, in: store.store)
        }
        StandardStreams.print("\(store.store): restored from \(file ?? "its backup"); what was there is in \(place)")
    }
}
