import Glibc

/// Walks the trees of a file, one after the other, depth first and in key order, and believes nothing: whatever it hands
/// on has been checked, whatever is wrong ends it with a finding.
struct TreeWalk: ~Copyable {
    /// A page between the root and where the walk is, and the limits that the pages above it set for its keys: from
    /// `lower` (nil: none) up to but not including `upper`. They point into the buffers of the levels above.
    private struct Level {
        var nodes: PageNodes
        var next = 0
        let lower: UnsafeRawBufferPointer?
        let upper: UnsafeRawBufferPointer?
    }

    /// Of one tree, to be compared with what its record says.
    private struct Found {
        var branchPages: UInt64 = 0
        var leafPages: UInt64 = 0
        var overflowPages: UInt64 = 0
        var entries: UInt64 = 0
    }

    enum Tree { case main, free, named }

    let pageSize: Int
    private(set) var claims: PageClaims
    private var check: PageNodeCheck
    private let buffers: UnsafeMutableRawBufferPointer
    private var levels: [Level] = []
    private var found = Found()
    private var overflowValue: [UInt8] = []

    init(pageSize: Int, lastPage: UInt64) {
        self.pageSize = pageSize
        claims = PageClaims(lastPage: lastPage)
        check = PageNodeCheck(pageSize: pageSize)
        buffers = .allocate(byteCount: PageLayout.maximumDepth * pageSize, alignment: pageSize)
    }

    deinit { buffers.deallocate() }

    mutating func claim(_ page: UInt64) throws(PageFinding) { try claims.claim(page) }

    /// Visits every value in order; with `readsValues` false those of overflow pages come as empty. False: `deadline` has
    /// passed before the end, and counts weren't compared.
    mutating func walk(
        _ record: DatabaseRecord, _ tree: Tree, of file: borrowing PageFile, readsValues: Bool, deadline: ContinuousClock.Instant? = nil,
        visit: ((_ page: UInt64, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(PageFinding) -> Void)?
    ) throws(PageFinding) -> Bool {
        found = Found()
        if record.isEmpty {
            guard record.depth == 0 else { throw .damaged(nil, "an empty database with a depth") }
            try compareCounts(record)
            return true
        }
        let depth = Int(record.depth)
        guard (1...PageLayout.maximumDepth).contains(depth) else { throw .damaged(nil, "a database of impossible depth") }
        levels.removeAll(keepingCapacity: true)
        try enter(record.root, tree, depth: depth, lower: nil, upper: nil, file, readsValues, visit)
        while let level = levels.last {
            guard level.next < level.nodes.count else {
                levels.removeLast()
                continue
            }
            if let deadline, ContinuousClock.now >= deadline { return false }
            levels[levels.count - 1].next += 1
            let lower = level.next == 0 ? level.lower : level.nodes.key(level.next)
            let upper = level.next + 1 < level.nodes.count ? level.nodes.key(level.next + 1) : level.upper
            try enter(level.nodes.child(level.next), tree, depth: depth, lower: lower, upper: upper, file, readsValues, visit)
        }
        try compareCounts(record)
        return true
    }

    private mutating func enter(
        _ page: UInt64, _ tree: Tree, depth: Int, lower: UnsafeRawBufferPointer?, upper: UnsafeRawBufferPointer?,
        _ file: borrowing PageFile, _ readsValues: Bool,
        _ visit: ((UInt64, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(PageFinding) -> Void)?
    ) throws(PageFinding) {
        try claims.claim(page)
        let isLeaf = levels.count == depth - 1
        let buffer = UnsafeMutableRawBufferPointer(rebasing: buffers[levels.count * pageSize..<(levels.count + 1) * pageSize])
        try file.read(buffer, at: Int(page) * pageSize, page: page)
        let areIntegers = tree == .free
        let nodes = try check.check(UnsafeRawBufferPointer(buffer), number: page, isLeaf: isLeaf, areIntegers: areIntegers)
        let first = isLeaf ? 0 : 1
        if first < nodes.count {
            if let lower, isAscending(nodes.key(first), lower, areIntegers: areIntegers) {
                throw .damaged(page, "a key below the limit of its page")
            }
            if let upper, !isAscending(nodes.key(nodes.count - 1), upper, areIntegers: areIntegers) {
                throw .damaged(page, "a key above the limit of its page")
            }
        }
        if isLeaf {
            found.leafPages += 1
            found.entries += UInt64(nodes.count)
            try visitLeaf(nodes, page, tree, file, readsValues, visit)
        } else {
            found.branchPages += 1
            prefetchChildren(of: nodes, file)
            levels.append(Level(nodes: nodes, lower: lower, upper: upper))
        }
    }

    private func prefetchChildren(of nodes: PageNodes, _ file: borrowing PageFile) {
        var first = nodes.child(0)
        var count: UInt64 = 1
        for index in 1..<max(nodes.count, 1) {
            let child = nodes.child(index)
            if child == first + count {
                count += 1
                continue
            }
            if claims.mayClaim(first) { file.prefetch(first, count: count, pageSize: pageSize) }
            first = child
            count = 1
        }
        if claims.mayClaim(first) { file.prefetch(first, count: count, pageSize: pageSize) }
    }

    private mutating func visitLeaf(
        _ nodes: PageNodes, _ page: UInt64, _ tree: Tree, _ file: borrowing PageFile, _ readsValues: Bool,
        _ visit: ((UInt64, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(PageFinding) -> Void)?
    ) throws(PageFinding) {
        for index in 0..<nodes.count {
            switch nodes.flags(index) {
            case 0 where tree != .main:
                if let visit { try visit(page, nodes.key(index), nodes.data(index)) }
            case PageLayout.NodeFlags.overflow where tree != .main:
                let first = nodes.data(index).at(0, as: UInt64.self)
                try readOverflow(first, valueBytes: nodes.valueBytes(index), file, readsValues)
                if let visit {
                    // As a local: the closure mustn't find `self` in the middle of a mutation.
                    let value = overflowValue
                    var result: Result<Void, PageFinding> = .success(())
                    value.withUnsafeBytes { bytes in
                        do throws(PageFinding) {
                            try visit(page, nodes.key(index), bytes.isEmpty ? bytes : bytes.slice(0, bytes.count))
                        } catch {
                            result = .failure(error)
                        }
                    }
                    try result.get()
                }
            case PageLayout.NodeFlags.subdatabase where tree == .main:
                // The main database holds nothing but the named ones: nobody here writes anything else into it.
                guard nodes.valueBytes(index) == DatabaseRecord.byteCount else { throw .damaged(page, "a database without a record") }
                if let visit { try visit(page, nodes.key(index), nodes.data(index)) }
            default:
                throw .damaged(page, "a node of an impossible kind")
            }
        }
    }

    private mutating func readOverflow(
        _ page: UInt64, valueBytes: Int, _ file: borrowing PageFile, _ readsValues: Bool
    ) throws(PageFinding) {
        // Before the offset is computed: the number may be anything.
        try claims.claim(page)
        var header: (UInt64, UInt64) = (0, 0)
        var finding: PageFinding?
        withUnsafeMutableBytes(of: &header) { bytes in
            do throws(PageFinding) {
                try file.read(bytes, at: Int(page) * pageSize, page: page)
            } catch {
                finding = error
            }
        }
        if let finding { throw finding }
        let flags = UInt16(truncatingIfNeeded: header.1 >> 16)
        guard header.0 == page, flags == PageLayout.PageFlags.overflow else {
            throw .damaged(page, "no overflow page where one should be")
        }
        // A value rewritten in its own transaction keeps its pages, so that there may be more than it needs.
        let pages = header.1 >> 32
        guard pages >= 1, Int(pages) * pageSize - PageLayout.headerBytes >= valueBytes else {
            throw .damaged(page, "a value larger than its overflow pages")
        }
        if pages > 1 { try claims.claim(page + 1, count: pages - 1) }
        guard (Int(page) + Int(pages)) * pageSize <= file.byteCount else { throw .damaged(page, "the file ends before this page does") }
        found.overflowPages += pages
        overflowValue.removeAll(keepingCapacity: true)
        guard readsValues else { return }
        overflowValue.append(contentsOf: repeatElement(0, count: valueBytes))
        overflowValue.withUnsafeMutableBytes { bytes in
            do throws(PageFinding) {
                try file.read(bytes, at: Int(page) * pageSize + PageLayout.headerBytes, page: page)
            } catch {
                finding = error
            }
        }
        if let finding { throw finding }
    }

    private func compareCounts(_ record: DatabaseRecord) throws(PageFinding) {
        guard
            record.branchPages == found.branchPages, record.leafPages == found.leafPages, record.overflowPages == found.overflowPages,
            record.entries == found.entries
        else { throw .damaged(nil, "a database whose record counts other entries or pages than it has") }
    }
}
