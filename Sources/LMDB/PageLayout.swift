/// LMDB's file format, version 1, on a 64-bit little-endian machine, as far as checking it needs.
///
/// A page is a header of 16 bytes (number u64, pad u16, flags u16, then lower and upper u16 or, for overflow, a count
/// u32), an array of node offsets up to `lower`, free space, and the nodes from `upper` to the end. A node is 8 bytes
/// (low and high half of the data's size u16, flags u16, key's size u16), the key and the data. In a branch the first
/// three fields are the child's page number.
enum PageLayout {
    static let headerBytes = 16
    static let nodeHeaderBytes = 8
    static let magic: UInt32 = 0xBEEF_C0DE
    static let version: UInt32 = 1
    /// Below 4 KiB two keys of 511 bytes don't fit, above 32 KiB offsets don't.
    static let pageSizes = 4096...32768
    /// A root of an empty tree.
    static let noPage = UInt64.max
    /// LMDB's cursors have room for so many.
    static let maximumDepth = 32

    enum PageFlags {
        static let branch: UInt16 = 1
        static let leaf: UInt16 = 2
        static let overflow: UInt16 = 4
        static let meta: UInt16 = 8
    }

    enum NodeFlags {
        static let overflow: UInt16 = 1
        static let subdatabase: UInt16 = 2
    }

    /// Nodes begin at even offsets.
    @inline(__always)
    static func even(_ count: Int) -> Int { count + (count & 1) }
}

extension UnsafeRawBufferPointer {
    /// The caller has checked that `offset` and the value's size are within the bytes: these loads are the verifier's
    /// inner loop. The precondition stays in debug builds, where the tests throw damaged files at it.
    @inline(__always)
    func at<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: T.Type = T.self) -> T {
        assert(offset >= 0 && offset + MemoryLayout<T>.size <= count)
        return T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    @inline(__always)
    func slice(_ offset: Int, _ length: Int) -> UnsafeRawBufferPointer {
        assert(offset >= 0 && length >= 0 && offset + length <= count)
        return UnsafeRawBufferPointer(start: baseAddress.unsafelyUnwrapped + offset, count: length)
    }
}
