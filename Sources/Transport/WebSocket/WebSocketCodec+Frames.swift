/// The bytes of frames: those that go to the client, and the masks of those that come from it.
extension WebSocketCodec {
    // MARK: To the client
    /// Bytes of the longest header of a frame from the server.
    package static let maxHeaderBytes = 10

    /// Writes the header of one unmasked, final binary frame: everything that is flushed at once is one frame.
    ///
    /// - Parameter destination: At least `maxHeaderBytes` long.
    /// - Returns: The header's bytes: 2, 4 or 10.
    package static func writeHeader(payloadCount count: Int, to destination: UnsafeMutableRawBufferPointer) -> Int {
        precondition(count >= 0 && destination.count >= maxHeaderBytes)
        destination[0] = 0x82
        if count < 126 {
            destination[1] = UInt8(count)
            return 2
        }
        if count <= 0xFFFF {
            destination[1] = 126
            destination.storeBytes(of: UInt16(count).bigEndian, toByteOffset: 2, as: UInt16.self)
            return 4
        }
        destination[1] = 127
        destination.storeBytes(of: UInt64(count).bigEndian, toByteOffset: 2, as: UInt64.self)
        return 10
    }

    /// As `writeHeader`, appended to `output`.
    package static func header(payloadCount: Int, into output: inout [UInt8]) {
        withUnsafeTemporaryAllocation(byteCount: maxHeaderBytes, alignment: 8) { bytes in
            let count = writeHeader(payloadCount: payloadCount, to: bytes)
            output.append(contentsOf: bytes[..<count])
        }
    }

    /// A close frame without a reason: what the peer did wrong is for our log. `.noStatus`: without a code.
    package static func closeFrame(_ code: WebSocketCloseCode) -> [UInt8] {
        code == .noStatus ? [0x88, 0] : [0x88, 2, UInt8(code.rawValue >> 8), UInt8(code.rawValue & 0xFF)]
    }

    // MARK: Masks

    /// - Parameter destination: At least as long as `source`; it may be the same memory.
    static func unmask(_ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer, mask: UInt32) {
        guard let from = source.baseAddress, let to = destination.baseAddress else { return }
        precondition(destination.count >= source.count)
        let little = UInt64(UInt32(littleEndian: mask))
        let wide = (little | little << 32).littleEndian
        var index = 0
        while index &+ 8 <= source.count {
            to.storeBytes(of: from.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ wide, toByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        while index < source.count {
            let byte = UInt8(truncatingIfNeeded: little >> (UInt64(index & 3) &* 8))
            to.storeBytes(of: from.load(fromByteOffset: index, as: UInt8.self) ^ byte, toByteOffset: index, as: UInt8.self)
            index &+= 1
        }
    }
}
