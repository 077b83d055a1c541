/// Texts and their numbers: levels of topics, names of users. Filled while a policy is compiled, never changed after it, so that
/// nothing is counted or locked when it is read.
///
/// Open addressing with linear probing, at most half full. The hash has no secret: texts come from the operator's file, and a
/// client that looks one up can't make the table worse than it is.
struct TextTable: Sendable {
    static let none = UInt32.max

    private struct Slot: Sendable {
        var hash: UInt32
        var number: UInt32
    }
    private struct Place: Sendable {
        var start: UInt32
        var count: UInt32
    }

    private var slots = [Slot(hash: 0, number: none), Slot(hash: 0, number: none)]
    private var places: [Place] = []
    private var texts: [UInt8] = []

    var count: Int { places.count }

    /// The number of a text, `none` if it has none.
    @inline(__always)
    func find(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let hash = UInt32(truncatingIfNeeded: Self.hash(bytes))
        return find(bytes, hash)
    }

    private func find(_ bytes: UnsafeRawBufferPointer, _ hash: UInt32) -> UInt32 {
        let mask = slots.count &- 1
        var index = Int(hash) & mask
        while slots[index].number != Self.none {
            if slots[index].hash == hash, holds(slots[index].number, bytes) { return slots[index].number }
            index = (index &+ 1) & mask
        }
        return Self.none
    }

    /// The number of a text, a new one if it has none.
    mutating func number(of bytes: UnsafeRawBufferPointer) -> UInt32 {
        let hash = UInt32(truncatingIfNeeded: Self.hash(bytes))
        let known = find(bytes, hash)
        guard known == Self.none else { return known }
        if (count + 1) * 2 > slots.count { grow() }
        let number = UInt32(places.count)
        places.append(Place(start: UInt32(texts.count), count: UInt32(bytes.count)))
        texts.append(contentsOf: bytes)
        place(Slot(hash: hash, number: number))
        return number
    }

    /// The first byte of a text that has a number; `nil` for the empty text.
    func firstByte(of number: UInt32) -> UInt8? {
        let place = places[Int(number)]
        return place.count == 0 ? nil : texts[Int(place.start)]
    }

    func bytes(of number: UInt32) -> ArraySlice<UInt8> {
        let place = places[Int(number)]
        return texts[Int(place.start)..<Int(place.start + place.count)]
    }

    private func holds(_ number: UInt32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let place = places[Int(number)]
        guard Int(place.count) == bytes.count, place.count > 0 else { return Int(place.count) == bytes.count }
        return texts.withUnsafeBytes { Self.areSame($0.baseAddress! + Int(place.start), bytes) }
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Slot(hash: 0, number: Self.none), count: old.count * 2)
        for slot in old where slot.number != Self.none { place(slot) }
    }

    private mutating func place(_ slot: Slot) {
        var index = Int(slot.hash) & (slots.count - 1)
        while slots[index].number != Self.none { index = (index + 1) & (slots.count - 1) }
        slots[index] = slot
    }

    /// Most texts are shorter than 16 bytes, for which a call of memcmp costs more than this.
    @inline(__always)
    static func areSame(_ left: UnsafeRawPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        let count = right.count
        guard let right = right.baseAddress else { return true }
        var offset = 0
        while offset &+ 8 <= count {
            if left.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != right.loadUnaligned(fromByteOffset: offset, as: UInt64.self) {
                return false
            }
            offset &+= 8
        }
        while offset < count {
            if left.load(fromByteOffset: offset, as: UInt8.self) != right.load(fromByteOffset: offset, as: UInt8.self) { return false }
            offset &+= 1
        }
        return true
    }

    /// Multiply and fold, eight bytes at a time.
    @inline(__always)
    static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let start = bytes.baseAddress else { return 0 }
        let count = bytes.count
        var state = 0x9E37_79B9_7F4A_7C15 ^ UInt64(truncatingIfNeeded: count)
        var offset = 0
        while offset &+ 8 <= count {
            state = fold(state ^ start.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        var last: UInt64 = 0
        while offset < count {
            last = last &<< 8 | UInt64(start.load(fromByteOffset: offset, as: UInt8.self))
            offset &+= 1
        }
        return fold(state ^ last)
    }

    @inline(__always)
    private static func fold(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return product.high ^ product.low
    }
}
