import NIOCore

/// The buffer into which the handlers of one event loop decrypt, one after the other: an idle connection has none.
///
/// Taken out while it is in use, so that a handler within a handler's turn gets one of its own.
package final class TLSScratch {
    @exclusivity(unchecked) private var buffer: ByteBuffer?

    /// A larger one isn't kept.
    private static let maxKeptBytes = 262_144

    package init() {}

    @inline(__always)
    func take() -> ByteBuffer {
        guard let kept = buffer else { return ByteBuffer() }
        buffer = nil
        return kept
    }

    /// Kept if nobody else holds its bytes.
    @inline(__always)
    func give(_ used: consuming ByteBuffer) {
        guard used.capacity <= Self.maxKeptBytes else { return }
        used.clear()
        buffer = used
    }
}
