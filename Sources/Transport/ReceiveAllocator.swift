import NIOCore

/// Sizes of the read buffer: small for the thousands that say little, large within two reads for those that say much.
///
/// NIO's adaptive allocator doubles and starts at 2 KiB; each connection keeps the buffer, so what an idle connection
/// costs is its first one.
package struct ReceiveAllocator: RecvByteBufferAllocator {
    private static let small = 512
    private static let large = 64 * 1024
    private static let largest = 256 * 1024

    private var size = small

    package init() {}

    package func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: size) }
    package func nextBufferSize() -> Int? { size }

    package mutating func record(actualReadBytes: Int) -> Bool {
        guard actualReadBytes >= size, size < Self.largest else { return false }
        size = size < Self.large ? (size < 4096 ? 4096 : Self.large) : Self.largest
        return true
    }
}
