import ArgumentParser
import Storage

/// `headwater db check`: reads everything and says what is wrong with it.
struct DbCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Read every page and record of a store, or of a backup, and name every fault.",
        discussion: """
            Of a store that no broker uses, and of a backup: every page, every record's checksum and form, and whether queues, \
            messages, counts and sessions agree. While a broker runs its records are read as they were at one moment, without \
            the pages, which it may be writing.

            Examples:
              headwater db check --store /var/lib/headwater
              headwater db check --store /var/lib/headwater /backup/headwater.mdb

            Exit codes: 0 no fault; 1 faults, which stderr names, or the store can't be read.
            """)

    @OptionGroup var store: StoreArgument

    @Argument(help: "A backup to check instead of the store.")
    var file: String?

    static let shownFaults = 20

    func run() async throws {
        let report = try StoreArgument.orExit { () throws(StoreFault) in
            if let file { return try StoreMaintenance.check(file: file) }
            return try StoreMaintenance(directory: store.store).check()
        }
        for line in Self.lines(report) { StandardStreams.print(line) }
        for fault in report.faults.prefix(Self.shownFaults) { StandardStreams.complain(fault) }
        if report.faultCount > Self.shownFaults { StandardStreams.complain("and \(report.faultCount - Self.shownFaults) more faults") }
        guard report.isSound else {
            StandardStreams.complain(
                "\(report.faultCount) \(report.faultCount == 1 ? "fault" : "faults"): see docs/durability.md, \"Damage\"")
            throw ExitCode(1)
        }
        StandardStreams.print("no fault")
    }

    static func lines(_ report: StoreCheckReport) -> [String] {
        var lines = report.notes.map { "note: \($0)" }
        if let pages = report.pages {
            let lost = pages.lost > 0 ? ", \(pages.lost) lost until `db compact`" : ""
            lines.append("pages: \(pages.total) of \(pages.pageBytes) bytes, \(pages.free) free\(lost)")
        }
        if !report.records.isEmpty {
            lines.append("records: " + report.records.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        }
        if report.leftoverMessages > 0 {
            lines.append("of ended sessions: \(report.leftoverMessages) queued messages, which the broker removes")
        }
        if report.leftoverRelays > 0 { lines.append("of ended sessions: \(report.leftoverRelays) records of relayed publishes, harmless") }
        return lines
    }
}
