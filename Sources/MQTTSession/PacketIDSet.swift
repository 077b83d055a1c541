/// A set of packet identifiers as a bitmap that grows to the highest one seen: clients count upwards from 1, so it
/// stays small; 8 KiB at most.
@usableFromInline
package struct PacketIDSet {
    @usableFromInline var words: [UInt64] = []
    @usableFromInline package internal(set) var count = 0

    @inlinable package init() {}

    @inlinable
    package func contains(_ id: UInt16) -> Bool {
        let word = Int(id >> 6)
        return word < words.count && words[word] & (1 << UInt64(id & 63)) != 0
    }

    /// `false` if it was there already.
    @inlinable
    package mutating func insert(_ id: UInt16) -> Bool {
        let word = Int(id >> 6), bit: UInt64 = 1 << UInt64(id & 63)
        while words.count <= word { words.append(0) }
        if words[word] & bit != 0 { return false }
        words[word] |= bit
        count += 1
        return true
    }

    /// `false` if it was not there.
    @inlinable
    package mutating func remove(_ id: UInt16) -> Bool {
        let word = Int(id >> 6), bit: UInt64 = 1 << UInt64(id & 63)
        guard word < words.count, words[word] & bit != 0 else { return false }
        words[word] &= ~bit
        count -= 1
        if count == 0 { words = [] }
        return true
    }
}
