/// Bytes on their way to one socket: gathered during a tick, written once at its end, no memory while there are none.
///
/// Raw memory, because a `ByteBuffer` write costs more than the message it carries (docs/performance.md). The owner is
/// one connection on one loop; the block goes back to the loop's pool when everything is written.
struct OutputBuffer: ~Copyable {
    private(set) var count = 0
    private var capacity = 0
    private var base: UnsafeMutableRawPointer?

    init() {}

    deinit { base?.deallocate() }

    var isEmpty: Bool { count == 0 }

    /// Room for `bytes` more; the caller fills it and calls `commit`.
    @inline(__always)
    mutating func reserve(_ bytes: Int, pool: BlockPool) -> UnsafeMutableRawPointer {
        if count &+ bytes > capacity { grow(toHold: count + bytes, pool: pool) }
        return base.unsafelyUnwrapped + count
    }

    @inline(__always)
    mutating func commit(_ bytes: Int) { count &+= bytes }

    mutating func append(_ bytes: UnsafeRawBufferPointer, pool: BlockPool) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count, pool: pool).copyMemory(from: source, byteCount: bytes.count)
        commit(bytes.count)
    }

    @inline(__always)
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Everything has been written or handed on.
    @inline(__always)
    mutating func removeAll(pool: BlockPool) {
        if let base { pool.give(base, capacity: capacity) }
        base = nil
        capacity = 0
        count = 0
    }

    /// The first `bytes` have been written; the rest moves to the front.
    @inline(__always)
    mutating func removeFirst(_ bytes: Int, pool: BlockPool) {
        guard bytes < count, let base else { return removeAll(pool: pool) }
        base.copyMemory(from: base + bytes, byteCount: count - bytes)
        count -= bytes
    }

    /// Everything behind the first `bytes` is given up.
    mutating func truncate(to bytes: Int) { count = min(count, bytes) }

    @inline(never)
    private mutating func grow(toHold needed: Int, pool: BlockPool) {
        let (block, size) = pool.take(atLeast: needed)
        if let base {
            block.copyMemory(from: base, byteCount: count)
            pool.give(base, capacity: capacity)
        }
        base = block
        capacity = size
    }
}

/// Blocks of memory for output buffers, reused within one loop.
final class BlockPool {
    private static let sizes = [1 << 12, 1 << 14, 1 << 16]
    /// Blocks kept of each size: 1 MiB, 1 MiB, 2 MiB.
    private static let kept = [256, 64, 32]
    private var free: [[UnsafeMutableRawPointer]] = [[], [], []]

    deinit { for list in free { for block in list { block.deallocate() } } }

    func take(atLeast bytes: Int) -> (UnsafeMutableRawPointer, Int) {
        for (index, size) in Self.sizes.enumerated() where bytes <= size {
            return (free[index].popLast() ?? .allocate(byteCount: size, alignment: 16), size)
        }
        var size = Self.sizes[2] * 2
        while size < bytes { size *= 2 }
        return (.allocate(byteCount: size, alignment: 16), size)
    }

    func give(_ block: UnsafeMutableRawPointer, capacity: Int) {
        if let index = Self.sizes.firstIndex(of: capacity), free[index].count < Self.kept[index] {
            free[index].append(block)
        } else {
            block.deallocate()
        }
    }
}
