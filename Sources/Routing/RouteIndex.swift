/// Which line of a route cache holds the result for a topic.
///
/// Two lines for each value of the hash, so that two busy topics may share it. A line is valid for one generation:
/// nothing is invalidated line by line, a new generation is a new number; a line that the change did not concern can be renewed. Lines and keys are flat arrays whose memory is
/// reused, so that the cache has an upper bound whatever clients publish to.
///
/// A line is a tenant's: the hash is of topic and tenant, and of one topic it differs for any two tenants. So a line with
/// the same hash and the same topic is of the same tenant, and nothing is compared for it.
@usableFromInline
package struct RouteIndex {
    /// Topics longer than this are not cached.
    @usableFromInline package static let maximumTopicLength = 512
    private static let minimumKeyPower: UInt8 = 4

    private struct Line {
        var hash: UInt64 = 0
        var generation: UInt64 = 0
        /// A block of `keys`, once `keyPower` is not 0; kept when the line changes its topic.
        var keyStart: UInt32 = 0
        /// 0 in an unused line: no topic is empty.
        var length: UInt16 = 0
        var keyPower: UInt8 = 0
    }

    /// Number of lines so far, 0 before the first insertion.
    @usableFromInline package var lineCount: Int { lines.count }
    private let maximumLines: Int
    private var lines: [Line] = []
    private var keys = BlockPool<UInt8>(filler: 0)
    /// Lines of other topics overwritten since the cache last grew. Those of older generations count too: they may be renewed.
    private var evictions = 0
    private let seed = SeededHash()

    /// - Parameter maximumLines: Rounded up to a power of two; at least 2.
    @usableFromInline package init(maximumLines: Int) {
        self.maximumLines = 1 << (Int.bitWidth - (max(2, maximumLines) - 1).leadingZeroBitCount)
    }

    /// The line of a topic in this generation, -1 if there is none. 88 instructions for a topic of 20 bytes.
    @usableFromInline package func line(of topic: UnsafeRawBufferPointer, tenant: UInt32, generation: UInt64) -> Int {
        let count = topic.count
        guard let text = topic.baseAddress, lines.count != 0, count <= Self.maximumTopicLength else { return -1 }
        let hash = seed.hash(text, count: count) ^ Self.mark(of: tenant)
        return lines.withUnsafeBufferPointer { lines in
            let first = Int(truncatingIfNeeded: hash) & (lines.count &- 2)
            let index = lines[first].hash == hash ? first : first | 1
            guard lines[index].hash == hash, lines[index].generation == generation, Int(lines[index].length) == count else { return -1 }
            return keys.elements.withUnsafeBytes { keys in
                // No key without a block, no block without memory.
                let key = keys.baseAddress.unsafelyUnwrapped + Int(lines[index].keyStart)
                return key.holdsSameBytes(as: text, count: count) ? index : -1
            }
        }
    }

    /// The line of a topic that was of `oldest` or a later generation, and is of this one now; -1 if there is none.
    @usableFromInline package mutating func renew(
        _ topic: UnsafeRawBufferPointer, tenant: UInt32, since oldest: UInt64, generation: UInt64
    ) -> Int {
        guard !lines.isEmpty, !topic.isEmpty, topic.count <= Self.maximumTopicLength else { return -1 }
        let hash = seed.hash(topic) ^ Self.mark(of: tenant)
        let first = Int(truncatingIfNeeded: hash) & (lines.count - 2)
        for index in first...(first + 1)
        where lines[index].hash == hash && lines[index].generation >= oldest && holds(lines[index], topic) {
            lines[index].generation = generation
            return index
        }
        return -1
    }

    /// An odd factor makes no two of the same; 0 for the tenant 0.
    @inline(__always)
    private static func mark(of tenant: UInt32) -> UInt64 { UInt64(tenant) &* 0x9E37_79B9_7F4A_7C15 }

    /// Gives a tenant's topic of 1 to `maximumTopicLength` bytes a line, growing if too many valid ones were overwritten.
    @usableFromInline package mutating func insert(_ topic: UnsafeRawBufferPointer, tenant: UInt32, generation: UInt64) -> Int {
        if lines.isEmpty {
            lines = Array(repeating: Line(), count: min(256, maximumLines))
        } else if evictions >= lines.count / 4, lines.count < maximumLines {
            grow()
        }
        let hash = seed.hash(topic) ^ Self.mark(of: tenant)
        let first = Int(truncatingIfNeeded: hash) & (lines.count - 2)
        let index = choose(first, topic, hash: hash, generation: generation)
        var power = Self.minimumKeyPower
        while 1 << Int(power) < topic.count { power += 1 }
        if lines[index].keyPower < power {
            if lines[index].keyPower != 0 { keys.free(lines[index].keyStart, power: lines[index].keyPower) }
            lines[index].keyStart = keys.allocate(power: power)
            lines[index].keyPower = power
        }
        keys.write(topic, at: lines[index].keyStart)
        lines[index].hash = hash
        lines[index].generation = generation
        lines[index].length = UInt16(topic.count)
        return index
    }

    /// The line to overwrite: the topic's own of an older generation, an unused one, one of an older generation, or either in turn.
    private mutating func choose(_ first: Int, _ topic: UnsafeRawBufferPointer, hash: UInt64, generation: UInt64) -> Int {
        let pair = first...(first + 1)
        if let own = pair.first(where: { lines[$0].hash == hash && holds(lines[$0], topic) }) { return own }
        if let unused = pair.first(where: { lines[$0].length == 0 }) { return unused }
        evictions += 1
        return pair.first { lines[$0].generation != generation } ?? first + (evictions & 1)
    }

    /// Twice the lines, all unused: the topics in use come back with their next message.
    private mutating func grow() {
        lines = Array(repeating: Line(), count: lines.count * 2)
        keys = BlockPool(filler: 0)
        evictions = 0
    }

    private func holds(_ line: Line, _ topic: UnsafeRawBufferPointer) -> Bool {
        keys.elements.withUnsafeBytes { keys in
            keys.part(from: Int(line.keyStart), count: Int(line.length)).holdsSameBytes(as: topic)
        }
    }
}
