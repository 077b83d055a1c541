/// Finds the packets in a stream of bytes by their fixed headers (MQTT 5.0 section 2.1), without touching their bodies.
///
/// The one thing done for every packet of every connection, so it looks at two bytes in the common case, and the one place
/// where a length from the network is met first, so it answers before the body has arrived.

/// Where a packet lies in the buffer that it was found in.
@usableFromInline
package struct Frame: Hashable, Sendable {
    /// Packet type and flags.
    @usableFromInline package let firstByte: UInt8
    /// Offset of the first byte after the fixed header.
    @usableFromInline package let bodyStart: Int
    /// Offset of the first byte after the packet.
    @usableFromInline package let end: Int

    @inlinable
    package init(firstByte: UInt8, bodyStart: Int, end: Int) {
        self.firstByte = firstByte
        self.bodyStart = bodyStart
        self.end = end
    }

    /// The MQTT Control Packet type, 0…15.
    @inlinable package var type: UInt8 { firstByte &>> 4 }

    /// The packet without its fixed header, in the buffer that `readFrame` was given.
    @inlinable
    package func body(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[bodyStart..<end])
    }
}

@usableFromInline
package enum FrameResult: Hashable, Sendable {
    /// The packet is not all there. `totalBytes` is its size with the fixed header, 0 while that is not complete itself.
    case needMore(totalBytes: Int)
    case frame(Frame)
    case malformed(DecodeError)
}

/// Reads the fixed header at `offset` (0…`bytes.count`).
///
/// - Parameter maxPacketBytes: Largest packet allowed, fixed header included. A larger one is `.packetTooLarge` as soon as
///   its length is known.
@inlinable
package func readFrame(_ bytes: UnsafeRawBufferPointer, at offset: Int, maxPacketBytes: Int) -> FrameResult {
    guard bytes.count &- offset >= 2 else { return .needMore(totalBytes: 0) }
    let bodyStart: Int
    let end: Int
    let short = bytes[offset &+ 1]
    if short < 0x80 {
        bodyStart = offset &+ 2
        end = bodyStart &+ Int(short)
    } else {
        switch VariableByteInteger.read(bytes, at: offset &+ 1) {
        case .value(let value, let length):
            bodyStart = offset &+ 1 &+ length
            end = bodyStart &+ value
        case .incomplete: return .needMore(totalBytes: 0)
        case .malformed: return .malformed(.lengthEncoding)
        }
    }
    if end &- offset > maxPacketBytes { return .malformed(.packetTooLarge) }
    if end > bytes.count { return .needMore(totalBytes: end &- offset) }
    return .frame(Frame(firstByte: bytes[offset], bodyStart: bodyStart, end: end))
}
