import Foundation
import Testing

@testable import LMDB

@Suite("A checkpoint")
struct CheckpointTests {
    let scratch = Scratch()
    static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// What a power cut may leave: of each page the state of the last sync or a later one; past the synced file's end a
    /// page, zeroes or nothing.
    static func lossy(_ synced: [UInt8], _ later: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var result = synced
        let end = Int.random(in: synced.count / pageSize...later.count / pageSize, using: &generator) * pageSize
        result += [UInt8](repeating: 0, count: max(0, end - synced.count))
        let share = Int.random(in: 1...9, using: &generator)
        for start in stride(from: 0, to: result.count, by: pageSize) where Int.random(in: 0..<10, using: &generator) < share {
            result.replaceSubrange(start..<start + pageSize, with: later[start..<start + pageSize])
        }
        return result
    }

    /// Returns how many of the trials ended with exactly the content of the checkpoint.
    func trials(seed: UInt64, isPinned: Bool, commitsBefore: Int) throws -> (right: Int, of: Int) {
        var generator = SeededGenerator(seed: seed)
        let path = scratch.path("data-\(seed)-\(isPinned)")
        let side = path + "-checkpoint"
        let synced: [UInt8]
        let later: [UInt8]
        let expected: [[[UInt8]: [UInt8]]]
        do {
            let environment = try SampleFile.open(path)
            let databases = try environment.openDatabases(SampleFile.databases, createIfMissing: true)
            for round in 0..<commitsBefore { try SampleFile.change(environment, databases, round: round, scale: 3, &generator) }
            var pin: ReadTransaction? = try environment.beginRead()
            let captured = try Checkpoint.capture(environment, pinnedBy: pin!)
            #expect(captured.transactionID == environment.info.lastTransactionID)
            expected = [try pin!.all(databases[0]), try pin!.all(databases[1])]
            try environment.sync()
            try captured.write(to: side, bootID: "a boot")
            synced = try load(path)
            if !isPinned { pin = nil }
            for round in 10..<30 { try SampleFile.change(environment, databases, round: round, scale: 3, &generator) }
            later = try load(path)
            // Until here.
            _ = consume pin
        }
        guard case .intact(let checkpoint) = try Checkpoint.read(path: side) else {
            Issue.record("no checkpoint")
            return (0, 0)
        }
        #expect(checkpoint.bootID == "a boot")
        var right = 0
        let count = 20
        for trial in 0..<count {
            let cut = scratch.path("cut-\(seed)-\(isPinned)-\(trial)")
            try store(Self.lossy(synced, later, &generator), cut)
            try checkpoint.restore(into: cut)
            guard case .intact(let summary) = PageVerifier.verify(path: cut) else { continue }
            #expect(summary.lastTransactionID == checkpoint.transactionID)
            guard try SampleFile.contents(cut) == expected else { continue }
            // It is a file to go on with.
            let environment = try SampleFile.open(cut)
            let databases = try environment.openDatabases(SampleFile.databases, createIfMissing: false)
            for round in 0..<3 { try SampleFile.change(environment, databases, round: round, scale: 3, &generator) }
            guard case .intact = PageVerifier.verify(path: cut) else { continue }
            right += 1
        }
        return (right, count)
    }

    @Test("gives back its state whatever of the later writes has arrived", arguments: [0, 1, 2, 5, 6])
    func restoring(commitsBefore: Int) throws {
        let result = try trials(seed: UInt64(commitsBefore + 1), isPinned: true, commitsBefore: commitsBefore)
        #expect(result.right == result.of)
    }

    /// Shows that the test above can fail.
    @Test("without the pin it can't")
    func unpinned() throws {
        let result = try trials(seed: 3, isPinned: false, commitsBefore: 6)
        #expect(result.right < result.of)
    }

    @Test("of a fresh file gives back a fresh file")
    func fresh() throws {
        let path = scratch.path("data")
        do {
            let environment = try SampleFile.open(path)
            let pin = try environment.beginRead()
            let captured = try Checkpoint.capture(environment, pinnedBy: pin)
            #expect(captured.transactionID == 0)
            try captured.write(to: scratch.path("side"), bootID: "")
            _ = try environment.openDatabases(["one"], createIfMissing: true)
        }
        guard case .intact(let file) = try Checkpoint.read(path: scratch.path("side")) else {
            Issue.record("no checkpoint")
            return
        }
        try file.restore(into: path)
        guard case .intact(let summary) = PageVerifier.verify(path: path) else {
            Issue.record("damaged")
            return
        }
        #expect(summary.entries.isEmpty && summary.lastTransactionID == 0)
    }

    @Test("can't be captured once the writer has gone on by two")
    func tooLate() throws {
        let environment = try SampleFile.open(scratch.path("data"))
        let databases = try environment.openDatabases(SampleFile.databases, createIfMissing: true)
        let pin = try environment.beginRead()
        var generator = SeededGenerator(seed: 1)
        for round in 0..<2 { try SampleFile.change(environment, databases, round: round, scale: 1, &generator) }
        #expect(throws: LMDBError.self) { _ = try Checkpoint.capture(environment, pinnedBy: pin) }
    }

    @Test("with a changed byte, cut short or absent is told as such")
    func damagedSideFile() throws {
        let side = scratch.path("side")
        guard case .none = try Checkpoint.read(path: side) else {
            Issue.record("a file where there is none")
            return
        }
        let environment = try SampleFile.open(scratch.path("data"))
        let pin = try environment.beginRead()
        try Checkpoint.capture(environment, pinnedBy: pin).write(to: side, bootID: Checkpoint.currentBootID())
        let bytes = try load(side)
        let attributes = try FileManager.default.attributesOfItem(atPath: side)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        for offset in 0..<bytes.count where offset < 300 || offset % 97 == 0 {
            var damaged = bytes
            damaged[offset] ^= 4
            #expect(CheckpointFile(decoding: damaged) == nil)
            #expect(CheckpointFile(decoding: Array(bytes[..<offset])) == nil)
        }
        try store(Array(bytes.dropLast()), side)
        guard case .damaged = try Checkpoint.read(path: side) else {
            Issue.record("a file cut short is taken")
            return
        }
    }

    @Test("the boot ID stays the same while the system runs")
    func bootID() {
        #expect(!Checkpoint.currentBootID().isEmpty)
        #expect(Checkpoint.currentBootID() == Checkpoint.currentBootID())
        #expect(!Checkpoint.currentBootID().contains("\n"))
    }
}
