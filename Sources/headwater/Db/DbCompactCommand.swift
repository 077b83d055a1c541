import ArgumentParser
import Storage

/// `headwater db compact`: gives the disk back what a backlog has left.
struct DbCompactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact",
        abstract: "Write a store anew without its free pages; the broker must be stopped.",
        discussion: """
            The file of a store never shrinks by itself: room that a backlog has taken is used again, but stays with the file. \
            This writes a smaller file beside it, checks it, and puts it in its place. It needs room for both.

            Example: headwater db compact --store /var/lib/headwater

            Exit codes: 0 done; 1 not done, and the store is as it was.
            """)

    @OptionGroup var store: StoreArgument

    func run() async throws {
        let done = try StoreArgument.orExit { () throws(StoreFault) in
            try StoreMaintenance(directory: store.store).compact(progress: StoreArgument.progress)
        }
        for alarm in done.alarms { StandardStreams.complain(alarm) }
        StandardStreams.print("\(store.store): \(StoreArgument.byteText(done.before)) before, \(StoreArgument.byteText(done.after)) now")
    }
}
