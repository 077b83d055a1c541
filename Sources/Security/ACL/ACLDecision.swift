import MQTTModel

/// What a policy says about one message.
package enum ACLDecision: Sendable, Equatable {
    /// Allowed. For reading: a message goes out with at most this QoS. For writing, a publish above it is denied already.
    case allow(maxQoS: QoS)
    /// Denied by a rule (its number, see `ACLPolicy.location(of:)` and `reason(of:)`): a deny, or an allow whose limits the
    /// message exceeds. `nil`: nothing allows it, or the client's name holds a wildcard.
    case deny(rule: Int?)

    package var isAllowed: Bool {
        if case .allow = self { true } else { false }
    }
}
