/// Finds out whether a page's bytes are nodes: afterwards every offset and size that the page states may be trusted.
///
/// LMDB leaves no holes between nodes, so they must tile the space from `upper` to the page's end exactly. A scratch
/// array indexed by offset proves that in one pass, without sorting: each node writes its size at its place, then a walk
/// from `upper` hops from node to node.
struct PageNodeCheck: ~Copyable {
    private let pageSize: Int
    /// By half of the offset; 0 where no node begins. All 0 between two pages.
    private let sizes: UnsafeMutableBufferPointer<UInt16>

    init(pageSize: Int) {
        self.pageSize = pageSize
        sizes = .allocate(capacity: pageSize / 2)
        sizes.initialize(repeating: 0)
    }

    deinit { sizes.deallocate() }

    /// `page` is exactly a page. With `areIntegers`, keys are the free list's transaction numbers.
    mutating func check(
        _ page: UnsafeRawBufferPointer, number: UInt64, isLeaf: Bool, areIntegers: Bool
    ) throws(PageFinding) -> PageNodes {
        guard page.at(0, as: UInt64.self) == number else { throw .damaged(number, "a page with another page's number") }
        let flags: UInt16 = page.at(10)
        guard flags == (isLeaf ? PageLayout.PageFlags.leaf : PageLayout.PageFlags.branch) else {
            throw .damaged(number, isLeaf ? "no leaf where a leaf should be" : "no branch where a branch should be")
        }
        let lower = Int(page.at(12, as: UInt16.self))
        let upper = Int(page.at(14, as: UInt16.self))
        guard lower >= PageLayout.headerBytes, lower <= upper, upper <= pageSize, lower & 1 == 0, upper & 1 == 0 else {
            throw .damaged(number, "the bounds of the page's free space are impossible")
        }
        let nodes = PageNodes(page: page, count: (lower - PageLayout.headerBytes) / 2)
        // LMDB stops the process at a branch with one child, except while it rebuilds its free list.
        guard nodes.count >= (isLeaf || areIntegers ? 1 : 2) else { throw .damaged(number, "a page without nodes") }
        for index in 0..<nodes.count {
            try checkNode(page, index, number: number, upper: upper, isLeaf: isLeaf, areIntegers: areIntegers)
        }
        try checkTiling(nodes.count, from: upper, number: number)
        try checkOrder(nodes, number: number, isLeaf: isLeaf, areIntegers: areIntegers)
        return nodes
    }

    @inline(__always)
    private func checkNode(
        _ page: UnsafeRawBufferPointer, _ index: Int, number: UInt64, upper: Int, isLeaf: Bool, areIntegers: Bool
    ) throws(PageFinding) {
        let offset = Int(page.at(PageLayout.headerBytes + 2 * index, as: UInt16.self))
        guard offset & 1 == 0, offset >= upper, offset + PageLayout.nodeHeaderBytes <= pageSize else {
            throw .damaged(number, "a node outside its page")
        }
        let keyBytes = Int(page.at(offset + 6, as: UInt16.self))
        var size = PageLayout.nodeHeaderBytes + keyBytes
        if isLeaf {
            let flags: UInt16 = page.at(offset + 4)
            size += flags & PageLayout.NodeFlags.overflow != 0 ? 8 : Int(page.at(offset, as: UInt32.self))
        }
        size = PageLayout.even(size)
        guard size <= pageSize - offset else { throw .damaged(number, "a node leaves its page") }
        // Nothing ever looks at the first key of a branch: the pages left of the second key are under it, whatever it says.
        if isLeaf || index > 0 {
            guard areIntegers ? keyBytes == 8 : (1...Database.maximumKeyBytes).contains(keyBytes) else {
                throw .damaged(number, "a key of impossible size")
            }
        }
        guard sizes[offset / 2] == 0 else { throw .damaged(number, "two nodes in one place") }
        sizes[offset / 2] = UInt16(truncatingIfNeeded: size)
    }

    private func checkTiling(_ count: Int, from upper: Int, number: UInt64) throws(PageFinding) {
        var offset = upper
        for _ in 0..<count {
            guard offset < pageSize, sizes[offset / 2] != 0 else { throw .damaged(number, "nodes overlap") }
            let size = Int(sizes[offset / 2])
            sizes[offset / 2] = 0
            offset += size
        }
        guard offset == pageSize else { throw .damaged(number, "nodes overlap") }
    }

    @inline(__always)
    private func checkOrder(_ nodes: PageNodes, number: UInt64, isLeaf: Bool, areIntegers: Bool) throws(PageFinding) {
        let first = isLeaf ? 0 : 1
        guard nodes.count > first else { return }
        var previous = nodes.key(first)
        for index in first + 1..<max(nodes.count, first + 1) {
            let key = nodes.key(index)
            guard isAscending(previous, key, areIntegers: areIntegers) else { throw .damaged(number, "keys out of order") }
            previous = key
        }
    }
}
