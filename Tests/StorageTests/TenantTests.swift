import LMDB
import MQTTModel
import Testing

@testable import Storage

/// Whose a retained message is survives the broker, and a store that has no tenants is what it always was.
@Suite struct TenantTests {
    private static let numbers: @Sendable (String) -> UInt32 = { $0 == "north" ? 7 : 9 }

    private func format(_ directory: String) throws -> [UInt8] {
        var found: [UInt8] = []
        try withEnvironment(directory) { transaction, databases in
            try Schema.formatKey.lend { key throws(LMDBError) in
                try transaction.withValue(key, in: databases["meta"]!) { value throws(LMDBError) in found = Array(value.dropFirst(4)) }
            }
        }
        return found
    }

    @Test("a retained message comes back as its tenant's", arguments: [nil, UInt32(60)])
    func record(expirySeconds: UInt32?) throws {
        let message = Message(
            topic: try TopicName("a/b"), payload: [1, 2], qos: .atLeastOnce, isRetained: true,
            properties: PublishProperties(contentType: "x"), expirySeconds: expirySeconds)
        let bytes = RecordTests.stored(message, tenant: "north")
        var names: [String] = []
        let read = try bytes.withUnsafeBytes { bytes in
            var reader = RecordReader(bytes)
            return try StoredMessage.readRetained(&reader, now: .now) {
                names.append($0)
                return 7
            }
        }
        #expect(names == ["north"] && read.tenant == 7)
        #expect(areEqual(read, message) && read.properties.contentType == "x")
    }

    @Test("a message of the default tenant has the bytes of format 1")
    func formatOne() throws {
        let clock = MessageClock(monotonicNanoseconds: 5_000_000, unixMilliseconds: 0x0102_0304)
        let message = Message(topic: try TopicName("t"), payload: [0xFF], qos: .atLeastOnce, isRetained: true, received: clock)
        #expect(
            RecordTests.stored(message) == [
                0b101, 4, 3, 2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, UInt8(ascii: "t"), 0xFF,
            ])
    }

    @Test("in a queue nothing says whose it is, and a record that does is refused there")
    func queueRecords() throws {
        let message = try message(bytes: 3)
        try RecordTests.stored(message).withUnsafeBytes { bytes in
            var reader = RecordReader(bytes)
            let read = try StoredMessage.read(&reader, tenant: 7, now: .now)
            #expect(read.tenant == 7)
        }
        #expect(throws: RecordReader.Unreadable.self) {
            try RecordTests.stored(message, tenant: "north").withUnsafeBytes { bytes in
                var reader = RecordReader(bytes)
                _ = try StoredMessage.read(&reader, tenant: 7, now: .now)
            }
        }
    }

    @Test("a store has format 1 until a tenant's retained message comes, and then 2", arguments: [false, true])
    func formats(isSession: Bool) async throws {
        let scratch = Scratch()
        var opened: OpenStore? = try Store.open(path: scratch.directory, options: .test, observer: Witness())
        let retained = try message("t", bytes: 5)
        await opened?.store.writer.store([
            .retain(retained, number: 1, tenant: ""), .putSession(SessionRecord(number: 1, tenant: "", clientID: "c", expirySeconds: 9)),
        ])
        #expect(await opened?.store.close() == true)
        opened = nil
        #expect(try format(scratch.directory) == [1, 0, 0, 0])

        opened = try Store.open(path: scratch.directory, options: .test, observer: Witness(), tenantNumber: Self.numbers)
        #expect(opened?.state.retained.map(\.message.tenant) == [0])
        await opened?.store.writer.store([
            isSession
                ? .putSession(SessionRecord(number: 2, tenant: "north", clientID: "c", expirySeconds: 9))
                : .retain(retained, number: 2, tenant: "north")
        ])
        #expect(try opened?.store.audit().isSound == true)
        #expect(await opened?.store.close() == true)
        opened = nil
        #expect(try format(scratch.directory) == [2, 0, 0, 0])

        opened = try Store.open(path: scratch.directory, options: .test, observer: Witness(), tenantNumber: Self.numbers)
        #expect(opened?.state.retained.map(\.message.tenant) == (isSession ? [0] : [0, 7]))
        #expect(opened?.state.sessions.map(\.record.tenant) == (isSession ? ["", "north"] : [""]))
        #expect(await opened?.store.close() == true)
        opened = nil
        #expect(try StoreMaintenance(directory: scratch.directory).check().isSound)
    }
}
