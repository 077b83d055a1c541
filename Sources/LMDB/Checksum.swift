import CLMDB

/// CRC-32C (Castagnoli): tells bytes that a disk, a cable or a memory module has changed. No defence against intent.
///
/// The processor's instruction where there is one (a few GB/s), eight tables in step elsewhere.
@usableFromInline package enum Checksum {
    /// A checksum over several pieces: hand the result of one to the next as `previous`. 0 starts.
    @inlinable
    package static func crc32c(_ bytes: UnsafeRawBufferPointer, continuing previous: UInt32 = 0) -> UInt32 {
        guard let start = bytes.baseAddress else { return previous }
        if hasInstruction { return ~headwater_crc32c(~previous, start, bytes.count) }
        return portable(bytes, continuing: previous)
    }

    @usableFromInline
    static let hasInstruction = headwater_has_crc32c() != 0

    /// Eight tables of 256: the remainder of each byte value followed by 0...7 zero bytes.
    /// Written once, before anybody can see it, and never freed: that's the proof for `nonisolated(unsafe)`.
    private nonisolated(unsafe) static let tables: UnsafePointer<UInt32> = {
        let reversedPolynomial: UInt32 = 0x82F6_3B78
        let tables = UnsafeMutablePointer<UInt32>.allocate(capacity: 8 * 256)
        for byte in 0..<256 {
            var remainder = UInt32(byte)
            for _ in 0..<8 { remainder = remainder & 1 == 1 ? remainder >> 1 ^ reversedPolynomial : remainder >> 1 }
            tables[byte] = remainder
        }
        for index in 256..<8 * 256 {
            let shorter = tables[index - 256]
            tables[index] = shorter >> 8 ^ tables[Int(shorter & 0xFF)]
        }
        return UnsafePointer(tables)
    }()

    @usableFromInline
    static func portable(_ bytes: UnsafeRawBufferPointer, continuing previous: UInt32) -> UInt32 {
        let tables = Self.tables
        var state = ~previous
        var offset = 0
        while bytes.count - offset >= 8 {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) ^ UInt64(state)
            state = 0
            for position in 0..<8 { state ^= tables[(7 - position) * 256 + Int(word >> (8 * position) & 0xFF)] }
            offset += 8
        }
        while offset < bytes.count {
            state = state >> 8 ^ tables[Int((state ^ UInt32(bytes[offset])) & 0xFF)]
            offset += 1
        }
        return ~state
    }
}
