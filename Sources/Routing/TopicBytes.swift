/// Reading topics as bytes: eight at a time to hash and compare them, level by level to walk a tree.
///
/// Topics arrive as slices of a read buffer and are never made into strings on the way to their subscribers.
extension UnsafeRawPointer {
    /// The eight bytes at `offset`, which the caller knows to be there.
    @inline(__always)
    func word(at offset: Int) -> UInt64 { UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }

    /// The four bytes at `offset`, which the caller knows to be there.
    @inline(__always)
    func halfWord(at offset: Int) -> UInt64 { UInt64(loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }

    @inline(__always)
    func byte(at offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }

    /// Whether both are the same `count` bytes. Most are fewer than 32, for which a call of memcmp costs more than the
    /// loop.
    @inline(__always)
    func holdsSameBytes(as other: UnsafeRawPointer, count: Int) -> Bool {
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
            if byte(at: offset) != other.byte(at: offset) { return false }
            offset &+= 1
        }
        return true
    }

    /// Offset of the first `/` from `start`, or `end` if there is none.
    @inline(__always)
    func nextSlash(from start: Int, to end: Int) -> Int {
        var offset = start
        while offset &+ 8 <= end {
            // Slashes become zero bytes; the lowest marked byte is the first of them.
            let word = word(at: offset) ^ 0x2F2F_2F2F_2F2F_2F2F
            let zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            if zeros != 0 { return offset &+ zeros.trailingZeroBitCount &>> 3 }
            offset &+= 8
        }
        while offset < end, byte(at: offset) != UInt8(ascii: "/") { offset &+= 1 }
        return offset
    }
}

extension UnsafeRawBufferPointer {
    /// `count` bytes from `start`, which the caller knows to be there.
    @inline(__always)
    func part(from start: Int, count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: baseAddress.map { $0 + start }, count: count)
    }

    /// Whether both are the same bytes.
    @inline(__always)
    func holdsSameBytes(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        guard let bytes = baseAddress, let otherBytes = other.baseAddress else { return count == 0 }
        return bytes.holdsSameBytes(as: otherBytes, count: count)
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
        let end = bytes.baseAddress?.nextSlash(from: start, to: bytes.count) ?? 0
        let level = bytes.part(from: start, count: end &- start)
        start = end &+ 1
        return level
    }
}
