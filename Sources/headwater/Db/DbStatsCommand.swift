import ArgumentParser
import Foundation
import Storage

/// `headwater db stats`: what is in a store, and how large it is.
struct DbStatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Print what is in a store and how large it is; also while the broker runs.",
        discussion: """
            Examples:
              headwater db stats --store /var/lib/headwater
              headwater db stats --store /var/lib/headwater --json

            Exit codes: 0 printed; 1 the store can't be read.
            """)

    @OptionGroup var store: StoreArgument

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let figures = try StoreArgument.orExit { () throws(StoreFault) in try StoreMaintenance(directory: store.store).figures() }
        guard json else { return Self.lines(figures).forEach(StandardStreams.print) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        StandardStreams.print(String(decoding: try encoder.encode(figures), as: UTF8.self))
    }

    static func lines(_ figures: StoreFigures) -> [String] {
        let bytes = StoreArgument.byteText
        var lines = [
            "store: \(figures.directory), \(figures.usedBy.map { "in use by \($0)" } ?? "not in use")",
            "format: \(figures.format.map(String.init) ?? "unknown"), last transaction: \(figures.lastTransaction)",
            "sessions: \(figures.sessions), subscriptions: \(figures.subscriptions)",
            "queued: \(figures.queuedMessages) messages, \(bytes(figures.queuedBytes))",
            "stored once: \(figures.messagesStoredOnce) messages, QoS 2 not ended: \(figures.unfinishedExactlyOnce)",
            "retained: \(figures.retainedMessages) messages",
            "file: \(bytes(figures.fileBytes)), on the disk \(bytes(figures.diskBytes)); may grow to \(bytes(figures.mapBytes))",
            "pages of \(figures.pageBytes) bytes: \(figures.usedPages) used, \(figures.freePages) free",
            "last synchronisation: \(age(figures.checkpointAgeSeconds) ?? "each commit (no checkpoint)")",
            "last backup: \(age(figures.backupAgeSeconds) ?? "none in the directory")",
        ]
        if figures.endedSessions > 0 { lines.append("queues of ended sessions, not yet removed: \(figures.endedSessions)") }
        if figures.unreadableRecords > 0 {
            lines.append("records that can't be read: \(figures.unreadableRecords); `headwater db check` names them")
        }
        if !figures.backlogs.isEmpty { lines.append("longest queues:") }
        for backlog in figures.backlogs {
            lines.append("  \(backlog.messages) messages, \(bytes(backlog.bytes)): \(StandardStreams.printable(backlog.clientID))")
        }
        if !figures.outboxes.isEmpty { lines.append("outbox:") }
        for outbox in figures.outboxes { lines.append("  \(outbox.entries) entries, \(bytes(outbox.bytes)): \(StandardStreams.printable(outbox.name))") }
        return lines
    }

    private static func age(_ seconds: Int?) -> String? { seconds.map { "\($0) seconds ago" } }
}
