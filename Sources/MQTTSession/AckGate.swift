import DequeModule
import MQTTModel

/// Decides when a PUBACK or PUBREC may leave: after every promise made for the message is kept, and in the order in
/// which the PUBLISH packets came [MQTT-4.6.0-2] [MQTT-4.6.0-3].
///
/// One per connection: an acknowledgement that is due when the connection has gone is never sent.
@usableFromInline
package struct AckGate {
    @usableFromInline
    package struct Acknowledgement: Equatable {
        package let packetID: UInt16
        package let qos: QoS
        package let reason: ReasonCode

        package init(packetID: UInt16, qos: QoS, reason: ReasonCode) {
            self.packetID = packetID
            self.qos = qos
            self.reason = reason
        }
    }

    @usableFromInline
    enum Entry {
        case waiting(packetID: UInt16, qos: QoS)
        case ready(Acknowledgement)
    }

    @usableFromInline var entries = Deque<Entry>()
    /// Sequence number of the first entry.
    @usableFromInline var firstSequence: UInt64 = 0
    /// Acknowledgements that have not left: those that wait and those behind them.
    @inlinable package var count: Int { entries.count }
    /// Entries that wait.
    @usableFromInline package internal(set) var waiting = 0
    /// Of those, QoS 1: what `InboundFlow` does not count itself.
    @usableFromInline package internal(set) var waitingAtLeastOnce = 0

    @inlinable package init() {}

    /// Nothing is held: an acknowledgement may leave at once, without passing through here.
    @inlinable package var isOpen: Bool { entries.isEmpty }

    /// Holds the acknowledgement of a message; `complete` names it by the sequence number.
    package mutating func hold(packetID: UInt16, qos: QoS) -> UInt64 {
        entries.append(.waiting(packetID: packetID, qos: qos))
        waiting += 1
        if qos == .atLeastOnce { waitingAtLeastOnce += 1 }
        return firstSequence + UInt64(entries.count - 1)
    }

    /// Queues one that waits for nothing but its predecessors.
    package mutating func append(_ acknowledgement: Acknowledgement) {
        entries.append(.ready(acknowledgement))
    }

    /// The promises for `sequence` are kept, or will never be. Unknown numbers are ignored.
    package mutating func complete(_ sequence: UInt64, reason: ReasonCode) {
        guard sequence >= firstSequence, sequence - firstSequence < UInt64(entries.count) else { return }
        let index = Int(sequence - firstSequence)
        guard case .waiting(let packetID, let qos) = entries[index] else { return }
        entries[index] = .ready(Acknowledgement(packetID: packetID, qos: qos, reason: reason))
        waiting -= 1
        if qos == .atLeastOnce { waitingAtLeastOnce -= 1 }
    }

    /// The next acknowledgement that may leave.
    package mutating func popReady() -> Acknowledgement? {
        guard case .ready(let acknowledgement)? = entries.first else { return nil }
        entries.removeFirst()
        firstSequence += 1
        if entries.isEmpty { entries = Deque() }
        return acknowledgement
    }
}
