import CLMDB
import Glibc
import LMDB

// Opens data files with LMDB, reads all of each, writes to it and reads again. LMDBTests start it with files that the
// verifier has let pass: an error is fine, a signal is not, and here it ends this process and not the tests.

func readAll(_ environment: Environment, _ databases: [Database]) throws(LMDBError) {
    let transaction = try environment.beginRead()
    for database in databases + [Database(handle: 0)] {
        try transaction.scan(database, from: nil) { key, value throws(LMDBError) in
            // So that every byte is fetched.
            _ = Checksum.crc32c(value, continuing: Checksum.crc32c(key))
            return true
        }
        _ = try transaction.count(in: database)
    }
}

func write(_ environment: Environment, _ databases: [Database], round: UInt64) throws(LMDBError) {
    var transaction = try environment.beginWrite()
    for database in databases {
        // Removing from both ends and adding in between makes pages split, merge and move, and uses the free list.
        try transaction.removeAll(withPrefix: UnsafeRawBufferPointer(start: nil, count: 0), in: database, limit: 40)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 6000, alignment: 8)
        defer { buffer.deallocate() }
        buffer.initializeMemory(as: UInt8.self, repeating: 7)
        for index in 0..<60 as Range<UInt64> {
            let number = (index &* 0x9E37_79B9_7F4A_7C15) ^ round
            buffer.storeBytes(of: number, as: UInt64.self)
            let key = UnsafeRawBufferPointer(rebasing: buffer[..<8])
            try transaction.put(key, UnsafeRawBufferPointer(rebasing: buffer[..<(index % 10 == 0 ? 6000 : 90)]), in: database)
        }
        if let last = try transaction.lastKey(in: database) {
            last.withUnsafeBytes { buffer.copyMemory(from: $0) }
            try transaction.delete(UnsafeRawBufferPointer(rebasing: buffer[..<last.count]), in: database)
        }
    }
    try transaction.commit()
}

for path in CommandLine.arguments.dropFirst() {
    print(path)
    fflush(nil)
    do throws(LMDBError) {
        let environment = try Environment(path: path, options: .init(mapBytes: 1 << 26, isSyncing: false))
        let databases = try environment.openDatabases(["large", "small"], createIfMissing: false)
        try readAll(environment, databases)
        for round in 0..<4 as Range<UInt64> { try write(environment, databases, round: round) }
        try readAll(environment, databases)
        print("done")
    } catch {
        print(error)
    }
}
