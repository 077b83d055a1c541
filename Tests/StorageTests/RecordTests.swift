import MQTTModel
import Testing

@testable import Storage

/// Bytes from a disk may be anything: what was written comes back, everything else is refused or another value, never a trap.
@Suite struct RecordTests {
    static var session: SessionRecord {
        var record = SessionRecord(number: 7, tenant: "plant", clientID: "dévice-1", expirySeconds: .max)
        record.disconnectedAt = 1_700_000_000_123
        record.sentSequence = 99
        record.will = StoredWill(
            topic: "gone/7", payload: [1, 2, 3], qos: .exactlyOnce, retain: true, delaySeconds: 5, expirySeconds: 60,
            properties: PublishProperties(contentType: "x").encoded, username: "me", protocolVersion: .v5, peerAddress: "192.0.2.1:9",
            listener: "tls", dueAt: 1_700_000_005_000)
        return record
    }

    static let subscription = SubscriptionRecord(
        filter: "$share/group/a/+/#", qos: .exactlyOnce, noLocal: false, retainAsPublished: true, subscriptionID: 268_435_455)

    static var relay: Relay {
        let origin = [UInt8]("topic".utf8).withUnsafeBytes { PublishOrigin(session: 3, packetID: 9, topic: $0, payload: $0) }
        return Relay(origin: origin, sessions: [1, .max], shares: ["$share/a/b", ""])
    }

    static func queueEntry(reference: UInt64?) throws -> [UInt8] {
        let message = try message(bytes: 30)
        let operation = StoreOperation.enqueue(
            message, session: 1, sequence: 2, qos: .exactlyOnce, retain: true, bytes: 97, subscriptionIDs: [1, 268_435_455],
            share: "$share/group/a")
        var record = [UInt8](repeating: 0xAA, count: QueueEntryRecord.encodedBytes(operation, message, reference: reference))
        record.withUnsafeMutableBytes { record in
            numberKey(1, 2).withUnsafeBytes { QueueEntryRecord.write(operation, message, reference: reference, to: record, key: $0) }
        }
        return Array(record.dropFirst(SealedRecord.sealBytes))
    }

    static func stored(_ message: Message, tenant: String = "") -> [UInt8] {
        var bytes = [UInt8](repeating: 0xAA, count: StoredMessage.encodedBytes(of: message, tenant: tenant))
        bytes.withUnsafeMutableBytes { StoredMessage.write(message, tenant: tenant, to: $0.baseAddress!) }
        return bytes
    }

    @Test("a session's record comes back as it was, with a will and without")
    func sessions() throws {
        let record = Self.session
        #expect(try record.encoded().withUnsafeBytes { try SessionRecord(number: 7, $0) } == record)
        let plain = SessionRecord(number: 1, tenant: "", clientID: "", expirySeconds: 0)
        #expect(try plain.encoded().withUnsafeBytes { try SessionRecord(number: 1, $0) } == plain)
    }

    @Test("subscriptions, counts and relays come back as they were")
    func others() throws {
        #expect(try Self.subscription.encoded().withUnsafeBytes { try SubscriptionRecord($0) } == Self.subscription)
        #expect(try Self.relay.encoded().withUnsafeBytes { try Relay(session: 3, packetID: 9, $0) } == Self.relay)
        var counts = QueueCounts()
        (counts.messages, counts.bytes, counts.lastSequence) = (1, .max, 3)
        #expect(try counts.encoded().withUnsafeBytes { try QueueCounts($0) } == counts)
    }

    @Test("a message comes back with its properties and what is left of its expiry")
    func messages() throws {
        let properties = PublishProperties(contentType: "text/plain", correlationData: [0, 255], userProperties: [.init("a", "b")])
        let message = Message(
            topic: try TopicName("plant/1"), payload: [UInt8](0...255), qos: .exactlyOnce, isRetained: true, properties: properties,
            expirySeconds: 100)
        try Self.stored(message).withUnsafeBytes { bytes in
            var reader = RecordReader(bytes)
            let now = MessageClock.now
            let read = try StoredMessage.read(&reader, tenant: 0, now: now)
            #expect(areEqual(read, message))
            #expect(read.properties == properties)
            #expect((99...100).contains(read.remainingExpirySeconds(atMilliseconds: now.monotonicMilliseconds) ?? 0))
            #expect(StoredMessage.byteCount(bytes) == message.byteCount)
        }
    }

    @Test("a queue entry comes back, with its message and with a reference", arguments: [nil, UInt64.max])
    func queueEntries(reference: UInt64?) throws {
        try Self.queueEntry(reference: reference).withUnsafeBytes { bytes in
            var reader = RecordReader(bytes)
            let header = try QueueEntryRecord.readHeader(&reader)
            #expect(header.qos == .exactlyOnce && header.retain && !header.isReleased)
            #expect(header.share == "$share/group/a" && header.subscriptionIDs == [1, 268_435_455] && header.reference == reference)
            #expect(reader.isAtEnd == (reference != nil))
        }
    }

    /// Each form of a record, and what reads it.
    static func forms() throws -> [(name: String, bytes: [UInt8], read: @Sendable (UnsafeRawBufferPointer) throws -> Void)] {
        let readEntry: @Sendable (UnsafeRawBufferPointer) throws -> Void = { bytes in
            var reader = RecordReader(bytes)
            let header = try QueueEntryRecord.readHeader(&reader)
            if header.reference == nil { _ = try StoredMessage.read(&reader, tenant: 0, now: .now).properties }
            guard reader.isAtEnd else { throw RecordReader.Unreadable() }
        }
        return [
            ("session", session.encoded(), { _ = try SessionRecord(number: 1, $0) }),
            ("subscription", subscription.encoded(), { _ = try SubscriptionRecord($0) }),
            ("counts", QueueCounts().encoded(), { _ = try QueueCounts($0) }),
            ("relay", relay.encoded(), { _ = try Relay(session: 1, packetID: 1, $0) }),
            ("entry", try queueEntry(reference: nil), readEntry),
            ("reference", try queueEntry(reference: 5), readEntry),
            (
                "retained message of a tenant",
                stored(Message(topic: try TopicName("a/b"), payload: [1], expirySeconds: 9), tenant: "plant"),
                {
                    var reader = RecordReader($0)
                    _ = try StoredMessage.readRetained(&reader, now: .now) { _ in 1 }
                }
            ),
            (
                "message",
                stored(
                    Message(
                        topic: try TopicName("a/b"), payload: [1], properties: PublishProperties(contentType: "x"), expirySeconds: 9)),
                {
                    var reader = RecordReader($0)
                    let message = try StoredMessage.read(&reader, tenant: 0, now: .now)
                    _ = (message.properties, message.topic, message.expiresAtUnixMilliseconds)
                }
            ),
        ]
    }

    @Test("a record that is cut off anywhere is refused")
    func truncations() throws {
        for (name, bytes, read) in try Self.forms() {
            try bytes.withUnsafeBytes { try read($0) }
            for count in 0..<bytes.count {
                #expect(throws: RecordReader.Unreadable.self, "\(name), \(count) bytes") {
                    try Array(bytes[..<count]).withUnsafeBytes { try read($0) }
                }
            }
            #expect(throws: RecordReader.Unreadable.self, "\(name), a byte too many") {
                try (bytes + [0]).withUnsafeBytes { try read($0) }
            }
        }
    }

    @Test("changed bytes give another record or none, and never a trap")
    func mutations() throws {
        var random = SeededGenerator(seed: 1)
        var refused = 0
        for (_, bytes, read) in try Self.forms() {
            for _ in 0..<3_000 {
                var changed = bytes
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    changed[Int.random(in: 0..<changed.count, using: &random)] =
                        Bool.random(using: &random)
                        ? .random(in: 0...255, using: &random) : [0, 0x7F, 0x80, 0xFF].randomElement(using: &random)!
                }
                do { try changed.withUnsafeBytes { try read($0) } } catch { refused += 1 }
            }
        }
        #expect(refused > 1_000)
    }

    @Test("a flipped bit in a record, its seal or its key is seen")
    func seals() {
        var record = [UInt8](repeating: 0, count: 4) + [1, 2, 3]
        let key = numberKey(1)
        record.withUnsafeMutableBytes { record in key.withUnsafeBytes { SealedRecord.close(record, key: $0) } }
        func opens(_ record: [UInt8], _ key: [UInt8]) -> Bool {
            record.withUnsafeBytes { record in key.withUnsafeBytes { SealedRecord.open(record, key: $0) != nil } }
        }
        #expect(opens(record, key))
        for bit in 0..<record.count * 8 {
            var changed = record
            changed[bit / 8] ^= 1 << (bit % 8)
            #expect(!opens(changed, key))
        }
        for bit in 0..<key.count * 8 {
            var changed = key
            changed[bit / 8] ^= 1 << (bit % 8)
            #expect(!opens(record, changed))
        }
        #expect(!opens([1, 2, 3], key))
    }
}
