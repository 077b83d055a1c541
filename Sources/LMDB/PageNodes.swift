import Glibc

/// The nodes of one page, after `PageNodeCheck` has found all of them inside it.
struct PageNodes {
    let page: UnsafeRawBufferPointer
    let count: Int

    @inline(__always)
    private func offset(_ index: Int) -> Int {
        Int(page.at(PageLayout.headerBytes + 2 * index, as: UInt16.self))
    }

    @inline(__always)
    func key(_ index: Int) -> UnsafeRawBufferPointer {
        let offset = offset(index)
        return page.slice(offset + PageLayout.nodeHeaderBytes, Int(page.at(offset + 6, as: UInt16.self)))
    }

    /// Of a branch.
    @inline(__always)
    func child(_ index: Int) -> UInt64 { page.at(offset(index), as: UInt64.self) & 0xFFFF_FFFF_FFFF }

    /// Of a leaf.
    @inline(__always)
    func flags(_ index: Int) -> UInt16 { page.at(offset(index) + 4) }

    /// Of a leaf: of the value, wherever it is.
    @inline(__always)
    func valueBytes(_ index: Int) -> Int { Int(page.at(offset(index), as: UInt32.self)) }

    /// Of a leaf: what follows the key, which is the value or the number of its first overflow page.
    @inline(__always)
    func data(_ index: Int) -> UnsafeRawBufferPointer {
        let offset = offset(index)
        let keyBytes = Int(page.at(offset + 6, as: UInt16.self))
        let isElsewhere = flags(index) & PageLayout.NodeFlags.overflow != 0
        return page.slice(offset + PageLayout.nodeHeaderBytes + keyBytes, isElsewhere ? 8 : valueBytes(index))
    }
}

/// The order of a tree's keys: integers for the free list, bytes for all others.
@inline(__always)
func isAscending(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, areIntegers: Bool) -> Bool {
    if areIntegers { return first.at(0, as: UInt64.self) < second.at(0, as: UInt64.self) }
    let order = memcmp(first.baseAddress.unsafelyUnwrapped, second.baseAddress.unsafelyUnwrapped, min(first.count, second.count))
    return order == 0 ? first.count < second.count : order < 0
}
