import MQTTModel

/// Publishes whose acknowledgement waits for plugins, by token. A token is good for one publish: a late or repeated
/// completion finds a newer generation and is ignored.
struct HeldPublishes {
    struct Hold {
        let session: SessionReference
        var connection: ConnectionReference
        /// Number in the connection's `AckGate`; means nothing at QoS 0.
        var gateSequence: UInt64
        let packetID: UInt16
        let qos: QoS
        /// Plugins that have not completed.
        var waiting: Int
        var failure: ReasonCode?
    }

    private struct Slot {
        var hold: Hold?
        var generation: UInt32
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private(set) var count = 0

    /// A token for a publish that is about to be shown to plugins.
    mutating func reserve() -> UInt64 {
        if let slot = free.popLast() {
            slots[Int(slot)].generation &+= 1
            return UInt64(slots[Int(slot)].generation) << 32 | UInt64(slot)
        }
        slots.append(Slot(hold: nil, generation: 1))
        return 1 << 32 | UInt64(slots.count - 1)
    }

    /// Nobody holds it after all.
    mutating func cancel(_ token: UInt64) { free.append(UInt32(truncatingIfNeeded: token)) }

    mutating func hold(_ hold: Hold, token: UInt64) {
        slots[Int(UInt32(truncatingIfNeeded: token))].hold = hold
        count += 1
    }

    /// One plugin has completed.
    /// - Returns: The hold, when it was the last.
    mutating func complete(_ token: UInt64, failure: ReasonCode?) -> Hold? {
        let slot = Int(UInt32(truncatingIfNeeded: token))
        guard slot < slots.count, slots[slot].generation == UInt32(truncatingIfNeeded: token >> 32), var hold = slots[slot].hold
        else { return nil }
        hold.waiting -= 1
        if let failure { hold.failure = failure }
        guard hold.waiting <= 0 else {
            slots[slot].hold = hold
            return nil
        }
        slots[slot].hold = nil
        free.append(UInt32(slot))
        count -= 1
        return hold
    }

    /// The client has sent a held QoS 2 message again on a new connection: the acknowledgement goes there.
    mutating func redirect(_ token: UInt64, to connection: ConnectionReference, gateSequence: UInt64) {
        let slot = Int(UInt32(truncatingIfNeeded: token))
        guard slot < slots.count, slots[slot].generation == UInt32(truncatingIfNeeded: token >> 32) else { return }
        slots[slot].hold?.connection = connection
        slots[slot].hold?.gateSequence = gateSequence
    }
}
