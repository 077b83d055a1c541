import MQTTModel

/// The in-flight window of QoS 1 and 2 towards one client, in the order of sending.
///
/// Packet identifiers are given out one after the other, so the window is a ring indexed by identifier: an
/// acknowledgement finds its message without a search. The ring spans from the oldest unacknowledged identifier to the
/// newest, and doubles as that span grows; it never spans more than 65,535.
@usableFromInline
package struct OutboundFlow {
    @usableFromInline
    package enum Phase: UInt8 {
        case awaitingPubAck, awaitingPubRec, awaitingPubComp
    }

    @usableFromInline
    struct Entry {
        @usableFromInline var delivery: Delivery
        @usableFromInline var phase: Phase

        @inlinable
        init(delivery: consuming Delivery, phase: Phase) {
            self.delivery = delivery
            self.phase = phase
        }
    }

    @usableFromInline var ring: [Entry?] = []
    @usableFromInline var mask = 0
    /// Identifier of the oldest slot in the span, and the length of the span.
    @usableFromInline var firstID: UInt16 = 1
    @usableFromInline var span = 0
    /// Messages not acknowledged, on this connection or before it.
    @usableFromInline package internal(set) var count = 0
    /// Of those, sent on this connection: what the client's Receive Maximum limits.
    @usableFromInline package internal(set) var outstanding = 0
    /// Distance from `firstID` of the first entry that this connection has not carried yet.
    @usableFromInline var resendOffset = 0

    @inlinable package init() {}

    @inlinable package var isEmpty: Bool { count == 0 }

    /// Whether a message may be sent now: everything from before has been sent again, the window is open, and an
    /// identifier is free.
    @inlinable
    package func mayAdmit(window: Int) -> Bool { resendOffset == span && outstanding < window && span < 65_535 }

    /// Takes the message into the window and gives its packet identifier. The caller has asked `mayAdmit`.
    @inlinable
    package mutating func admit(_ delivery: consuming Delivery) -> UInt16 {
        // One slot stays empty: identifiers skip 0 where they wrap, slots do not.
        if span >= ring.count - 1 { grow() }
        let id = Self.advance(firstID, by: span)
        let phase: Phase = delivery.qos == .exactlyOnce ? .awaitingPubRec : .awaitingPubAck
        ring[Int(id) & mask] = Entry(delivery: delivery, phase: phase)
        span += 1
        count += 1
        outstanding += 1
        resendOffset += 1
        return id
    }

    /// Whether a message whose identifier is fixed may be sent now. `false` also when it is too far ahead of the oldest
    /// unacknowledged one: 65,535 messages were dropped in between, and it has to wait.
    @inlinable
    package func mayAdmit(_ id: UInt16, window: Int) -> Bool {
        guard resendOffset == span, outstanding < window else { return false }
        return span == 0 || (distance(to: id) >= span && distance(to: id) < 65_534)
    }

    /// Takes a message whose identifier follows from its place in the stored queue. The caller has asked `mayAdmit`.
    @inlinable
    package mutating func admit(_ delivery: Delivery, as id: UInt16) {
        if span == 0 { firstID = id }
        let newSpan = distance(to: id) + 1
        while newSpan >= ring.count { grow() }
        let phase: Phase = delivery.isReleased ? .awaitingPubComp : delivery.qos == .exactlyOnce ? .awaitingPubRec : .awaitingPubAck
        ring[Int(id) & mask] = Entry(delivery: delivery, phase: phase)
        span = newSpan
        count += 1
        outstanding += 1
        resendOffset = newSpan
    }

    @usableFromInline
    package enum AcknowledgeResult {
        /// The exchange is over; the identifier is free.
        case finished(Delivery)
        /// PUBREC accepted: send PUBREL.
        case release
        /// PUBREC again: PUBREL again.
        case releaseAgain
        /// No such exchange: PUBREL and PUBCOMP answer 0x92 where the protocol has it.
        case unknown
        /// An acknowledgement of the wrong kind for this identifier.
        case outOfOrder
    }

    @inlinable @inline(__always)
    package mutating func receivedPubAck(_ id: UInt16) -> AcknowledgeResult {
        guard let phase = phase(of: id) else { return .unknown }
        return phase == .awaitingPubAck ? .finished(finish(id)) : .outOfOrder
    }

    /// - Parameter isError: The reason code is 0x80 or above: the receiver will not have it [MQTT-4.3.3-4].
    @inlinable @inline(__always)
    package mutating func receivedPubRec(_ id: UInt16, isError: Bool) -> AcknowledgeResult {
        switch phase(of: id) {
        case nil: return .unknown
        case .awaitingPubAck?: return .outOfOrder
        case .awaitingPubRec? where isError: return .finished(finish(id))
        case .awaitingPubComp?: return .releaseAgain
        case .awaitingPubRec?:
            ring[Int(id) & mask]!.phase = .awaitingPubComp  // phase(of:) has seen the entry
            return .release
        }
    }

    @inlinable @inline(__always)
    package mutating func receivedPubComp(_ id: UInt16) -> AcknowledgeResult {
        switch phase(of: id) {
        case nil: .unknown
        case .awaitingPubComp?: .finished(finish(id))
        case .awaitingPubAck?, .awaitingPubRec?: .outOfOrder
        }
    }

    /// A new network connection: everything unacknowledged is to be sent again.
    package mutating func connectionBegan() {
        outstanding = 0
        resendOffset = 0
    }

    /// The next exchange to take up again on a new connection, in the order of first sending [MQTT-4.4.0-1]
    /// [MQTT-4.6.0-1]; `nil` when all have been or the window is full.
    package mutating func nextToResend(window: Int) -> (id: UInt16, phase: Phase, delivery: Delivery)? {
        guard resendOffset < span, outstanding < window else { return nil }
        let id = Self.advance(firstID, by: resendOffset)
        let entry = ring[Int(id) & mask]!  // skipGaps() leaves the offset at an entry or at the end
        resendOffset += 1
        outstanding += 1
        skipGaps()
        return (id, entry.phase, entry.delivery)
    }

    /// A client may acknowledge now what its last connection carried: what is gone is not to be sent again.
    @inlinable
    mutating func skipGaps() {
        while resendOffset < span, ring[Int(Self.advance(firstID, by: resendOffset)) & mask] == nil { resendOffset += 1 }
    }

    /// Whether this connection has carried everything that was unacknowledged when it began.
    @inlinable
    package var hasResentAll: Bool { resendOffset == span }

    /// The message under `id`, `nil` if there is none.
    @inlinable
    package func delivery(of id: UInt16) -> Delivery? { phase(of: id) == nil ? nil : ring[Int(id) & mask]?.delivery }

    /// Takes a message out that can't be sent. `false` if it is not there.
    package mutating func abandon(_ id: UInt16) -> Bool {
        guard phase(of: id) != nil else { return false }
        _ = finish(id)
        return true
    }

    /// Everything unacknowledged in the order of first sending.
    package func forEach(_ body: (_ id: UInt16, _ phase: Phase, _ delivery: Delivery) -> Void) {
        var id = firstID
        for _ in 0..<span {
            if let entry = ring[Int(id) & mask] { body(id, entry.phase, entry.delivery) }
            id = Self.advance(id, by: 1)
        }
    }

    /// Takes out those that `predicate` chooses, in order. Their identifiers are free again.
    package mutating func extract(where predicate: (Phase, Delivery) -> Bool) -> [Delivery] {
        var ids: [UInt16] = []
        forEach { id, phase, delivery in if predicate(phase, delivery) { ids.append(id) } }
        return ids.map { finish($0) }
    }

    @inlinable
    func phase(of id: UInt16) -> Phase? {
        guard span > 0, id != 0 else { return nil }
        return distance(to: id) < span ? ring[Int(id) & mask]?.phase : nil
    }

    /// Identifiers from `firstID` to `id`. There are 65,535: 0 is none, so distances skip it.
    @inlinable
    func distance(to id: UInt16) -> Int {
        id >= firstID ? Int(id) - Int(firstID) : Int(id) + 65_535 - Int(firstID)
    }

    @inlinable
    mutating func finish(_ id: UInt16) -> Delivery {
        let delivery = ring[Int(id) & mask].take()!.delivery  // every caller has found the entry
        count -= 1
        if distance(to: id) < resendOffset { outstanding -= 1 }
        if count == 0 {
            firstID = Self.advance(firstID, by: span)
            span = 0
            resendOffset = 0
            if ring.count > 64 {
                ring = []
                mask = 0
            }
        } else {
            while span > 0, ring[Int(firstID) & mask] == nil {
                firstID = Self.advance(firstID, by: 1)
                span -= 1
                if resendOffset > 0 { resendOffset -= 1 }
            }
            skipGaps()
        }
        return delivery
    }

    @usableFromInline
    mutating func grow() {
        let size = max(8, ring.count * 2)
        var larger = [Entry?](repeating: nil, count: size)
        var id = firstID
        for _ in 0..<span {
            larger[Int(id) & (size - 1)] = ring[Int(id) & mask]
            id = Self.advance(id, by: 1)
        }
        ring = larger
        mask = size - 1
    }

    @inlinable
    static func advance(_ id: UInt16, by steps: Int) -> UInt16 {
        let sum = Int(id) + steps
        return UInt16(sum > 65_535 ? sum - 65_535 : sum)
    }
}
