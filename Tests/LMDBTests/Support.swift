import Foundation

@testable import LMDB

/// A directory for one test, gone with it.
final class Scratch {
    let directory: String

    init() {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("lmdb-test-\(UUID().uuidString)")
        try! FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        directory = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func path(_ name: String) -> String { directory + "/" + name }
}

/// Swift's own generator can't be seeded, and a failure that nobody can repeat is worth little.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

/// Big-endian, so that LMDB's order is the numbers' order.
func key(_ number: Int) -> [UInt8] { withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) } }

func text(_ string: String) -> [UInt8] { Array(string.utf8) }

extension WriteTransaction {
    mutating func set(_ key: [UInt8], _ value: [UInt8], in database: Database, isAppending: Bool = false) throws(LMDBError) {
        // Not nested closures: a mutating call can't go through the rethrowing withUnsafeBytes of an array with typed errors.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: key.count + value.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: key + value)
        let whole = UnsafeRawBufferPointer(copy)
        try put(
            UnsafeRawBufferPointer(rebasing: whole[..<key.count]), UnsafeRawBufferPointer(rebasing: whole[key.count...]), in: database,
            isAppending: isAppending)
    }

    @discardableResult
    mutating func remove(_ key: [UInt8], in database: Database) throws(LMDBError) -> Bool {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: key.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: key)
        return try delete(UnsafeRawBufferPointer(copy), in: database)
    }
}

extension ReadTransaction {
    borrowing func get(_ key: [UInt8], in database: Database) throws(LMDBError) -> [UInt8]? {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: key.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: key)
        return try withValue(UnsafeRawBufferPointer(copy), in: database) { Array($0) }
    }

    borrowing func all(_ database: Database) throws(LMDBError) -> [[UInt8]: [UInt8]] {
        var result: [[UInt8]: [UInt8]] = [:]
        try scan(database, from: nil) { key, value throws(LMDBError) in
            result[Array(key)] = Array(value)
            return true
        }
        return result
    }
}
