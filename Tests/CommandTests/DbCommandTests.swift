import ArgumentParser
import Foundation
import Storage
import Testing

@testable import headwater_cli

@Suite struct DbCommandTests {
    @Test("each subcommand takes the store's directory, and some a file")
    func arguments() throws {
        let check = try #require(try HeadwaterCommand.parseAsRoot(["db", "check", "--store", "s", "b.mdb"]) as? DbCheckCommand)
        #expect(check.store.store == "s" && check.file == "b.mdb")
        let stats = try #require(try HeadwaterCommand.parseAsRoot(["db", "stats", "--store", "s", "--json"]) as? DbStatsCommand)
        #expect(stats.json)
        let backup = try #require(try HeadwaterCommand.parseAsRoot(["db", "backup", "--store", "s"]) as? DbBackupCommand)
        #expect(backup.file == nil)
        #expect(try HeadwaterCommand.parseAsRoot(["db", "compact", "--store", "s"]) is DbCompactCommand)
        let restore = try #require(try HeadwaterCommand.parseAsRoot(["db", "restore", "--store", "s", "f"]) as? DbRestoreCommand)
        #expect(restore.file == "f")
    }

    @Test(
        "a wrong command line ends with 64",
        arguments: [
            ["db", "check"], ["db", "stats", "--store", ""], ["db", "compact", "--store", "s", "file"], ["db", "mend", "--store", "s"],
            ["db", "backup", "--store", "s", ""],
        ])
    func wrong(arguments: [String]) {
        do {
            _ = try HeadwaterCommand.parseAsRoot(arguments)
            #expect(Bool(false), "accepted")
        } catch {
            #expect(HeadwaterCommand.exitCode(for: error).rawValue == 64)
        }
    }

    @Test("what is not there ends with 1", arguments: ["check", "stats", "backup", "compact", "restore"])
    func missing(subcommand: String) async throws {
        let command = try HeadwaterCommand.parseAsRoot(["db", subcommand, "--store", "/nonexistent/store"])
        let exit = await #expect(throws: ExitCode.self) {
            var command = try #require(command as? any AsyncParsableCommand)
            try await command.run()
        }
        #expect(exit == ExitCode(1))
    }

    @Test("a client's identifier reaches the terminal without its control characters")
    func clientID() {
        var figures = StoreFigures.sample
        figures.backlogs = [.init(clientID: "a\u{1B}[2Jb", tenant: "", messages: 3, bytes: 2_048)]
        #expect(DbStatsCommand.lines(figures).last == "  3 messages, 2.0 KiB: a?[2Jb")
    }

    @Test("sizes are told in the unit that fits")
    func sizes() {
        #expect(
            [0, 1_023, 1_536, 64 << 30, 1 << 50].map(StoreArgument.byteText) == ["0 B", "1023 B", "1.5 KiB", "64.0 GiB", "1024.0 TiB"])
    }
}

extension StoreFigures {
    static var sample: StoreFigures {
        let json = """
            {"directory": "s", "lastTransaction": 1, "sessions": 1, "subscriptions": 0, "queuedMessages": 3, "queuedBytes": 9,
             "endedSessions": 0, "backlogs": [], "outboxes": [], "retainedMessages": 0, "messagesStoredOnce": 0, "unfinishedExactlyOnce": 0,
             "fileBytes": 1, "diskBytes": 1, "mapBytes": 1, "pageBytes": 4096, "usedPages": 1, "freePages": 0, "unreadableRecords": 0}
            """
        return try! JSONDecoder().decode(StoreFigures.self, from: Data(json.utf8))
    }
}
