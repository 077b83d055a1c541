import Foundation
import LMDB
import MQTTModel
import Testing

@testable import Storage

/// What docs/durability.md promises of damage and of power cuts.
@Suite struct DamageTests {
    static func session(_ number: UInt64) -> SessionRecord {
        SessionRecord(number: number, tenant: "", clientID: "c\(number)", expirySeconds: 60)
    }

    /// Two sessions, of which a backup has one.
    static func make(_ directory: String, hasBackup: Bool) async throws {
        let opened = try Store.open(path: directory, options: .test, observer: Witness())
        await opened.store.writer.store([.putSession(session(1))])
        if hasBackup {
            #expect(await opened.store.close())
            _ = consume opened
            _ = try StoreMaintenance(directory: directory).backup(to: nil) { _ in }
            let again = try Store.open(path: directory, options: .test, observer: Witness())
            await again.store.writer.store([.putSession(session(2))])
            #expect(await again.store.close())
        } else {
            await opened.store.writer.store([.putSession(session(2))])
            #expect(await opened.store.close())
        }
    }

    /// Every page after the meta pages.
    static func spoil(_ path: String) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        for offset in stride(from: 8_192, to: bytes.count, by: 64) { bytes[offset] ^= 0x55 }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    static func open(_ directory: String, _ policy: StoreOptions.DamagePolicy) throws(StoreFault) -> OpenStore {
        var options = StoreOptions.test
        options.onDamage = policy
        return try Store.open(path: directory, options: options, observer: Witness())
    }

    @Test("stop: the broker does not start, and nothing is touched")
    func stop() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory, hasBackup: true)
        try Self.spoil(scratch.path("data.mdb"))
        let before = try Data(contentsOf: URL(fileURLWithPath: scratch.path("data.mdb")))
        let fault = #expect(throws: StoreFault.self) { _ = try Self.open(scratch.directory, .stop) }
        guard case .stopped(let text) = fault else { return #expect(Bool(false), "\(String(describing: fault))") }
        #expect(text.contains("data.mdb") && text.contains("store.on_damage"))
        #expect(fault?.isFinal == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.path("data.mdb"))) == before)
        #expect(!scratch.entries.contains { $0.hasPrefix("damaged-") })
    }

    @Test(
        "restore and restore-or-empty: the backup takes its place, the damaged file is kept, and an alarm says so",
        arguments: [StoreOptions.DamagePolicy.restore, .restoreOrEmpty])
    func restore(policy: StoreOptions.DamagePolicy) async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory, hasBackup: true)
        try Self.spoil(scratch.path("data.mdb"))
        let damaged = try Data(contentsOf: URL(fileURLWithPath: scratch.path("data.mdb")))
        let opened = try Self.open(scratch.directory, policy)
        #expect(opened.state.sessions.map(\.record) == [Self.session(1)])
        #expect(opened.store.alarms.count == 1)
        #expect(opened.store.alarms.first?.contains("backup") == true)
        let place = try #require(scratch.entries.first { $0.hasPrefix("damaged-") })
        #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.path(place + "/data.mdb"))) == damaged)
        #expect(scratch.entries.contains("backup.mdb"))
        #expect(try opened.store.audit().isSound)
        #expect(await opened.store.close())
    }

    @Test("restore without a good backup is stop; restore-or-empty is then empty", arguments: [false, true])
    func noBackup(hasDamagedBackup: Bool) async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory, hasBackup: hasDamagedBackup)
        try Self.spoil(scratch.path("data.mdb"))
        if hasDamagedBackup { try Self.spoil(scratch.path("backup.mdb")) }
        let fault = #expect(throws: StoreFault.self) { _ = try Self.open(scratch.directory, .restore) }
        guard case .stopped = fault else { return #expect(Bool(false), "\(String(describing: fault))") }
        #expect(!scratch.entries.contains { $0.hasPrefix("damaged-") })

        let opened = try Self.open(scratch.directory, .restoreOrEmpty)
        #expect(opened.state.sessions.isEmpty)
        #expect(opened.store.alarms.first?.contains("empty") == true)
        #expect(scratch.entries.contains { $0.hasPrefix("damaged-") })
        #expect(await opened.store.close())
    }

    @Test("empty: an empty store takes its place even if there is a backup")
    func empty() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory, hasBackup: true)
        try Self.spoil(scratch.path("data.mdb"))
        let opened = try Self.open(scratch.directory, .empty)
        #expect(opened.state.sessions.isEmpty && opened.store.alarms.count == 1)
        #expect(await opened.store.close())
    }

    @Test("a record that can't be read at the start is damage, whatever the pages look like")
    func record() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory, hasBackup: false)
        try withEnvironment(scratch.directory) { transaction, databases in
            try transaction.seal(numberKey(1), [1, 2, 3], in: databases["sessions"]!)
        }
        let fault = #expect(throws: StoreFault.self) { _ = try Self.open(scratch.directory, .stop) }
        guard case .stopped(let text) = fault else { return #expect(Bool(false), "\(String(describing: fault))") }
        #expect(text.contains("sessions"))
    }

    @Test("after a restart of the system the store is at its last synchronisation; after that of the process alone it is not taken back")
    func rollBack() async throws {
        let (scratch, crashed) = (Scratch(), Scratch())
        let opened = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        await opened.store.writer.store([.putSession(Self.session(1))])
        for number in 2...30 as ClosedRange<UInt64> { await opened.store.writer.store([.putSession(Self.session(number))]) }
        for name in ["data.mdb", "checkpoint"] { try FileManager.default.copyItem(atPath: scratch.path(name), toPath: crashed.path(name)) }
        #expect(await opened.store.close())

        var alarms: [String] = []
        let files = StoreFiles(directory: crashed.directory)
        files.rollBackAfterReboot(alarms: &alarms)
        #expect(alarms.isEmpty)
        #expect(try StoreMaintenance.check(file: files.data).records["sessions"] == 30)
        files.rollBackAfterReboot(bootID: "another", alarms: &alarms)
        #expect(alarms.count == 1 && alarms[0].contains("last synchronisation"))
        files.rollBackAfterReboot(bootID: Checkpoint.unknownBoot + "1", alarms: &alarms)
        #expect(alarms.count == 2 && alarms[1].contains("boot_id"))
        let report = try StoreMaintenance.check(file: files.data)
        #expect(report.isSound && report.records["sessions"] == nil)
        let again = try Store.open(path: crashed.directory, options: .test, observer: Witness())
        #expect(again.state.sessions.isEmpty)
        #expect(await again.store.close())
    }

    @Test("a damaged checkpoint is told, and the store is used as it is if its pages are good")
    func damagedCheckpoint() async throws {
        let scratch = Scratch()
        try await Self.make(scratch.directory, hasBackup: false)
        try Data("nonsense".utf8).write(to: URL(fileURLWithPath: scratch.path("checkpoint")))
        let opened = try Self.open(scratch.directory, .stop)
        #expect(opened.state.sessions.count == 2)
        #expect(opened.store.alarms.count == 1)
        #expect(await opened.store.close())
    }
}
