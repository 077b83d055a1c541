/// Reading topics as bytes: eight at a time to hash and compare them, level by level to walk a tree.
///
/// Topics arrive as slices of a read buffer and are never made into strings on the way to their subscribers.
extension UnsafeRawBufferPointer {
    /// The eight bytes at `offset`, which the caller knows to be there.
    @inline(__always)
    func word(at offset: Int) -> UInt64 { loadUnaligned(fromByteOffset: offset, as: UInt64.self) }

    /// The four bytes at `offset`, which the caller knows to be there.
    @inline(__always)
    func halfWord(at offset: Int) -> UInt64 { UInt64(loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }

    /// The bytes of `range`, which the caller knows to be there.
    @inline(__always)
    func part(from start: Int, count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: baseAddress.map { $0 + start }, count: count)
    }

    /// Whether both are the same bytes. Most are shorter than 32, for which a call of memcmp costs more than the loop.
    @inline(__always)
    func holdsSameBytes(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        if count >= 8 {
            let last = count &- 8
            var offset = 0
            while offset < last {
                if word(at: offset) != other.word(at: offset) { return false }
                offset &+= 8
            }
            return word(at: last) == other.word(at: last)
        }
        if count >= 4 {
            return halfWord(at: 0) == other.halfWord(at: 0) && halfWord(at: count &- 4) == other.halfWord(at: count &- 4)
        }
        var offset = 0
        while offset < count {
            if self[offset] != other[offset] { return false }
            offset &+= 1
        }
        return true
    }

    /// Whether this is the one character `character`.
    @inline(__always)
    func isOnly(_ character: Unicode.Scalar) -> Bool { count == 1 && self[0] == UInt8(ascii: character) }
}

/// The levels of a topic name or topic filter, in order. Empty levels are levels (MQTT 5.0 section 4.7.1.1).
struct TopicLevels: Sequence, IteratorProtocol {
    private let bytes: UnsafeRawBufferPointer
    /// Start of the next level; beyond `bytes.count` after the last one.
    private var start = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func next() -> UnsafeRawBufferPointer? {
        guard start <= bytes.count else { return nil }
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "/") { end &+= 1 }
        let level = bytes.part(from: start, count: end &- start)
        start = end &+ 1
        return level
    }
}
