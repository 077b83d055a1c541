import LMDB
import MQTTModel

/// What a broker reads at its start: everything but the queues, whose length it must not depend on.
package struct StoredState: Sendable {
    package struct StoredSession: Sendable {
        package var record: SessionRecord
        package var subscriptions: [SubscriptionRecord] = []
        /// QoS 2 packet identifiers that were seen and not released.
        package var inbound: [UInt16] = []
        package var queuedMessages = 0
        package var queuedBytes = 0
        package var lastSequence: UInt64 = 0
    }

    package private(set) var sessions: [StoredSession] = []
    package private(set) var retained: [(number: UInt64, message: Message)] = []
    /// Publishes of which one part is stored, and which their clients will send again.
    package private(set) var relays: [Relay] = []
    package private(set) var nextSession: UInt64 = 1
    package private(set) var nextRetained: UInt64 = 1
    let nextMessage: UInt64
    /// Sessions that ended, but not all of their messages are removed.
    let orphans: [UInt64]
    /// The first record that can't be read.
    private let damage: String?

    /// - Parameter tenantNumber: Gives a tenant's name its number in this process.
    /// - Throws: `StoreFault.damaged` when a record can't be read.
    init(_ environment: StoreEnvironment, tenantNumber: (String) -> UInt32) throws(StoreFault) {
        do throws(LMDBError) {
            try self.init(environment, databases: environment.databases, tenantNumber: tenantNumber)
        } catch {
            throw StoreFault(error)
        }
        if let damage { throw .damaged(damage) }
    }

    private init(
        _ environment: StoreEnvironment, databases: Databases, tenantNumber: (String) -> UInt32
    ) throws(LMDBError) {
        let now = MessageClock.now
        var sessions: [StoredSession] = []
        var places: [UInt64: Int] = [:]
        var retained: [(UInt64, Message)] = []
        var relays: [Relay] = []
        var orphans: [UInt64] = []
        var last: UInt64 = 0
        var nextMessage: UInt64 = 1
        var damage: String?
        try environment.current.withRead { transaction throws(LMDBError) in
            try Self.each(databases.sessions, "sessions", in: transaction, &damage, keyBytes: 8) { key, content throws(RecordReader.Unreadable) in
                let number = key.bigEndian(at: 0)
                places[number] = sessions.count
                sessions.append(StoredSession(record: try SessionRecord(number: number, content)))
                last = max(last, number)
            }
            try Self.each(databases.subscriptions, "subscriptions", in: transaction, &damage, keyBytes: nil) { key, content throws(RecordReader.Unreadable) in
                let number = key.bigEndian(at: 0)
                last = max(last, number)
                let record = try SubscriptionRecord(content)
                if let place = places[number] { sessions[place].subscriptions.append(record) }
            }
            try Self.each(databases.counts, "counts", in: transaction, &damage, keyBytes: 8) { key, content throws(RecordReader.Unreadable) in
                let number = key.bigEndian(at: 0)
                last = max(last, number)
                let counts = try QueueCounts(content)
                guard let place = places[number] else { return orphans.append(number) }
                sessions[place].queuedMessages = Int(clamping: counts.messages)
                sessions[place].queuedBytes = Int(clamping: counts.bytes)
                sessions[place].lastSequence = counts.lastSequence
            }
            try Self.each(databases.inbound, "inbound", in: transaction, &damage, keyBytes: 10) { key, _ in
                let number = key.bigEndian(at: 0)
                last = max(last, number)
                let packetID = UInt16(bigEndian: key.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
                if let place = places[number] { sessions[place].inbound.append(packetID) }
            }
            try Self.each(databases.relayed, "relayed", in: transaction, &damage, keyBytes: 19) { key, content throws(RecordReader.Unreadable) in
                let number = key.bigEndian(at: 0)
                let packetID = UInt16(bigEndian: key.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
                let relay = try Relay(session: number, packetID: packetID, content)
                guard number & PublishOrigin.sourceBit == 0 else { return relays.append(relay) }
                last = max(last, number)
                guard let place = places[number], !sessions[place].inbound.contains(packetID) else { return }
                relays.append(relay)
            }
            try Self.each(databases.retained, "retained", in: transaction, &damage, keyBytes: 8) { key, content throws(RecordReader.Unreadable) in
                var reader = RecordReader(content)
                retained.append((key.bigEndian(at: 0), try StoredMessage.readRetained(&reader, now: now, tenantNumber: tenantNumber)))
            }
            if let key = try transaction.lastKey(in: databases.messages), key.count == 9 {
                nextMessage = key.withUnsafeBytes { $0.bigEndian(at: 0) } + 1
            }
        }
        self.damage = damage
        self.nextMessage = nextMessage
        self.orphans = orphans
        nextRetained = (retained.last?.0 ?? 0) + 1
        nextSession = last + 1
        self.sessions = sessions
        self.retained = retained
        self.relays = relays
    }

    private static func each(
        _ database: Database, _ name: String, in transaction: borrowing ReadTransaction, _ damage: inout String?, keyBytes: Int?,
        _ body: (_ key: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) -> Void
    ) throws(LMDBError) {
        var found: String?
        try transaction.scan(database, from: nil) { key, value throws(LMDBError) in
            guard keyBytes.map({ $0 == key.count }) ?? (key.count > 8), let content = SealedRecord.open(value, key: key) else {
                found = "a record of \(name) does not match its checksum"
                return false
            }
            do throws(RecordReader.Unreadable) {
                try body(key, content)
                return true
            } catch {
                found = "a record of \(name) can't be read"
                return false
            }
        }
        damage = damage ?? found
    }
}
