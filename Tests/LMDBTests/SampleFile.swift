import Foundation

@testable import LMDB

/// Data files with everything that LMDB's format has and we use: trees of three levels, overflow pages in runs, a free
/// list with several records.
enum SampleFile {
    static let databases = ["large", "small"]

    static func open(_ path: String) throws -> Environment {
        try Environment(path: path, options: .init(mapBytes: 1 << 26, isSyncing: false))
    }

    /// Returns what the databases hold, in the order of `databases`.
    @discardableResult
    static func make(at path: String, scale: Int = 1, seed: UInt64 = 1) throws -> [[[UInt8]: [UInt8]]] {
        let environment = try open(path)
        let databases = try environment.openDatabases(databases, createIfMissing: true)
        var generator = SeededGenerator(seed: seed)
        for round in 0..<6 { try change(environment, databases, round: round, scale: scale, &generator) }
        let read = try environment.beginRead()
        return [try read.all(databases[0]), try read.all(databases[1])]
    }

    static func change(
        _ environment: Environment, _ databases: [Database], round: Int, scale: Int, _ generator: inout SeededGenerator
    ) throws {
        var transaction = try environment.beginWrite()
        for _ in 0..<4 * scale {
            let name = key(Int.random(in: 0..<8 * scale, using: &generator))
            if Int.random(in: 0..<3, using: &generator) == 0 {
                try transaction.remove(name, in: databases[0])
            } else {
                let count = Int.random(in: 3000..<14000, using: &generator)
                try transaction.set(name, [UInt8](repeating: UInt8(round), count: count), in: databases[0])
            }
        }
        for _ in 0..<60 * scale {
            // Long keys, so that a small file has deep trees.
            let number = Int.random(in: 0..<200 * scale, using: &generator)
            let name = key(number) + [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number % 400)
            if Int.random(in: 0..<4, using: &generator) == 0 {
                try transaction.remove(name, in: databases[1])
            } else {
                let count = Int.random(in: 0..<60, using: &generator)
                try transaction.set(name, [UInt8](repeating: UInt8(round), count: count), in: databases[1])
            }
        }
        try transaction.commit()
    }

    /// What the file holds according to LMDB.
    static func contents(_ path: String) throws -> [[[UInt8]: [UInt8]]] {
        let environment = try open(path)
        let databases = try environment.openDatabases(databases, createIfMissing: false)
        let read = try environment.beginRead()
        return [try read.all(databases[0]), try read.all(databases[1])]
    }
}

func load(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

func store(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }
