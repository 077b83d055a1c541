import LMDB

/// The databases of the environment and the form of their keys (docs/storage-format.md). Numbers in keys are big-endian,
/// so that their order is the order of the bytes.
enum Schema {
    /// The highest that this program knows; a store of a higher one is refused. The older ones are read as they are.
    static let format: UInt32 = 3
    /// What a new store has. The first session or retained message of a tenant makes it `tenantFormat`: a program that knows
    /// no tenants would mix what they keep apart.
    static let firstFormat: UInt32 = 1
    static let tenantFormat: UInt32 = 2
    /// The first queue of the outbox makes it this: a program that knows no outbox would let it lie.
    static let outboxFormat: UInt32 = 3

    static let names = [
        "meta", "sessions", "subscriptions", "queue", "counts", "messages", "inbound", "relayed", "retained", "outbox", "outboxes",
        "deduplication", "values",
    ]
    /// Those that a store of format 1 or 2 may be without.
    static let newerNames = ["outbox", "outboxes", "deduplication", "values"]
    /// What grows with backlog and is not read at start.
    static let backlogNames = ["queue", "messages", "outbox", "deduplication"]

    /// Bytes of a message (topic, properties, payload) up to which each queue has a copy; longer ones are stored once.
    static let inlineLimit = 1024

    /// A message of this size is stored once, and queues refer to it.
    static func isShared(byteCount: Int) -> Bool { byteCount > inlineLimit }

    static let formatKey = Array("format".utf8)
    static let identityKey = Array("identity".utf8)
}

/// Handles of the open databases.
struct Databases: Sendable {
    let meta: Database
    let sessions: Database
    let subscriptions: Database
    let queue: Database
    let counts: Database
    let messages: Database
    let inbound: Database
    let relayed: Database
    let retained: Database
    let outbox: Database
    let outboxes: Database
    let deduplication: Database
    let values: Database

    init(_ environment: Environment, createIfMissing: Bool = true) throws(LMDBError) {
        let all = try environment.openDatabases(Schema.names, createIfMissing: createIfMissing)
        (meta, sessions, subscriptions) = (all[0], all[1], all[2])
        (queue, counts, messages) = (all[3], all[4], all[5])
        (inbound, relayed, retained) = (all[6], all[7], all[8])
        (outbox, outboxes, deduplication, values) = (all[9], all[10], all[11], all[12])
    }
}

/// Keys on the stack: the paths of messages make one for each record.
enum Key {
    /// A session's record and counts, a retained message, a stored message's count.
    @inline(__always)
    static func number<Result>(_ number: UInt64, _ body: (UnsafeRawBufferPointer) throws(LMDBError) -> Result) throws(LMDBError) -> Result {
        var key = number.bigEndian
        return try borrow(&key, body)
    }

    /// A message in a session's queue, an entry in a queue of the outbox.
    @inline(__always)
    static func queue<Result>(
        _ session: UInt64, _ sequence: UInt64, _ body: (UnsafeRawBufferPointer) throws(LMDBError) -> Result
    ) throws(LMDBError) -> Result {
        var key = (session.bigEndian, sequence.bigEndian)
        return try borrow(&key, body)
    }

    /// The count and the body of a message that queues refer to.
    static func message<Result>(
        _ number: UInt64, isBody: Bool, _ body: (UnsafeRawBufferPointer) throws(LMDBError) -> Result
    ) throws(LMDBError) -> Result {
        var key = (number.bigEndian, isBody ? UInt8(1) : 0)
        return try withBytes(of: &key, count: 9, body)
    }

    /// A QoS 2 packet identifier of a session.
    static func packet<Result>(
        _ session: UInt64, _ packetID: UInt16, _ body: (UnsafeRawBufferPointer) throws(LMDBError) -> Result
    ) throws(LMDBError) -> Result {
        var key = (session.bigEndian, packetID.bigEndian)
        return try withBytes(of: &key, count: 10, body)
    }

    /// A topic filter of a session: itself if it is short, else its beginning and a hash. Only the client itself could bring
    /// two of its own filters to one hash.
    static func subscription(_ session: UInt64, _ filter: String) -> [UInt8] {
        var key = withUnsafeBytes(of: session.bigEndian) { Array($0) }
        let text = Array(filter.utf8)
        guard text.count > 480 else { return key + text }
        key += text.prefix(460)
        key.append(0)  // no filter holds U+0000
        var hashes: (UInt64, UInt64) = (0xCBF2_9CE4_8422_2325, 0x8422_2325_CBF2_9CE4)
        for byte in text {
            hashes.0 = (hashes.0 ^ UInt64(byte)) &* 0x100_0000_01B3
            hashes.1 = (hashes.1 &+ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C15
            hashes.1 ^= hashes.1 >> 29
        }
        withUnsafeBytes(of: hashes) { key += $0 }
        return key
    }

    /// A deduplication key of a queue of the outbox.
    static func deduplication(_ queue: UInt64, _ text: [UInt8]) -> [UInt8] { withUnsafeBytes(of: queue.bigEndian) { Array($0) } + text }

    /// What one batch of one loop stored of a publish (`StoreOperation.relayed`).
    static func relayed(_ session: UInt64, _ packetID: UInt16, loop: UInt8, batch: UInt64) -> [UInt8] {
        var key = withUnsafeBytes(of: session.bigEndian) { Array($0) }
        withUnsafeBytes(of: packetID.bigEndian) { key += $0 }
        key.append(loop)
        withUnsafeBytes(of: batch.bigEndian) { key += $0 }
        return key
    }

    @inline(__always)
    private static func borrow<Value, Result>(
        _ value: inout Value, _ body: (UnsafeRawBufferPointer) throws(LMDBError) -> Result
    ) throws(LMDBError) -> Result {
        try withBytes(of: &value, count: MemoryLayout<Value>.size, body)
    }

    @inline(__always)
    private static func withBytes<Value, Result>(
        of value: inout Value, count: Int, _ body: (UnsafeRawBufferPointer) throws(LMDBError) -> Result
    ) throws(LMDBError) -> Result {
        try withUnsafeBytes(of: &value) { bytes throws(LMDBError) in
            try body(UnsafeRawBufferPointer(rebasing: bytes[0..<count]))
        }
    }
}

extension [UInt8] {
    /// `withUnsafeBytes`, for bodies that throw what LMDB throws.
    func lend<Result>(_ body: (UnsafeRawBufferPointer) throws(LMDBError) -> Result) throws(LMDBError) -> Result {
        try withUnsafeBufferPointer { bytes throws(LMDBError) in try body(UnsafeRawBufferPointer(bytes)) }
    }
}

extension UnsafeRawBufferPointer {
    /// A big-endian number in a key.
    func bigEndian(at offset: Int) -> UInt64 { UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
}
