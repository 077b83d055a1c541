import Foundation
import Testing

@testable import LMDB

@Suite("The page verifier")
struct PageVerifierTests {
    let scratch = Scratch()

    func summary(_ verdict: PageVerifier.Verdict) throws -> PageVerifier.Summary {
        guard case .intact(let summary) = verdict else {
            Issue.record("\(verdict)")
            throw CancellationError()
        }
        return summary
    }

    @Test("finds nothing wrong with what LMDB writes, and every page accounted for", arguments: 1...12)
    func intact(seed: Int) throws {
        let path = scratch.path("data")
        let contents = try SampleFile.make(at: path, scale: seed, seed: UInt64(seed))
        var seen: [String: [[UInt8]: [UInt8]]] = [:]
        let found = try summary(
            PageVerifier.verify(path: path) { name, key, value in
                seen[name, default: [:]][Array(key)] = Array(value)
                return true
            })
        #expect(seen["large"] == contents[0] && seen["small"] == contents[1])
        #expect(found.entries == ["large": UInt64(contents[0].count), "small": UInt64(contents[1].count)])
        #expect(found.incompleteDatabases.isEmpty)
        #expect(found.unclaimedPages == 0)
        let environment = try SampleFile.open(path)
        #expect(found.lastPage == UInt64(environment.info.lastPage))
        #expect(found.lastTransactionID == environment.info.lastTransactionID)
        #expect(found.pageSize == environment.pageSize)
        #expect(found.freePages == (try environment.freePages(in: environment.beginRead())))
        #expect(found.freePages > 0)
        #expect(try summary(PageVerifier.verify(path: path)) == found)
        for compacting in [false, true] {
            let copy = scratch.path("copy-\(compacting)")
            try environment.copy(to: copy, compacting: compacting)
            let copied = try summary(PageVerifier.verify(path: copy))
            #expect(copied.entries == found.entries)
            #expect(copied.freePages == (compacting ? 0 : found.freePages))
        }
    }

    @Test("takes a fresh file and an emptied database")
    func empty() throws {
        let path = scratch.path("data")
        let environment = try SampleFile.open(path)
        #expect(try summary(PageVerifier.verify(path: path)).entries == [:])
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        #expect(try summary(PageVerifier.verify(path: path)).entries == ["one": 0])
        for number in [1, 2] {
            var transaction = try environment.beginWrite()
            try transaction.set(key(number), key(number), in: database)
            try transaction.commit()
        }
        var transaction = try environment.beginWrite()
        try transaction.dropAll(in: database)
        try transaction.commit()
        #expect(try summary(PageVerifier.verify(path: path)).entries == ["one": 0])
    }

    @Test("takes a value that has become small in the transaction that wrote it large")
    func shrunken() throws {
        let path = scratch.path("data")
        let environment = try SampleFile.open(path)
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        var transaction = try environment.beginWrite()
        try transaction.set(key(1), [UInt8](repeating: 1, count: 20_000), in: database)
        try transaction.set(key(1), [], in: database)
        try transaction.commit()
        let found = try summary(PageVerifier.verify(path: path) { _, _, value in value.isEmpty })
        #expect(found.entries == ["one": 1])
    }

    @Test("tells a missing, an empty and a foreign file apart")
    func strangers() throws {
        let path = scratch.path("data")
        #expect(PageVerifier.verify(path: path) == .unreadable(String(cString: strerror(ENOENT))))
        try store([], path)
        #expect(PageVerifier.verify(path: path) == .damaged(page: nil, what: "the file is empty"))
        try store([UInt8](repeating: 0x20, count: 100_000), path)
        #expect(PageVerifier.verify(path: path) == .foreign("not an LMDB file"))
        try FileManager.default.removeItem(atPath: path)
        try SampleFile.make(at: path)
        var bytes = try load(path)
        bytes[20] = 2
        try store(bytes, path)
        #expect(PageVerifier.verify(path: path) == .foreign("version 2 of LMDB's file format"))
        bytes.replaceSubrange(0..<512, with: [UInt8](repeating: 0, count: 512))
        try store(bytes, path)
        #expect(PageVerifier.verify(path: path) == .damaged(page: 0, what: "no LMDB meta page"))
    }

    @Test("stops with a budgeted database when its time is up, and never with another")
    func budget() throws {
        let path = scratch.path("data")
        let contents = try SampleFile.make(at: path, scale: 10)
        var seen: [String: Int] = [:]
        let options = PageVerifier.Options(budget: .zero, databasesWithBudget: ["small", "unknown"])
        let found = try summary(
            PageVerifier.verify(path: path, options: options) { name, _, _ in
                seen[name, default: 0] += 1
                return true
            })
        #expect(found.incompleteDatabases == ["small"])
        #expect(found.unclaimedPages == nil)
        #expect(seen["large"] == contents[0].count)
        #expect(seen["small"] ?? 0 < contents[1].count)
        let generous = PageVerifier.Options(budget: .seconds(100), databasesWithBudget: ["small"])
        #expect(try summary(PageVerifier.verify(path: path, options: generous)).incompleteDatabases == [])
    }

    @Test("says damaged when the caller doesn't know an entry")
    func record() throws {
        let path = scratch.path("data")
        try SampleFile.make(at: path)
        let verdict = PageVerifier.verify(path: path) { name, _, _ in name != "large" }
        guard case .damaged(_, "an entry of large isn't what was written") = verdict else {
            Issue.record("\(verdict)")
            return
        }
    }
}
