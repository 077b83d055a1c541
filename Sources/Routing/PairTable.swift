/// A map from two numbers to one, for every edge of a tree at once: (node, level) -> child, (node, subscriber) ->
/// subscription. One flat table in place of a dictionary per node.
///
/// Open addressing with linear probing. Removal shifts the followers back instead of leaving tombstones, so that a
/// table in which subscriptions come and go for months stays as fast as a new one. Growing rehashes at once: one
/// million pairs stop the loop for some 20 ms.
struct PairTable {
    /// Says "absent". No key and no value is this number.
    static let none = UInt32.max

    private struct Slot {
        var first: UInt32
        var second: UInt32
        var value: UInt32
        static let free = Slot(first: none, second: none, value: none)
    }

    private(set) var count = 0
    private var slots: [Slot] = []
    private let seed = SeededHash()

    /// The value of a pair, `none` if it has none.
    func value(_ first: UInt32, _ second: UInt32) -> UInt32 {
        slots.withUnsafeBufferPointer { slots in
            guard slots.count > 0 else { return Self.none }
            let mask = slots.count &- 1
            var index = Int(truncatingIfNeeded: seed.hash(first, second)) & mask
            while slots[index].first != Self.none {
                if slots[index].first == first, slots[index].second == second { return slots[index].value }
                index = (index &+ 1) & mask
            }
            return Self.none
        }
    }

    /// Adds a pair that is not in the table.
    mutating func add(_ first: UInt32, _ second: UInt32, value: UInt32) {
        // At most 5/8 full: with linear probing a miss then costs some four slots.
        if (count + 1) * 8 > slots.count * 5 { resize(to: max(16, slots.count * 2)) }
        place(Slot(first: first, second: second, value: value))
        count += 1
    }

    /// Removes a pair that is in the table.
    mutating func remove(_ first: UInt32, _ second: UInt32) {
        let mask = slots.count - 1
        var hole = home(first, second)
        while slots[hole].first != first || slots[hole].second != second {
            precondition(slots[hole].first != Self.none, "removed a pair that is not in the table")
            hole = (hole + 1) & mask
        }
        var index = (hole + 1) & mask
        while slots[index].first != Self.none {
            let home = home(slots[index].first, slots[index].second)
            // A follower may move into the hole unless its home lies behind the hole, going round.
            if (index - home) & mask >= (index - hole) & mask {
                slots[hole] = slots[index]
                hole = index
            }
            index = (index + 1) & mask
        }
        slots[hole] = .free
        count -= 1
        if slots.count > 64, count * 8 < slots.count { resize(to: slots.count / 2) }
    }

    private func home(_ first: UInt32, _ second: UInt32) -> Int {
        Int(truncatingIfNeeded: seed.hash(first, second)) & (slots.count - 1)
    }

    private mutating func place(_ slot: Slot) {
        var index = home(slot.first, slot.second)
        while slots[index].first != Self.none { index = (index + 1) & (slots.count - 1) }
        slots[index] = slot
    }

    private mutating func resize(to capacity: Int) {
        let old = slots
        slots = Array(repeating: .free, count: capacity)
        for slot in old where slot.first != Self.none { place(slot) }
    }
}
