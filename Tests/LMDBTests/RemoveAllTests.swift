import Foundation
import Testing

@testable import LMDB

@Suite("Removing by prefix")
struct RemoveAllTests {
    let scratch = Scratch()

    /// Against a sorted dictionary: random keys under few prefixes, so that runs span pages, with values that differ in
    /// size, so that pages are merged and overflow pages freed on the way.
    @Test("exactly the first `limit` entries under the prefix go, each shown before", arguments: 1...8)
    func model(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let environment = try Environment(path: scratch.path("data"), options: .init(mapBytes: 1 << 26, isSyncing: false))
        let database = try environment.openDatabases(["one"], createIfMissing: true)[0]
        var expected: [[UInt8]: [UInt8]] = [:]
        for _ in 0..<12 {
            var transaction = try environment.beginWrite()
            for _ in 0..<400 {
                let prefix = UInt8.random(in: 0..<4, using: &generator)
                let key = [prefix] + key(Int.random(in: 0..<5000, using: &generator))
                let large = Int.random(in: 0..<20, using: &generator) == 0
                let value = [UInt8](repeating: prefix, count: Int.random(in: 0..<(large ? 9000 : 200), using: &generator))
                try transaction.set(key, value, in: database)
                expected[key] = value
            }
            let prefix: [UInt8] = Bool.random(using: &generator) ? [UInt8.random(in: 0..<5, using: &generator)] : []
            let limit = [0, 1, 7, 300, .max].randomElement(using: &generator)!
            let victims = expected.keys.filter { $0.starts(with: prefix) }.sorted { $0.lexicographicallyPrecedes($1) }.prefix(limit)
            var shown: [[UInt8]] = []
            let lent = UnsafeMutableRawBufferPointer.allocate(byteCount: prefix.count, alignment: 1)
            defer { lent.deallocate() }
            lent.copyBytes(from: prefix)
            let removed = try transaction.removeAll(withPrefix: UnsafeRawBufferPointer(lent), in: database, limit: limit) {
                (key, value) throws(LMDBError) in
                shown.append(Array(key))
                #expect(expected[Array(key)] == Array(value))
            }
            #expect(removed == victims.count)
            #expect(shown == Array(victims))
            for victim in victims { expected[victim] = nil }
            try transaction.commit()
            let read = try environment.beginRead()
            #expect(try read.all(database) == expected)
        }
    }
}
