import struct NIOCore.ByteBuffer

/// An application message on its way through the broker: final, immutable, one allocation.
///
/// Topic, properties and payload lie one behind the other in the same block, as they do on the wire, so that delivery is
/// a copy of bytes. The value is one reference; copying it copies nothing.
public struct Message: @unchecked Sendable {
    // @unchecked: the block is filled in `init` and never written afterwards.
    @usableFromInline let block: Block

    /// Header and tail-allocated bytes. `ManagedBuffer` is the one way to one allocation.
    @usableFromInline final class Block: ManagedBuffer<Header, UInt8> {}

    @usableFromInline struct Header {
        @usableFromInline let topicLength: Int
        @usableFromInline let propertiesLength: Int
        @usableFromInline let payloadLength: Int
        @usableFromInline let qos: QoS
        @usableFromInline let isRetained: Bool
        @usableFromInline let tenant: UInt32
        @usableFromInline let sourceSession: UInt64
        @usableFromInline let received: MessageClock
        @usableFromInline let expiryMilliseconds: UInt64
        @usableFromInline let publisher: ClientInfo?

        @usableFromInline
        init(
            topicLength: Int, propertiesLength: Int, payloadLength: Int, qos: QoS, isRetained: Bool, tenant: UInt32, sourceSession: UInt64,
            received: MessageClock, expiryMilliseconds: UInt64, publisher: ClientInfo?
        ) {
            self.topicLength = topicLength
            self.propertiesLength = propertiesLength
            self.payloadLength = payloadLength
            self.qos = qos
            self.isRetained = isRetained
            self.tenant = tenant
            self.sourceSession = sourceSession
            self.received = received
            self.expiryMilliseconds = expiryMilliseconds
            self.publisher = publisher
        }
    }

    /// Makes a message from the wire form of its parts.
    ///
    /// - Parameters:
    ///   - topic: A checked topic name.
    ///   - properties: Wire form of the properties that travel (see `PublishProperties.encoded`).
    ///   - sourceSession: Serial number of the publishing session, 0 for a message of the broker's own; No Local
    ///     compares it.
    ///   - expirySeconds: Message Expiry Interval as published, `nil` for none.
    @inlinable
    public init(
        topic: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer,
        qos: QoS, isRetained: Bool, publisher: ClientInfo?, sourceSession: UInt64, received: MessageClock,
        expirySeconds: UInt32?
    ) {
        let header = Header(
            topicLength: topic.count, propertiesLength: properties.count, payloadLength: payload.count, qos: qos,
            isRetained: isRetained, tenant: publisher?.tenantNumber ?? 0, sourceSession: sourceSession, received: received,
            expiryMilliseconds: expirySeconds.map { received.monotonicMilliseconds &+ UInt64($0) &* 1000 } ?? .max,
            publisher: publisher)
        self.init(header: header, topic: topic, properties: properties, payload: payload)
    }

    @inlinable @inline(__always)
    init(header: Header, topic: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
        let made = Block.create(minimumCapacity: topic.count + properties.count + payload.count) { _ in header }
        block = unsafeDowncast(made, to: Block.self)
        block.withUnsafeMutablePointerToElements { bytes in
            let raw = UnsafeMutableRawPointer(bytes)
            if let base = topic.baseAddress { raw.copyMemory(from: base, byteCount: topic.count) }
            if let base = properties.baseAddress { (raw + topic.count).copyMemory(from: base, byteCount: properties.count) }
            if let base = payload.baseAddress {
                (raw + topic.count + properties.count).copyMemory(from: base, byteCount: payload.count)
            }
        }
    }

    /// Makes a message that was kept outside of this process' memory.
    ///
    /// - Parameters:
    ///   - tenant: Number that the tenant has in this process.
    ///   - expiresAtMilliseconds: When the Message Expiry Interval passes, on the monotonic clock; `nil`: never.
    package init(
        restoring topic: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer,
        qos: QoS, isRetained: Bool, tenant: UInt32, received: MessageClock, expiresAtMilliseconds: UInt64?
    ) {
        let header = Header(
            topicLength: topic.count, propertiesLength: properties.count, payloadLength: payload.count, qos: qos,
            isRetained: isRetained, tenant: tenant, sourceSession: 0, received: received, expiryMilliseconds: expiresAtMilliseconds ?? .max,
            publisher: nil)
        self.init(header: header, topic: topic, properties: properties, payload: payload)
    }

    /// The same message as a message of another tenant; itself if it is of that one.
    package func belonging(to tenant: UInt32) -> Message {
        guard tenant != self.tenant else { return self }
        return withParts { topic, properties, payload in
            let old = block.header
            let header = Header(
                topicLength: old.topicLength, propertiesLength: old.propertiesLength, payloadLength: old.payloadLength, qos: old.qos,
                isRetained: old.isRetained, tenant: tenant, sourceSession: old.sourceSession, received: old.received,
                expiryMilliseconds: old.expiryMilliseconds, publisher: old.publisher)
            return Message(header: header, topic: topic, properties: properties, payload: payload)
        }
    }

    /// Makes a message from values: for plugins, embedding programs and tests.
    public init(
        topic: TopicName, payload: some Sequence<UInt8>, qos: QoS = .atMostOnce, isRetained: Bool = false,
        properties: PublishProperties = PublishProperties(), expirySeconds: UInt32? = nil, publisher: ClientInfo? = nil,
        sourceSession: UInt64 = 0, received: MessageClock = .now
    ) {
        let topicBytes = Array(topic.string.utf8)
        let encoded = properties.encoded
        let payloadBytes = Array(payload)
        self = topicBytes.withUnsafeBytes { topic in
            encoded.withUnsafeBytes { properties in
                payloadBytes.withUnsafeBytes { payload in
                    Message(
                        topic: topic, properties: properties, payload: payload, qos: qos, isRetained: isRetained,
                        publisher: publisher, sourceSession: sourceSession, received: received, expirySeconds: expirySeconds)
                }
            }
        }
    }

    /// QoS of the PUBLISH as it was received.
    @inlinable public var qos: QoS { block.header.qos }
    /// The RETAIN flag of the PUBLISH as it was received.
    @inlinable public var isRetained: Bool { block.header.isRetained }
    /// The client that published it; `nil` for a message of the broker's own or of an embedding program, and for one that comes
    /// from the store.
    @inlinable public var publisher: ClientInfo? { block.header.publisher }
    /// Number that its tenant has in this process: the publisher's, 0 for a message without one.
    @inlinable package var tenant: UInt32 { block.header.tenant }
    /// Serial number of the publishing session, 0 for none.
    @inlinable public var sourceSession: UInt64 { block.header.sourceSession }
    /// When the broker received it.
    @inlinable public var received: MessageClock { block.header.received }
    @inlinable public var topicLength: Int { block.header.topicLength }
    @inlinable public var payloadLength: Int { block.header.payloadLength }
    @inlinable public var propertiesLength: Int { block.header.propertiesLength }
    /// Bytes of topic, properties and payload together: what a queue counts.
    @inlinable public var byteCount: Int { block.header.topicLength + block.header.propertiesLength + block.header.payloadLength }

    /// Whether the message has a Message Expiry Interval.
    @inlinable public var expires: Bool { block.header.expiryMilliseconds != .max }

    /// Whether the Message Expiry Interval has passed at the monotonic time `milliseconds`.
    @inlinable public func isExpired(atMilliseconds milliseconds: UInt64) -> Bool {
        milliseconds >= block.header.expiryMilliseconds
    }

    /// Seconds left of the Message Expiry Interval [MQTT-3.3.2-6], rounded up so that 0 is never sent early; `nil` for none.
    @inlinable public func remainingExpirySeconds(atMilliseconds milliseconds: UInt64) -> UInt32? {
        guard expires else { return nil }
        let deadline = block.header.expiryMilliseconds
        return milliseconds >= deadline ? 0 : UInt32(clamping: (deadline - milliseconds + 999) / 1000)
    }

    /// When the Message Expiry Interval passes, in milliseconds of the wall clock; `nil` for none.
    package var expiresAtUnixMilliseconds: Int64? {
        guard expires else { return nil }
        let received = block.header.received
        return received.unixMilliseconds &+ Int64(bitPattern: block.header.expiryMilliseconds &- received.monotonicMilliseconds)
    }

    /// Tells this message from others while it lives.
    @inlinable package var identity: ObjectIdentifier { ObjectIdentifier(block) }

    /// Lends the bytes of topic, properties (wire form) and payload. They must not leave the closure.
    @inlinable
    public func withParts<Result>(
        _ body: (_ topic: UnsafeRawBufferPointer, _ properties: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try block.withUnsafeMutablePointers { header, bytes in
            let raw = UnsafeRawPointer(bytes)
            let topicLength = header.pointee.topicLength
            let propertiesLength = header.pointee.propertiesLength
            return try body(
                UnsafeRawBufferPointer(start: raw, count: topicLength),
                UnsafeRawBufferPointer(start: raw + topicLength, count: propertiesLength),
                UnsafeRawBufferPointer(start: raw + topicLength + propertiesLength, count: header.pointee.payloadLength))
        }
    }

    /// The topic name as text.
    public var topic: String { withParts { topic, _, _ in String(decoding: topic, as: UTF8.self) } }
    /// The payload, copied.
    public var payload: ByteBuffer {
        withParts { _, _, payload in
            var buffer = ByteBuffer()
            buffer.writeBytes(payload)
            return buffer
        }
    }
    /// The properties, decoded on each call.
    public var properties: PublishProperties { withParts { _, properties, _ in PublishProperties(encoded: properties) } }

    /// Whether both are the same message, not merely equal ones.
    @inlinable public func isIdentical(to other: Message) -> Bool { block === other.block }
}
