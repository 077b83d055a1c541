import DequeModule
import MQTTModel

/// Messages that wait for one session: its window is full, its socket is, or it is away. Bounded by count and bytes.
@usableFromInline
package struct PendingQueue {
    @usableFromInline var deliveries = Deque<Delivery>()
    @usableFromInline package internal(set) var bytes = 0

    @inlinable package init() {}

    @inlinable package var count: Int { deliveries.count }
    @inlinable package var isEmpty: Bool { deliveries.isEmpty }
    package var first: Delivery? { deliveries.first }

    /// Whether one more of `bytes` fits.
    package func hasRoom(for bytes: Int, maxCount: Int, maxBytes: Int) -> Bool {
        deliveries.count < maxCount && self.bytes + bytes <= maxBytes
    }

    package mutating func append(_ delivery: Delivery) {
        deliveries.append(delivery)
        bytes += delivery.queuedBytes
    }

    package mutating func popFirst() -> Delivery? {
        guard let delivery = deliveries.popFirst() else { return nil }
        bytes -= delivery.queuedBytes
        if deliveries.isEmpty { deliveries = Deque() }  // an idle session holds no memory for its queue
        return delivery
    }

    /// Takes out those that `predicate` chooses, in order.
    package mutating func extract(where predicate: (Delivery) -> Bool) -> [Delivery] {
        guard deliveries.contains(where: predicate) else { return [] }
        var taken: [Delivery] = []
        var kept = Deque<Delivery>()
        for delivery in deliveries {
            if predicate(delivery) {
                taken.append(delivery)
                bytes -= delivery.queuedBytes
            } else {
                kept.append(delivery)
            }
        }
        deliveries = kept
        return taken
    }

    package mutating func removeAll() -> Int {
        let count = deliveries.count
        deliveries = Deque()
        bytes = 0
        return count
    }
}
