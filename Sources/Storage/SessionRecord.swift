import LMDB
import MQTTModel

/// What the store knows of a session besides its subscriptions and messages.
package struct SessionRecord: Sendable, Equatable {
    package var number: UInt64
    package var tenant: String
    package var clientID: String
    /// Session Expiry Interval in seconds; `UInt32.max`: never.
    package var expirySeconds: UInt32
    /// When its connection ended, milliseconds since 1970; `nil`: it has one, or had one when the broker ended.
    package var disconnectedAt: Int64?
    /// Sequence numbers up to this one may have been sent; `nil`: not known, for the session was connected.
    package var sentSequence: UInt64?
    package var will: StoredWill?

    package init(number: UInt64, tenant: String, clientID: String, expirySeconds: UInt32) {
        self.number = number
        self.tenant = tenant
        self.clientID = clientID
        self.expirySeconds = expirySeconds
    }

    func encoded() -> [UInt8] {
        var writer = RecordWriter()
        writer.put(tenant)
        writer.put(clientID)
        writer.put(expirySeconds)
        writer.put(optional: disconnectedAt)
        writer.put(optional: sentSequence)
        writer.put(will != nil)
        will?.write(to: &writer)
        return writer.bytes
    }

    init(number: UInt64, _ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        var reader = RecordReader(content)
        self.number = number
        tenant = try reader.text()
        clientID = try reader.text()
        expirySeconds = try reader.integer()
        disconnectedAt = try reader.optional()
        sentSequence = try reader.optional()
        will = try reader.flag() ? try StoredWill(&reader) : nil
        guard reader.isAtEnd else { throw RecordReader.Unreadable() }
    }
}

/// A will and who left it.
package struct StoredWill: Sendable, Equatable {
    package var topic: String
    package var payload: [UInt8]
    package var qos: QoS
    package var retain: Bool
    package var delaySeconds: UInt32
    package var expirySeconds: UInt32?
    /// The properties that travel, in wire form.
    package var properties: [UInt8]
    package var username: String?
    package var protocolVersion: ProtocolVersion
    package var peerAddress: String
    package var listener: String
    /// When it is to be published, milliseconds since 1970; `nil`: when the connection ends.
    package var dueAt: Int64?

    package init(
        topic: String, payload: [UInt8], qos: QoS, retain: Bool, delaySeconds: UInt32, expirySeconds: UInt32?, properties: [UInt8],
        username: String?, protocolVersion: ProtocolVersion, peerAddress: String, listener: String, dueAt: Int64?
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.delaySeconds = delaySeconds
        self.expirySeconds = expirySeconds
        self.properties = properties
        self.username = username
        self.protocolVersion = protocolVersion
        self.peerAddress = peerAddress
        self.listener = listener
        self.dueAt = dueAt
    }

    fileprivate func write(to writer: inout RecordWriter) {
        writer.put(topic)
        writer.put(payload)
        writer.put(qos.rawValue)
        writer.put(retain)
        writer.put(delaySeconds)
        writer.put(optional: expirySeconds)
        writer.put(properties)
        writer.put(optional: username)
        writer.put(protocolVersion.rawValue)
        writer.put(peerAddress)
        writer.put(listener)
        writer.put(optional: dueAt)
    }

    fileprivate init(_ reader: inout RecordReader) throws(RecordReader.Unreadable) {
        topic = try reader.text()
        payload = Array(try reader.data())
        guard let qos = QoS(rawValue: try reader.integer()) else { throw RecordReader.Unreadable() }
        self.qos = qos
        retain = try reader.flag()
        delaySeconds = try reader.integer()
        expirySeconds = try reader.optional()
        properties = Array(try reader.data())
        username = try reader.optionalText()
        guard let version = ProtocolVersion(rawValue: try reader.integer()) else { throw RecordReader.Unreadable() }
        protocolVersion = version
        peerAddress = try reader.text()
        listener = try reader.text()
        dueAt = try reader.optional()
        if (try? TopicName(topic)) == nil { throw RecordReader.Unreadable() }
    }
}

/// One subscription of a session.
package struct SubscriptionRecord: Sendable, Equatable {
    /// As the client wrote it, `$share/NAME/` included.
    package var filter: String
    package var qos: QoS
    package var noLocal: Bool
    package var retainAsPublished: Bool
    /// 0 is none.
    package var subscriptionID: UInt32

    package init(filter: String, qos: QoS, noLocal: Bool, retainAsPublished: Bool, subscriptionID: UInt32) {
        self.filter = filter
        self.qos = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.subscriptionID = subscriptionID
    }

    func encoded() -> [UInt8] {
        var writer = RecordWriter()
        writer.put(qos.rawValue)
        writer.put(noLocal)
        writer.put(retainAsPublished)
        writer.put(subscriptionID)
        writer.put(filter)
        return writer.bytes
    }

    init(_ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        var reader = RecordReader(content)
        guard let qos = QoS(rawValue: try reader.integer()) else { throw RecordReader.Unreadable() }
        self.qos = qos
        noLocal = try reader.flag()
        retainAsPublished = try reader.flag()
        subscriptionID = try reader.integer()
        filter = try reader.text()
        guard reader.isAtEnd, (try? TopicFilter(filter)) != nil else { throw RecordReader.Unreadable() }
    }
}

/// What waits for a session, kept beside the queue so that a start need not count it.
struct QueueCounts: Equatable {
    /// What a queue charges for a message besides its bytes.
    static let flatBytes = 64

    var messages: UInt64 = 0
    /// Bytes of the messages, and `flatBytes` for each (`Delivery.queuedBytes`).
    var bytes: UInt64 = 0
    /// The highest sequence number that was ever stored.
    var lastSequence: UInt64 = 0

    func encoded() -> [UInt8] {
        var writer = RecordWriter()
        writer.put(messages)
        writer.put(bytes)
        writer.put(lastSequence)
        return writer.bytes
    }

    init() {}

    init(_ content: UnsafeRawBufferPointer) throws(RecordReader.Unreadable) {
        var reader = RecordReader(content)
        messages = try reader.integer()
        bytes = try reader.integer()
        lastSequence = try reader.integer()
        guard reader.isAtEnd else { throw RecordReader.Unreadable() }
    }
}
