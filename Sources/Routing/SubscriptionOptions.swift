import MQTTModel

/// What a subscription asks for, in eight bytes: a node's subscribers are read one behind the other for each message.
///
/// Retain Handling is missing on purpose: it matters once, at SUBSCRIBE, and never to a match.
@usableFromInline
package struct SubscriptionOptions: Equatable, Sendable {
    /// Maximum QoS granted.
    @usableFromInline package var qos: QoS
    /// The subscriber does not want its own messages [MQTT-3.8.3-3].
    @usableFromInline package var noLocal: Bool
    /// The RETAIN flag is forwarded as it was published [MQTT-3.3.1-13].
    @usableFromInline package var retainAsPublished: Bool
    /// Subscription Identifier, 1 to 268,435,455; 0 is none.
    @usableFromInline package var subscriptionID: UInt32

    @inlinable
    package init(qos: QoS, noLocal: Bool = false, retainAsPublished: Bool = false, subscriptionID: UInt32 = 0) {
        self.qos = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.subscriptionID = subscriptionID
    }
}
