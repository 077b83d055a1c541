import MQTTModel

/// What the broker remembers of a session's PUBLISH packets: the QoS 2 identifiers that were seen and not released, so
/// that a retransmission is recognised [MQTT-4.3.3-10], and the quota of the connection (MQTT 5.0 section 4.9).
@usableFromInline
package struct InboundFlow {
    /// QoS 2 identifiers received, no PUBREL yet. Part of the session state.
    @usableFromInline var unreleased = PacketIDSet()
    /// Of those, identifiers whose PUBREC waits for a plugin or the store.
    @usableFromInline var held = PacketIDSet()
    /// QoS 2 exchanges begun on this connection, for the quota.
    @usableFromInline var begunOnConnection = 0

    @inlinable package init() {}

    @usableFromInline
    package enum PublishDecision: Equatable {
        case route
        /// A QoS 2 retransmission: send PUBREC again, route nothing.
        case acknowledgeAgain
        /// A QoS 2 retransmission of a message that is still held: PUBREC follows when the hold ends.
        case acknowledgeLater
        case disconnect(ReasonCode)
    }

    /// - Parameter unacknowledged: QoS 1 messages of this connection whose acknowledgement is held. QoS 2, held or not, is
    ///   counted here from PUBLISH to PUBREL.
    /// - Parameter receiveMaximum: The announced quota, `nil` for MQTT 3, which has none.
    @inlinable
    package mutating func received(qos: QoS, packetID: UInt16, unacknowledged: Int, receiveMaximum: Int?) -> PublishDecision {
        guard qos != .atMostOnce else { return .route }
        if qos == .exactlyOnce, unreleased.contains(packetID) {
            return held.contains(packetID) ? .acknowledgeLater : .acknowledgeAgain
        }
        if let receiveMaximum, unacknowledged + begunOnConnection >= receiveMaximum {
            return .disconnect(.receiveMaximumExceeded)  // [MQTT-3.3.4-9]
        }
        if qos == .exactlyOnce {
            _ = unreleased.insert(packetID)
            begunOnConnection += 1
        }
        return .route
    }

    /// An identifier that was seen before the broker was started.
    package mutating func restore(_ packetID: UInt16) { _ = unreleased.insert(packetID) }

    package mutating func hold(_ packetID: UInt16) { _ = held.insert(packetID) }
    package mutating func endHold(_ packetID: UInt16) { _ = held.remove(packetID) }

    /// PUBREL. `false`: the identifier is unknown; PUBCOMP says so with 0x92.
    @inlinable
    package mutating func released(_ packetID: UInt16) -> Bool {
        _ = held.remove(packetID)
        guard unreleased.remove(packetID) else { return false }
        if begunOnConnection > 0 { begunOnConnection -= 1 }
        return true
    }

    /// PUBREC with an error reason: the exchange is over, and the identifier free [MQTT-4.3.3-9].
    package mutating func refused(_ packetID: UInt16) { _ = released(packetID) }

    /// A new network connection: quotas start anew, the memory stays.
    package mutating func connectionBegan() { begunOnConnection = 0 }
}
