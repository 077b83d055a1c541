import MQTTModel
import MQTTWire
import Storage

/// A message while it is being routed: its bytes where they lie (in the read buffer or in a `Message`), and the `Message`
/// once somebody needs one that lasts. QoS 0 to live subscribers never does.
struct Publication {
    let topic: UnsafeRawBufferPointer
    /// Those that travel, in wire form.
    let properties: UnsafeRawBufferPointer
    let payload: UnsafeRawBufferPointer
    let qos: QoS
    let isRetained: Bool
    /// Number of the publisher's tenant.
    let tenant: UInt32
    /// Seconds left of the Message Expiry Interval, `nil` for none.
    let expirySeconds: UInt32?
    /// Kept by the connection, or by the message, for as long as this value lives.
    private let publisher: Unmanaged<ClientInfo>?
    let sourceSession: UInt64
    /// The publishing connection, to slow it when receivers are full.
    let source: ConnectionReference?
    let clock: MessageClock
    private var made: Message?
    /// What storing has to do with it, for few: an object, so that the others carry one empty reference.
    private(set) var storage: Storage?

    final class Storage {
        /// Whose QoS 2 publish it is, or will.
        @exclusivity(unchecked) var origin: PublishOrigin?
        /// Who has it already.
        @exclusivity(unchecked) var exclusion: Relay?
        /// What other loops keep with this one, for this message.
        @exclusivity(unchecked) var promise: StorePromise?
        /// Another loop stores it for the open batch.
        @exclusivity(unchecked) var hasDuty = false
    }

    mutating func withStorage<Result>(_ body: (Storage) -> Result) -> Result {
        if let storage { return body(storage) }
        let made = Storage()
        storage = made
        return body(made)
    }

    init(
        fields: PublishFields, topic: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer,
        publisher: Unmanaged<ClientInfo>?, tenant: UInt32,
        sourceSession: UInt64, source: ConnectionReference?, clock: MessageClock
    ) {
        self.topic = topic
        self.properties = properties
        payload = fields.payload
        qos = fields.qos
        isRetained = fields.retain
        expirySeconds = fields.expirySeconds
        self.publisher = publisher
        self.tenant = tenant
        self.sourceSession = sourceSession
        self.source = source
        self.clock = clock
    }

    /// Lends the parts of a message that exists already.
    static func with<Result>(
        _ message: Message, source: ConnectionReference?, nowMilliseconds: UInt64, _ body: (inout Publication) -> Result
    ) -> Result {
        message.withParts { topic, properties, payload in
            var publication = Publication(
                topic: topic, properties: properties, payload: payload, message: message, source: source,
                nowMilliseconds: nowMilliseconds)
            return body(&publication)
        }
    }

    private init(
        topic: UnsafeRawBufferPointer, properties: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, message: Message,
        source: ConnectionReference?, nowMilliseconds: UInt64
    ) {
        self.topic = topic
        self.properties = properties
        self.payload = payload
        qos = message.qos
        isRetained = message.isRetained
        tenant = message.tenant
        expirySeconds = message.remainingExpirySeconds(atMilliseconds: nowMilliseconds)
        publisher = message.publisher.map { Unmanaged.passUnretained($0) }
        sourceSession = message.sourceSession
        self.source = source
        clock = message.received
        made = message
    }

    /// From another loop, with what is owed for it.
    mutating func take(_ duty: StoreDuty?) {
        guard let duty else { return }
        withStorage {
            $0.origin = duty.origin
            $0.exclusion = duty.exclusion
            $0.promise = duty.promise
        }
    }

    /// Bytes of topic, properties and payload together.
    var byteCount: Int { topic.count + properties.count + payload.count }

    /// The message that may be kept; made at the first call.
    mutating func message() -> Message {
        if let made { return made }
        let message = Message(
            topic: topic, properties: properties, payload: payload, qos: qos, isRetained: isRetained, publisher: publisher?.takeUnretainedValue(),
            sourceSession: sourceSession, received: clock, expirySeconds: expirySeconds)
        made = message
        return message
    }
}
