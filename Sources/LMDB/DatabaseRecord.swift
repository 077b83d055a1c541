/// The root of one tree and what it should contain, as it lies in a meta page or in a leaf of the main database.
struct DatabaseRecord: Equatable {
    static let byteCount = 48

    var pad: UInt32
    var flags: UInt16
    var depth: UInt16
    var branchPages: UInt64
    var leafPages: UInt64
    var overflowPages: UInt64
    var entries: UInt64
    var root: UInt64

    /// `bytes` has at least `byteCount` bytes.
    init(_ bytes: UnsafeRawBufferPointer) {
        pad = bytes.at(0)
        flags = bytes.at(4)
        depth = bytes.at(6)
        branchPages = bytes.at(8)
        leafPages = bytes.at(16)
        overflowPages = bytes.at(24)
        entries = bytes.at(32)
        root = bytes.at(40)
    }

    var isEmpty: Bool { root == PageLayout.noPage }
}
