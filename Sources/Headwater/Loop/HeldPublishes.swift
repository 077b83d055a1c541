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
        /// What the publisher is charged for it.
        let bytes: Int
        /// Plugins that have not completed, one bit each.
        var waiting: UInt64
        var failure: ReasonCode?
        /// What it led to is in this batch for the store, 0 for nothing.
        var batch: UInt64 = 0
        /// The packet identifier goes into the store when the hold ends.
        var isToBeRemembered = false
    }

    /// Stands for the store where plugins have their bits.
    static let storeBit: UInt64 = 63

    private struct Slot {
        var hold: Hold?
        var generation: UInt32
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private(set) var count = 0
    /// Sum of `Hold.bytes`.
    private(set) var bytes = 0

    // A token is, from the low end: 32 bits slot, 6 bits plugin, 26 bits generation.
    private static let generationShift: UInt64 = 38
    private static let generationMask: UInt32 = 1 << 26 - 1

    /// The token that one of the plugins completes, `plugin` in 0…63: what it says counts for itself alone.
    static func token(_ token: UInt64, ofPlugin plugin: Int) -> UInt64 { token | UInt64(plugin & 63) << 32 }

    private func slot(of token: UInt64) -> Int? {
        let slot = Int(UInt32(truncatingIfNeeded: token))
        guard slot < slots.count, slots[slot].generation == UInt32(token >> Self.generationShift) else { return nil }
        return slot
    }

    /// A token for a publish that is about to be shown to plugins.
    mutating func reserve() -> UInt64 {
        if let slot = free.popLast() {
            slots[Int(slot)].generation = (slots[Int(slot)].generation &+ 1) & Self.generationMask
            return UInt64(slots[Int(slot)].generation) << Self.generationShift | UInt64(slot)
        }
        slots.append(Slot(hold: nil, generation: 1))
        return 1 << Self.generationShift | UInt64(slots.count - 1)
    }

    /// Nobody holds it after all.
    mutating func cancel(_ token: UInt64) { free.append(UInt32(truncatingIfNeeded: token)) }

    mutating func hold(_ hold: Hold, token: UInt64) {
        slots[Int(UInt32(truncatingIfNeeded: token))].hold = hold
        count += 1
        bytes += hold.bytes
    }

    mutating func note(batch: UInt64, token: UInt64) {
        if let slot = slot(of: token) { slots[slot].hold?.batch = batch }
    }

    mutating func wait(_ token: UInt64, for waiting: UInt64) {
        if let slot = slot(of: token) { slots[slot].hold?.waiting |= waiting }
    }

    mutating func rememberWhenDone(_ token: UInt64) {
        if let slot = slot(of: token) { slots[slot].hold?.isToBeRemembered = true }
    }

    /// What is held under a token, `nil` if it has been completed.
    subscript(token: UInt64) -> Hold? { slot(of: token).flatMap { slots[$0].hold } }

    /// One plugin has completed.
    /// - Returns: The hold, when it was the last.
    mutating func complete(_ token: UInt64, failure: ReasonCode?) -> Hold? {
        let plugin: UInt64 = 1 << (token >> 32 & 63)
        guard let slot = slot(of: token), var hold = slots[slot].hold, hold.waiting & plugin != 0 else { return nil }
        hold.waiting &= ~plugin
        if let failure { hold.failure = failure }
        guard hold.waiting == 0 else {
            slots[slot].hold = hold
            return nil
        }
        slots[slot].hold = nil
        free.append(UInt32(slot))
        count -= 1
        bytes -= hold.bytes
        return hold
    }

    /// The client has sent a held QoS 2 message again on a new connection: the acknowledgement goes there.
    mutating func redirect(_ token: UInt64, to connection: ConnectionReference, gateSequence: UInt64) {
        guard let slot = slot(of: token) else { return }
        slots[slot].hold?.connection = connection
        slots[slot].hold?.gateSequence = gateSequence
    }
}
