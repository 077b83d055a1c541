/// Finding the topics of a filter, in two ways: a walk for a filter that selects few, and a scan in pages for one that
/// selects many, where a walk would have to stop in the middle of a changing tree.
extension RetainedIndex {
    /// A filter in the numbers of this index. Levels come and go, so it serves one call and is made anew for the next.
    private struct PreparedFilter {
        static let anyLevel = UInt32.max - 1
        /// Levels before a `#`.
        var levels: [UInt32] = []
        var endsInAllLevels = false
        /// Levels up to the last one that is no wildcard: deeper ones need no look.
        var decidingLevels = 0
        /// Whether a level occurs in no topic.
        var isImpossible = false

        init(_ pattern: UnsafeRawBufferPointer, _ table: LevelTable) {
            for text in TopicLevels(pattern) {
                if text.isOnly("#") {
                    endsInAllLevels = true
                } else if text.isOnly("+") {
                    levels.append(Self.anyLevel)
                } else {
                    let level = table.find(text)
                    if level == LevelTable.none { isImpossible = true }
                    levels.append(level)
                    decidingLevels = levels.count
                }
            }
        }

        /// Whether every text matches at the level below `depth` levels.
        func matchesAny(at depth: Int) -> Bool {
            depth < levels.count ? levels[depth] == Self.anyLevel : endsInAllLevels
        }
    }

    /// Walks the tree and appends the slots that match a checked filter (without `$share/NAME/`).
    ///
    /// - Returns: `false` if more than `limit` match, or if the walk met more than `8 * limit + 1000` nodes; then
    ///   nothing has been appended.
    @usableFromInline package func collect(
        _ pattern: UnsafeRawBufferPointer, root: UInt32, limit: Int, into slots: inout [UInt32]
    ) -> Bool {
        let filter = PreparedFilter(pattern, levels)
        if filter.isImpossible { return true }
        let start = slots.count
        let isComplete = nodes.withUnsafeBufferPointer { nodes in
            walk(filter, nodes, from: root, limit: limit, into: &slots)
        }
        if !isComplete { slots.removeLast(slots.count - start) }
        return isComplete
    }

    /// The walk keeps no stack: a node knows its parent and siblings, and its depth says which level it matched.
    private func walk(
        _ filter: PreparedFilter, _ nodes: UnsafeBufferPointer<Node>, from root: UInt32, limit: Int, into slots: inout [UInt32]
    ) -> Bool {
        var matchesLeft = limit
        var visitsLeft = 8 * limit + 1000
        var number = root
        while true {
            // `number` matches the filter's first levels, as many as it has itself.
            let node = nodes[Int(number)]
            let depth = Int(node.depth)
            visitsLeft -= 1
            if visitsLeft < 0 { return false }
            // [MQTT-4.7.2-1] a wildcard at the first level does not match topics that begin with $
            let isHidden = depth == 1 && node.beginsWithDollar && filter.matchesAny(at: 0)
            if !isHidden, node.slot != Self.none, filter.endsInAllLevels ? depth >= filter.levels.count : depth == filter.levels.count {
                matchesLeft -= 1
                if matchesLeft < 0 { return false }
                slots.append(node.slot)
            }
            var next = Self.none
            if !isHidden {
                if filter.matchesAny(at: depth) {
                    next = node.firstChild
                } else if depth < filter.levels.count {
                    next = children.value(number, filter.levels[depth])
                }
            }
            while next == Self.none {
                if number == root { return true }
                let done = nodes[Int(number)]
                if filter.matchesAny(at: Int(done.depth) - 1) { next = done.nextSibling }
                number = done.parent
            }
            number = next
        }
    }

    /// Appends the slots that match a checked filter among the next `maximum` slots.
    ///
    /// Topics may be set and removed between the calls of one scan. One that has its slot all the time is found
    /// once; one that comes, or goes and comes again, in the meantime may be found or not, and in its new slot once more.
    ///
    /// - Parameter cursor: 0 to begin with, then what the last call returned.
    /// - Returns: The next cursor, `nil` at the end.
    @usableFromInline package func scan(
        _ pattern: UnsafeRawBufferPointer, root: UInt32, from cursor: Int, examine maximum: Int, into slots: inout [UInt32]
    ) -> Int? {
        let filter = PreparedFilter(pattern, levels)
        if filter.isImpossible { return nil }
        return page(from: cursor, examine: maximum, into: &slots) { nodes, node in
            nodes[Int(node)].root == root && matches(node, filter, nodes)
        }
    }

    /// Appends the slots of all topics, beneath every root, among the next `maximum` slots.
    ///
    /// - Returns: As `scan`.
    @usableFromInline package func scanAll(from cursor: Int, examine maximum: Int, into slots: inout [UInt32]) -> Int? {
        page(from: cursor, examine: maximum, into: &slots) { _, _ in true }
    }

    @inline(__always)
    private func page(
        from cursor: Int, examine maximum: Int, into slots: inout [UInt32],
        where isWanted: (_ nodes: UnsafeBufferPointer<Node>, _ node: UInt32) -> Bool
    ) -> Int? {
        let end = min(nodesOfSlots.count, cursor + max(1, maximum))
        guard cursor < end else { return nil }
        nodes.withUnsafeBufferPointer { nodes in
            for slot in cursor..<end where nodesOfSlots[slot] != Self.none {
                if isWanted(nodes, nodesOfSlots[slot]) { slots.append(UInt32(slot)) }
            }
        }
        return end < nodesOfSlots.count ? end : nil
    }

    /// Climbs from the topic's last level: most topics differ there, so most that do not match are told apart at once.
    private func matches(_ topic: UInt32, _ filter: PreparedFilter, _ nodes: UnsafeBufferPointer<Node>) -> Bool {
        var node = nodes[Int(topic)]
        if node.beginsWithDollar, filter.matchesAny(at: 0) { return false }
        guard filter.endsInAllLevels ? node.depth >= filter.levels.count : node.depth == filter.levels.count else { return false }
        var index = filter.decidingLevels
        if index == 0 { return true }
        while node.depth > index { node = nodes[Int(node.parent)] }
        while index > 0 {
            index &-= 1
            if filter.levels[index] != PreparedFilter.anyLevel, filter.levels[index] != node.level { return false }
            node = nodes[Int(node.parent)]
        }
        return true
    }
}
