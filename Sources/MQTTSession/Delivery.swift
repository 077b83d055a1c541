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

    @inlinable
    package init(message: Message, qos: QoS, retain: Bool, subscriptionIDs: [UInt32]? = nil, share: ShareReference? = nil) {
        self.message = message
        self.qos = qos
        self.retain = retain
        self.subscriptionIDs = subscriptionIDs
        self.share = share
    }

    /// What a bounded queue charges for it: the bytes and a flat sum for the bookkeeping.
    @inlinable package var queuedBytes: Int { message.byteCount + 64 }
}
