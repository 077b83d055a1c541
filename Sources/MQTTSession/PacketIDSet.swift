/// A set of packet identifiers as a bitmap. Clients count upwards, so it covers the span from the lowest identifier since it
/// was last empty to the highest: a few words for most clients, 8 KiB at most.
@usableFromInline
package struct PacketIDSet {
    /// Words kept by an empty set.
    @usableFromInline static var keptWords: Int { 64 }

    @usableFromInline var words: [UInt64] = []
    /// Number of the word that `words` begins with.
    @usableFromInline var firstWord = 0
    @usableFromInline package internal(set) var count = 0

    @inlinable package init() {}

    @inlinable
    package func contains(_ id: UInt16) -> Bool {
        let word = Int(id &>> 6) &- firstWord
        return word >= 0 && word < words.count && words[word] & (1 &<< UInt64(id & 63)) != 0
    }

    /// `false` if it was there already.
    @inlinable
    package mutating func insert(_ id: UInt16) -> Bool {
        let bit: UInt64 = 1 &<< UInt64(id & 63)
        let word = Int(id &>> 6)
        if count == 0 {
            words.removeAll(keepingCapacity: true)
            firstWord = word
        }
        if word < firstWord || word >= firstWord &+ words.count { cover(word) }
        if words[word &- firstWord] & bit != 0 { return false }
        words[word &- firstWord] |= bit
        count &+= 1
        return true
    }

    /// `false` if it was not there.
    @inlinable
    package mutating func remove(_ id: UInt16) -> Bool {
        guard contains(id) else { return false }
        words[Int(id &>> 6) &- firstWord] &= ~(1 &<< UInt64(id & 63))
        count &-= 1
        if count == 0, words.count > Self.keptWords { words = [] }
        return true
    }

    @usableFromInline
    mutating func cover(_ word: Int) {
        if word < firstWord {
            words.insert(contentsOf: repeatElement(0, count: firstWord - word), at: 0)
            firstWord = word
        } else {
            words.append(contentsOf: repeatElement(0, count: word - firstWord - words.count + 1))
        }
    }
}
