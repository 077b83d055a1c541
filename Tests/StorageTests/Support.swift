import Foundation
import LMDB
import MQTTModel
import Synchronization
import Testing

@testable import Storage

/// A directory for one test, gone with it.
final class Scratch: Sendable {
    let directory: String

    init() {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("storage-test-\(UUID().uuidString)")
        try! FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        directory = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func path(_ name: String) -> String { directory + "/" + name }

    var entries: [String] { (try? FileManager.default.contentsOfDirectory(atPath: directory))?.sorted() ?? [] }
}

/// Can be seeded, so that a failure can be repeated.
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

/// What the store has said.
final class Witness: StoreObserver {
    private let state = Mutex<(conditions: [StoreCondition], damaged: Int, commits: Int)>(([], 0, 0))
    var conditions: [StoreCondition] { state.withLock { $0.conditions } }
    var damaged: Int { state.withLock { $0.damaged } }
    var commits: Int { state.withLock { $0.commits } }

    func committed(operations: Int, bytes: Int, microseconds: UInt64) { state.withLock { $0.commits += 1 } }
    func synchronized(microseconds: UInt64) {}
    func changed(to condition: StoreCondition, reason: String) { state.withLock { $0.conditions.append(condition) } }
    func foundDamaged(records: Int, in database: String) { state.withLock { $0.damaged += records } }
    func measured(_ size: StoreSize) {}
}

extension StoreOptions {
    /// Small, and without waiting for a disk: what is tested here is not the disk's.
    static var test: StoreOptions {
        var options = StoreOptions()
        options.durability = .relaxed
        options.syncIntervalMilliseconds = 3_600_000
        options.maxBytes = 64 << 20
        options.retryMilliseconds = 10
        return options
    }
}

extension StoreWriter {
    /// - Returns: When the batch is stored.
    @discardableResult
    func store(_ operations: [StoreOperation], number: UInt64 = 1) async -> StoreReport {
        let batch = StoreBatch(number: number)
        for operation in operations { batch.append(operation) }
        return await withCheckedContinuation { continuation in submit(batch) { continuation.resume(returning: $0) } }
    }
}

extension QueueReader {
    func page(_ session: UInt64, above sequence: UInt64, maxMessages: Int = .max, maxBytes: Int = .max) async -> Page? {
        await withCheckedContinuation { continuation in
            read(session, tenant: 0, above: sequence, maxMessages: maxMessages, maxBytes: maxBytes) { continuation.resume(returning: $0) }
        }
    }
}

extension Store {
    /// What `headwater db check` says of it beside a running broker.
    func audit() throws -> StoreCheckReport {
        let databases = environment.databases
        let all = [
            databases.meta, databases.sessions, databases.subscriptions, databases.queue, databases.counts, databases.messages,
            databases.inbound, databases.relayed, databases.retained, databases.outbox, databases.outboxes, databases.deduplication,
            databases.values,
        ]
        let byName = Dictionary(uniqueKeysWithValues: zip(Schema.names, all))
        return try environment.current.withRead { transaction throws(LMDBError) in try StoreAudit.report(transaction, byName) }
    }

    /// Queues of ended sessions are removed after the batch that ended them.
    func settle() async throws {
        while try audit().leftoverMessages > 0 { await writer.store([]) }
        await writer.store([])
    }
}

/// One environment as LMDB has it, for what no store of ours would write.
func withEnvironment(_ directory: String, _ body: (inout WriteTransaction, [String: Database]) throws -> Void) throws {
    let environment = try Environment(path: directory + "/data.mdb", options: .init(mapBytes: 256 << 20, maxDatabases: 16))
    let databases = try environment.openDatabases(Schema.names, createIfMissing: true)
    var transaction = try environment.beginWrite()
    try body(&transaction, Dictionary(uniqueKeysWithValues: zip(Schema.names, databases)))
    try transaction.commit()
}

extension WriteTransaction {
    mutating func seal(_ key: [UInt8], _ content: [UInt8], in database: Database) throws(LMDBError) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: key.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: key)
        try putSealed(UnsafeRawBufferPointer(copy), content, in: database)
    }

    mutating func remove(_ key: [UInt8], in database: Database) throws(LMDBError) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: key.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: key)
        _ = try delete(UnsafeRawBufferPointer(copy), in: database)
    }
}

func numberKey(_ numbers: UInt64...) -> [UInt8] { numbers.flatMap { number in withUnsafeBytes(of: number.bigEndian) { Array($0) } } }

func message(_ topic: String = "a/b", bytes: Int, fill: UInt8 = 7, qos: QoS = .atLeastOnce) throws -> Message {
    Message(topic: try TopicName(topic), payload: [UInt8](repeating: fill, count: bytes), qos: qos)
}

func enqueue(_ message: Message, _ session: UInt64, _ sequence: UInt64, qos: QoS = .atLeastOnce) -> StoreOperation {
    .enqueue(
        message, session: session, sequence: sequence, qos: qos, retain: false, bytes: message.byteCount + 64, subscriptionIDs: nil,
        share: nil)
}

/// What a reader can tell of two messages.
func areEqual(_ left: Message?, _ right: Message?) -> Bool {
    guard let left, let right else { return left == nil && right == nil }
    func bytes(_ message: Message) -> [[UInt8]] { message.withParts { [Array($0), Array($1), Array($2)] } }
    return bytes(left) == bytes(right) && left.qos == right.qos && left.isRetained == right.isRetained
        && left.expiresAtUnixMilliseconds.map { $0 / 10_000 } == right.expiresAtUnixMilliseconds.map { $0 / 10_000 }
}
