/// A hash of topic bytes that a peer cannot steer: clients choose the topics, so without a secret they could choose
/// them to collide, and every table of this target would become a list.
///
/// The scheme is wyhash's (folded 64 x 64 -> 128 bit multiplication), some 20 instructions for a topic of 20 bytes.
struct SeededHash: Sendable {
    private let first: UInt64
    private let second: UInt64

    /// Draws the secret from the system's random source.
    init() {
        var random = SystemRandomNumberGenerator()
        first = random.next()
        second = random.next() | 1  // never 0: a product with 0 would forget the other factor
    }

    func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let start = bytes.baseAddress else { return first }
        return hash(start, count: bytes.count)
    }

    @inline(__always)
    func hash(_ bytes: UnsafeRawPointer, count: Int) -> UInt64 {
        var state = first
        var low: UInt64 = 0
        var high: UInt64 = 0
        if count > 16 {
            var offset = 0
            while offset &+ 16 < count {
                state = Self.fold(bytes.word(at: offset) ^ second, bytes.word(at: offset &+ 8) ^ state)
                offset &+= 16
            }
            // The last 16 bytes, some of them for the second time: no tail loop.
            low = bytes.word(at: count &- 16)
            high = bytes.word(at: count &- 8)
        } else if count >= 4 {
            let middle = (count &>> 3) &<< 2
            low = bytes.halfWord(at: 0) &<< 32 | bytes.halfWord(at: middle)
            high = bytes.halfWord(at: count &- 4) &<< 32 | bytes.halfWord(at: count &- 4 &- middle)
        } else if count > 0 {
            low = UInt64(bytes.byte(at: 0)) &<< 16 | UInt64(bytes.byte(at: count &>> 1)) &<< 8 | UInt64(bytes.byte(at: count &- 1))
        }
        let product = (low ^ second).multipliedFullWidth(by: high ^ state)
        return Self.fold(product.low ^ first ^ UInt64(truncatingIfNeeded: count), product.high ^ second)
    }

    /// Hash of two numbers, such as a node and the level below it.
    func hash(_ left: UInt32, _ right: UInt32) -> UInt64 {
        Self.fold((UInt64(left) &<< 32 | UInt64(right)) ^ first, second)
    }

    private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }
}
