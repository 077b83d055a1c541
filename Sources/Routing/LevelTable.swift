/// The texts of topic levels, each kept once and known by a number: a tree compares numbers, and a million topics
/// below `site/line` hold those two texts once.
///
/// A number is valid while somebody holds a reference to it; then it is used again.
struct LevelTable {
    /// Says "no such level".
    static let none = UInt32.max

    /// A level: where its bytes are in `texts`, and how many nodes use it. 16 bytes.
    private struct Level {
        /// Offset << 16 | length: a level has at most 65,535 bytes, as its topic has.
        var place: UInt64
        /// 0 in a free entry, whose `place` is the next free one.
        var references: UInt32
        var hash: UInt32

        var offset: Int { Int(place >> 16) }
        var length: Int { Int(place & 0xFFFF) }
    }

    /// The hash stands beside the number, so that a probe reads `levels` for the right one only.
    private struct Slot {
        var hash: UInt32
        var level: UInt32
        static let free = Slot(hash: 0, level: none)
    }

    /// Number of levels in use.
    private(set) var count = 0
    private var levels: [Level] = []
    private var firstFree = none
    private var slots: [Slot] = []
    private var texts: [UInt8] = []
    /// Bytes of `texts` that no level uses any more.
    private var unusedBytes = 0
    private let seed = SeededHash()

    /// The number of a level, `none` if no one holds it.
    func find(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        count == 0 ? Self.none : find(bytes, hash: UInt32(truncatingIfNeeded: seed.hash(bytes)))
    }

    private func find(_ bytes: UnsafeRawBufferPointer, hash: UInt32) -> UInt32 {
        slots.withUnsafeBufferPointer { slots in
            let mask = slots.count &- 1
            var index = Int(hash) & mask
            while slots[index].level != Self.none {
                if slots[index].hash == hash, text(of: slots[index].level, holds: bytes) { return slots[index].level }
                index = (index &+ 1) & mask
            }
            return Self.none
        }
    }

    /// Takes a reference to the level with these bytes, at most 65,535, adding it if need be.
    mutating func retain(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        if (count + 1) * 8 > slots.count * 5 { resize(to: max(16, slots.count * 2)) }
        let hash = UInt32(truncatingIfNeeded: seed.hash(bytes))
        let known = find(bytes, hash: hash)
        if known != Self.none {
            levels[Int(known)].references += 1
            return known
        }
        let level = Level(place: UInt64(texts.count) << 16 | UInt64(bytes.count), references: 1, hash: hash)
        texts.append(contentsOf: bytes)
        let number: UInt32
        if firstFree != Self.none {
            number = firstFree
            firstFree = UInt32(levels[Int(number)].place)
            levels[Int(number)] = level
        } else {
            number = UInt32(levels.count)
            levels.append(level)
        }
        place(Slot(hash: hash, level: number))
        count += 1
        return number
    }

    /// Gives a reference back.
    mutating func release(_ number: UInt32) {
        let level = levels[Int(number)]
        precondition(level.references > 0, "released a level that nobody holds")
        guard level.references == 1 else {
            levels[Int(number)].references -= 1
            return
        }
        removeSlot(of: number, hash: level.hash)
        levels[Int(number)] = Level(place: UInt64(firstFree), references: 0, hash: 0)
        firstFree = number
        count -= 1
        unusedBytes += level.length
        if slots.count > 64, count * 8 < slots.count { resize(to: slots.count / 2) }
        if unusedBytes > 4096, unusedBytes * 2 > texts.count { compactTexts() }
    }

    /// Lends the bytes of a level.
    func withBytes<Result>(of number: UInt32, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let level = levels[Int(number)]
        return texts.withUnsafeBytes { body($0.part(from: level.offset, count: level.length)) }
    }

    private func text(of number: UInt32, holds bytes: UnsafeRawBufferPointer) -> Bool {
        withBytes(of: number) { $0.holdsSameBytes(as: bytes) }
    }

    private mutating func place(_ slot: Slot) {
        var index = Int(slot.hash) & (slots.count - 1)
        while slots[index].level != Self.none { index = (index + 1) & (slots.count - 1) }
        slots[index] = slot
    }

    private mutating func removeSlot(of number: UInt32, hash: UInt32) {
        let mask = slots.count - 1
        var hole = Int(hash) & mask
        while slots[hole].level != number { hole = (hole + 1) & mask }
        var index = (hole + 1) & mask
        while slots[index].level != Self.none {
            // As in PairTable.remove: move back whatever does not start behind the hole.
            if (index - Int(slots[index].hash)) & mask >= (index - hole) & mask {
                slots[hole] = slots[index]
                hole = index
            }
            index = (index + 1) & mask
        }
        slots[hole] = .free
    }

    private mutating func resize(to capacity: Int) {
        let old = slots
        slots = Array(repeating: .free, count: capacity)
        for slot in old where slot.level != Self.none { place(slot) }
    }

    /// Runs once for as many removed bytes as are copied.
    private mutating func compactTexts() {
        var compact: [UInt8] = []
        compact.reserveCapacity(texts.count - unusedBytes)
        for number in levels.indices where levels[number].references > 0 {
            let level = levels[number]
            levels[number].place = UInt64(compact.count) << 16 | UInt64(level.length)
            compact.append(contentsOf: texts[level.offset..<(level.offset + level.length)])
        }
        texts = compact
        unusedBytes = 0
    }
}
