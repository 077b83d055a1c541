import MQTTModel

/// One message on its way to one session: what a queue holds and a window remembers.
@usableFromInline
package struct Delivery {
    @usableFromInline package let message: Message
    /// Subscription identifiers of the subscriptions that matched, `nil` for none.
    @usableFromInline package let subscriptionIDs: [UInt32]?
    /// The shared subscription that chose this session, `nil` for an ordinary delivery. Such a message goes to another
    /// member when this one leaves.
    @usableFromInline package let share: ShareReference?
    /// The smaller of the QoS of publisher and subscription [MQTT-3.8.4-8].
    @usableFromInline package let qos: QoS
    /// The RETAIN flag of the PUBLISH to be sent.
    @usableFromInline package let retain: Bool
    /// The receiver has the message (PUBREC), on a connection before this one: PUBREL is what is left to be sent.
    @usableFromInline package let isReleased: Bool
    /// Place in the session's stored queue; 0: the store does not have it. The packet identifier follows from it.
    @usableFromInline package var sequence: UInt64 = 0
    /// Where it is on its way into the store: until the batch is given to the writer, it can be taken back.
    @usableFromInline package var place = Place()

    /// A batch for the store, and an operation in it, in eight bytes. A loop's batches are numbered from 1 in each life of the
    /// broker; at a thousand a second 40 bits last 34 years.
    @usableFromInline
    package struct Place {
        @usableFromInline let bits: UInt64

        @inlinable package init() { bits = 0 }
        package init(batch: UInt64, index: UInt32) { bits = batch << 24 | UInt64(index & 0xFF_FFFF) }

        package var batch: UInt64 { bits >> 24 }
        package var index: UInt32 { UInt32(truncatingIfNeeded: bits & 0xFF_FFFF) }
    }

    @inlinable
    package init(
        message: Message, qos: QoS, retain: Bool, subscriptionIDs: [UInt32]? = nil, share: ShareReference? = nil, isReleased: Bool = false
    ) {
        self.isReleased = isReleased
        self.message = message
        self.qos = qos
        self.retain = retain
        self.subscriptionIDs = subscriptionIDs
        self.share = share
    }

    /// What a bounded queue charges for it: the bytes and a flat sum for the bookkeeping.
    @inlinable package var queuedBytes: Int { message.byteCount + Self.flatBytes }
    /// What is charged for a message that the receiver has, while PUBCOMP is awaited.
    @inlinable package static var flatBytes: Int { 64 }

    /// The packet identifier of a stored message: the same before and after a restart, without being stored.
    @inlinable package var storedPacketID: UInt16 { Self.packetID(ofSequence: sequence) }

    @inlinable package static func packetID(ofSequence sequence: UInt64) -> UInt16 {
        UInt16(truncatingIfNeeded: (sequence &- 1) % 65_535) &+ 1
    }
}
