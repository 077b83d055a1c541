/// A table of bounded size that forgets what was touched longest ago.
///
/// Entries are linked in the order of their last touch, so that each operation takes the same time however full it is:
/// strangers decide what is put in here.
struct RecencyTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Entry {
        var key: Key
        var value: Value
        /// Towards the one touched later, and earlier; -1 for none.
        var newer: Int
        var older: Int
    }

    let capacity: Int
    private var slots: [Key: Int] = [:]
    private var entries: [Entry] = []
    private var free: [Int] = []
    private var newest = -1
    private var oldest = -1
    /// Entries that had to go for others.
    private(set) var evicted = 0

    init(capacity: Int) { self.capacity = max(1, capacity) }

    var count: Int { slots.count }

    /// Doesn't touch.
    subscript(key: Key) -> Value? { slots[key].map { entries[$0].value } }

    /// Touches.
    mutating func set(_ value: Value, for key: Key) {
        if let slot = slots[key] {
            entries[slot].value = value
            unlink(slot)
            link(slot)
            return
        }
        if slots.count == capacity {
            evicted += 1
            remove(entries[oldest].key)
        }
        let entry = Entry(key: key, value: value, newer: -1, older: -1)
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            entries[slot] = entry
        } else {
            slot = entries.count
            entries.append(entry)
        }
        slots[key] = slot
        link(slot)
    }

    mutating func remove(_ key: Key) {
        guard let slot = slots.removeValue(forKey: key) else { return }
        unlink(slot)
        free.append(slot)
    }

    /// From the one touched longest ago.
    func forEach(_ body: (Key, Value) -> Void) {
        var slot = oldest
        while slot >= 0 {
            body(entries[slot].key, entries[slot].value)
            slot = entries[slot].newer
        }
    }

    private mutating func link(_ slot: Int) {
        entries[slot].newer = -1
        entries[slot].older = newest
        if newest >= 0 { entries[newest].newer = slot } else { oldest = slot }
        newest = slot
    }

    private mutating func unlink(_ slot: Int) {
        let (newer, older) = (entries[slot].newer, entries[slot].older)
        if newer >= 0 { entries[newer].older = older } else { newest = older }
        if older >= 0 { entries[older].newer = newer } else { oldest = newer }
    }
}
