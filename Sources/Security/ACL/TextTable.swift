/// A text to be looked up: its bytes, and up to sixteen of them in two words, which is all that most levels of topics have.
struct TextKey {
    /// The first eight bytes and the next eight, padded with zeros; of a text of more than 16 bytes a hash, and 0.
    let low: UInt64
    let high: UInt64
    let bytes: UnsafeRawBufferPointer

    static let wordBytes = 16

    init(_ bytes: UnsafeRawBufferPointer) {
        // An empty buffer may have no address; what is not read may be anywhere.
        let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 8)!
        self.init(start, from: 0, to: bytes.count, of: bytes.count)
    }

    /// - Parameters:
    ///   - text: The start of `total` readable bytes.
    ///   - start, end: The key's part of them.
    @inline(__always)
    init(_ text: UnsafeRawPointer, from start: Int, to end: Int, of total: Int) {
        let count = end &- start
        bytes = UnsafeRawBufferPointer(start: text + start, count: count)
        if count <= 8 {
            low = Self.word(text, from: start, to: end, of: total)
            high = 0
        } else if count <= Self.wordBytes {
            low = Self.load(text, start)
            high = Self.word(text, from: start &+ 8, to: end, of: total)
        } else {
            var state: UInt64 = 0
            var offset = start
            while offset &+ 8 < end {
                state = Self.fold(state ^ Self.load(text, offset))
                offset &+= 8
            }
            low = Self.fold(state ^ Self.load(text, end &- 8))
            high = 0
        }
    }

    /// At most eight bytes as one number, without a read beyond the text.
    @inline(__always)
    private static func word(_ text: UnsafeRawPointer, from start: Int, to end: Int, of total: Int) -> UInt64 {
        let count = end &- start
        if count == 0 { return 0 }
        let unused = UInt64(truncatingIfNeeded: 64 &- 8 &* count)
        if start &+ 8 <= total { return (load(text, start) &<< unused) &>> unused }
        if end >= 8 { return load(text, end &- 8) &>> unused }
        var word: UInt64 = 0
        var offset = end
        while offset > start {
            offset &-= 1
            word = word &<< 8 | UInt64(text.load(fromByteOffset: offset, as: UInt8.self))
        }
        return word
    }

    @inline(__always)
    private static func load(_ text: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    var hash: UInt32 {
        UInt32(truncatingIfNeeded: Self.fold(low ^ Self.fold(high ^ UInt64(truncatingIfNeeded: bytes.count) &* 0x9E37_79B9_7F4A_7C15)))
    }

    @inline(__always)
    private static func fold(_ value: UInt64) -> UInt64 {
        let product = (value ^ 0xE703_7ED1_A0B4_28DB).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return product.high ^ product.low
    }
}

/// Texts and their numbers: levels of topics, names of users. Filled while a policy is compiled, never changed after it, so that
/// nothing is counted or locked when it is read.
///
/// Open addressing with linear probing, at most half full; a text of up to 16 bytes stands in its slot, so that it is found in one
/// cache line. The hash has no secret: texts come from the operator's file, and a client that looks one up can't make the table worse
/// than it is.
struct TextTable: Sendable {
    static let none = UInt32.max

    private struct Slot: Sendable {
        var low: UInt64 = 0
        var high: UInt64 = 0
        var count: UInt32 = 0
        /// Of a free slot: `none`.
        var number = TextTable.none
        /// Of a text of more than 16 bytes: where it is in `texts`.
        var start: UInt32 = 0
        var hash: UInt32 = 0
    }

    private struct Place: Sendable {
        var start: UInt32
        var count: UInt32
    }

    private var slots = [Slot(), Slot()]
    /// By number.
    private var places: [Place] = []
    private var texts: [UInt8] = []

    var count: Int { places.count }

    /// The number of a text, `none` if it has none.
    @inline(__always)
    func find(_ key: TextKey) -> UInt32 {
        slots.withUnsafeBufferPointer { slots in
            let mask = slots.count &- 1
            var index = Int(key.hash) & mask
            while slots[index].number != Self.none {
                if slots[index].low == key.low, slots[index].high == key.high, Int(slots[index].count) == key.bytes.count,
                    key.bytes.count <= TextKey.wordBytes || hasText(slots[index].start, key.bytes)
                {
                    return slots[index].number
                }
                index = (index &+ 1) & mask
            }
            return Self.none
        }
    }

    func find(_ bytes: UnsafeRawBufferPointer) -> UInt32 { find(TextKey(bytes)) }

    private func hasText(_ start: UInt32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        texts.withUnsafeBytes { $0[Int(start)..<(Int(start) + bytes.count)].elementsEqual(bytes) }
    }

    /// The number of a text, a new one if it has none.
    mutating func number(of bytes: UnsafeRawBufferPointer) -> UInt32 {
        let key = TextKey(bytes)
        let known = find(key)
        guard known == Self.none else { return known }
        if (count + 1) * 2 > slots.count { grow() }
        let number = UInt32(places.count)
        let start = UInt32(texts.count)
        places.append(Place(start: start, count: UInt32(bytes.count)))
        texts.append(contentsOf: bytes)
        place(Slot(low: key.low, high: key.high, count: UInt32(bytes.count), number: number, start: start, hash: key.hash))
        return number
    }

    /// A text that has a number.
    func bytes(of number: UInt32) -> ArraySlice<UInt8> {
        let place = places[Int(number)]
        return texts[Int(place.start)..<Int(place.start + place.count)]
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Slot(), count: old.count * 2)
        for slot in old where slot.number != Self.none { place(slot) }
    }

    private mutating func place(_ slot: Slot) {
        var index = Int(slot.hash) & (slots.count - 1)
        while slots[index].number != Self.none { index = (index + 1) & (slots.count - 1) }
        slots[index] = slot
    }
}
