import CLMDB
import Foundation
import Testing

@testable import LMDB

@Suite("An environment")
struct EnvironmentTests {
    let scratch = Scratch()

    func open(_ name: String = "data", mapBytes: Int = 1 << 24, isReadOnly: Bool = false) throws -> Environment {
        try Environment(path: scratch.path(name), options: .init(mapBytes: mapBytes, isSyncing: false, isReadOnly: isReadOnly))
    }

    @Test("a committed value is there after reopening")
    func reopening() throws {
        do {
            let environment = try open()
            let database = try environment.openDatabases(["one", "two"], createIfMissing: true)
            var transaction = try environment.beginWrite()
            try transaction.set(text("key"), text("value"), in: database[1])
            #expect(transaction.id == 2)
            try transaction.commit()
        }
        let environment = try open()
        let database = try environment.openDatabases(["one", "two"], createIfMissing: false)
        try environment.withRead { transaction throws(LMDBError) in
            #expect(try transaction.get(text("key"), in: database[1]) == text("value"))
            #expect(try transaction.get(text("key"), in: database[0]) == nil)
            #expect(transaction.id == 2)
        }
        #expect(environment.info.lastTransactionID == 2)
        #expect(environment.pageSize == sysconf(Int32(_SC_PAGESIZE)))
        #expect(environment.info.mapBytes == 1 << 24)
        #expect(environment.fileDescriptor >= 0)
        try environment.sync()
        #expect(try environment.clearStaleReaders() == 0)
    }

    @Test("the data file may be read by its owner only")
    func permissions() throws {
        _ = try open()
        let attributes = try FileManager.default.attributesOfItem(atPath: scratch.path("data"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test("a dropped write transaction has never been, and the next one may begin")
    func dropping() throws {
        let environment = try open()
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        do {
            var transaction = try environment.beginWrite()
            try transaction.set(text("key"), text("value"), in: database)
        }
        var transaction = try environment.beginWrite()
        #expect(try transaction.count(in: database) == 0)
        try transaction.set(text("other"), [], in: database)
        try transaction.commit()
        let read = try environment.beginRead()
        #expect(try read.all(database) == [text("other"): []])
    }

    @Test("a reader keeps its state until it is refreshed")
    func isolation() throws {
        let environment = try open()
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        var read = try environment.beginRead()
        var transaction = try environment.beginWrite()
        try transaction.set(text("key"), text("value"), in: database)
        try transaction.commit()
        #expect(try read.get(text("key"), in: database) == nil)
        try read.refresh()
        #expect(try read.get(text("key"), in: database) == text("value"))
    }

    @Test("a transaction keeps its environment open")
    func lifetime() throws {
        var environment: Environment? = try open()
        let database = try #require(try environment?.openDatabases(["one"], createIfMissing: true)[0])
        let read = try #require(environment).beginRead()
        environment = nil
        #expect(try read.count(in: database) == 0)
    }

    @Test("a value is lent where it lies in the map, of any size, and an error of the borrower comes out")
    func lending() throws {
        let environment = try open()
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        for count in [0, 1, 100, 2000, 5000, 100_000] {
            let value = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            var transaction = try environment.beginWrite()
            try key(count).withUnsafeBytes { bytes in
                try transaction.reserve(bytes, count: count, in: database) { $0.copyBytes(from: value) }
            }
            try transaction.commit()
            let read = try environment.beginRead()
            #expect(try read.get(key(count), in: database) == value)
        }
        let read = try environment.beginRead()
        #expect(throws: LMDBError.self) {
            try key(5000).withUnsafeBytes { bytes in
                _ = try read.withValue(bytes, in: database) { (_: UnsafeRawBufferPointer) throws(LMDBError) in
                    throw LMDBError(EIO, "borrow")
                }
            }
        }
    }

    @Test("a walk is ascending, begins at or after its key and ends when told")
    func scanning() throws {
        let environment = try open()
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        var transaction = try environment.beginWrite()
        #expect(try transaction.lastKey(in: database) == nil)
        for number in (0..<3000).shuffled() { try transaction.set(key(number * 2), [], in: database) }
        #expect(try transaction.lastKey(in: database) == key(5998))
        #expect(try transaction.count(in: database) == 3000)
        try transaction.commit()
        let read = try environment.beginRead()
        for (start, first) in [(0, 0), (1, 2), (2, 2), (3001, 3002)] {
            var seen: [[UInt8]] = []
            try key(start).withUnsafeBytes { bytes in
                try read.scan(database, from: bytes) { (found: UnsafeRawBufferPointer, _) throws(LMDBError) in
                    seen.append(Array(found))
                    return seen.count < 500
                }
            }
            #expect(seen == (0..<500).map { key(first + $0 * 2) })
        }
        var count = 0
        try key(6000).withUnsafeBytes { bytes in
            try read.scan(database, from: bytes) { (_, _) throws(LMDBError) in
                count += 1
                return true
            }
        }
        #expect(count == 0)
        #expect(try read.lastKey(in: database) == key(5998))
    }

    @Test("appending out of order is refused")
    func appending() throws {
        let environment = try open()
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        var transaction = try environment.beginWrite()
        try transaction.set(key(5), [], in: database, isAppending: true)
        #expect(throws: LMDBError(MDB_KEYEXIST, "put a value")) { try transaction.set(key(4), [], in: database, isAppending: true) }
    }

    @Test("deleting says whether there was something, and emptying leaves nothing")
    func deleting() throws {
        let environment = try open()
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        var transaction = try environment.beginWrite()
        for number in 0..<1000 { try transaction.set(key(number), key(number), in: database) }
        #expect(try transaction.remove(key(5), in: database))
        #expect(try !transaction.remove(key(5), in: database))
        #expect(try transaction.count(in: database) == 999)
        try transaction.dropAll(in: database)
        #expect(try transaction.count(in: database) == 0)
        try transaction.commit()
        let read = try environment.beginRead()
        #expect(try environment.freePages(in: read) > 0)
    }

    @Test("a full map is told as such, and the environment goes on")
    func full() throws {
        let environment = try open(mapBytes: 1 << 20)
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        func fill() throws {
            var transaction = try environment.beginWrite()
            for number in 0..<1000 { try transaction.set(key(number), [UInt8](repeating: 7, count: 3000), in: database) }
            try transaction.commit()
        }
        #expect {
            try fill()
        } throws: {
            ($0 as? LMDBError)?.kind == .mapFull
        }
        var transaction = try environment.beginWrite()
        try transaction.set(key(1), text("fits"), in: database)
        try transaction.commit()
        let read = try environment.beginRead()
        #expect(try read.all(database) == [key(1): text("fits")])
    }

    @Test("a copy holds the state, compacted or not, and never overwrites", arguments: [false, true])
    func copying(compacting: Bool) throws {
        let environment = try open()
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        var transaction = try environment.beginWrite()
        for number in 0..<1000 { try transaction.set(key(number), key(number), in: database) }
        try transaction.commit()
        try environment.copy(to: scratch.path("copy"), compacting: compacting)
        #expect(throws: LMDBError(EEXIST, "create \(scratch.path("copy"))")) {
            try environment.copy(to: scratch.path("copy"), compacting: compacting)
        }
        let copy = try open("copy", isReadOnly: true)
        let copied = try copy.openDatabases(["one"], createIfMissing: false)[0]
        let original = try environment.beginRead()
        #expect(try copy.beginRead().all(copied) == original.all(database))
        #expect {
            _ = try copy.beginWrite()
        } throws: {
            ($0 as? LMDBError)?.kind == .readOnly
        }
    }

    @Test("what isn't an LMDB file is refused as corrupted, and a missing database is an error")
    func refusals() throws {
        try Data(repeating: 1, count: 10_000).write(to: URL(fileURLWithPath: scratch.path("data")))
        #expect {
            _ = try open()
        } throws: {
            ($0 as? LMDBError)?.kind == .corrupted
        }
        let environment = try open("fresh")
        #expect(throws: LMDBError(MDB_NOTFOUND, "open the database one")) {
            _ = try environment.openDatabases(["one"], createIfMissing: false)
        }
    }

    @Test("too large a map is halved instead of refused")
    func halving() throws {
        let environment = try open(mapBytes: 1 << 50)
        #expect(environment.info.mapBytes < 1 << 50)
        #expect(environment.info.mapBytes >= 1 << 30)
    }
}
