/// Which slot a topic with a retained message has: the tree of topics beneath `RetainedTree`, without the messages.
///
/// Slots do not move while their topic stays, so a cursor over them can page through all topics while others come and
/// go. A topic costs a node of 32 bytes, an edge and a level text; `a/b/1` and `a/b/2` share `a` and `b`. A million topics
/// `a/b/<n>` took 129 bytes each, with a value of 8 bytes.
///
/// Every question names a root, as in `TopicTree`: what lies beneath another one is not there.
@usableFromInline
package struct RetainedIndex {
    /// No node, no level, no slot.
    static let none = UInt32.max
    /// The root that every index has.
    package static let firstRoot: UInt32 = 0

    struct Node {
        /// `none` in a root; in a free node: the next free one.
        var parent: UInt32
        var level: UInt32
        /// Handed down, so that no one climbs to the top to see it.
        var root: UInt32
        private var depthAndDollar: UInt32
        var firstChild = RetainedIndex.none
        var previousSibling = RetainedIndex.none
        var nextSibling = RetainedIndex.none
        /// `none` if only topics below have a message.
        var slot = RetainedIndex.none

        /// Levels above, the root not counted: at most 65,536.
        var depth: UInt32 { depthAndDollar >> 1 }
        /// Whether the topic begins with `$`; handed down as well.
        var beginsWithDollar: Bool { depthAndDollar & 1 != 0 }

        /// A root, whose number this is.
        init(root: UInt32) {
            parent = RetainedIndex.none
            level = RetainedIndex.none
            self.root = root
            depthAndDollar = 0
        }

        init(parent: UInt32, level: UInt32, root: UInt32, depth: UInt32, beginsWithDollar: Bool, nextSibling: UInt32) {
            self.parent = parent
            self.level = level
            self.root = root
            depthAndDollar = depth << 1 | (beginsWithDollar ? 1 : 0)
            self.nextSibling = nextSibling
        }
    }

    /// Number of topics.
    @usableFromInline package private(set) var count = 0
    /// Number of nodes, roots included.
    @usableFromInline package private(set) var nodeCount = 1
    /// Number of slots, free ones included: the end of a scan.
    package var slotCount: Int { nodesOfSlots.count }

    private(set) var nodes = [Node(root: firstRoot)]
    private(set) var levels = LevelTable()
    private(set) var children = PairTable()
    /// The node of each slot, `none` for a free slot.
    private(set) var nodesOfSlots: [UInt32] = []
    private var freeSlots: [UInt32] = []
    private var firstFreeNode = none

    @usableFromInline package init() {}

    /// One more tree in the same tables, for good.
    @usableFromInline package mutating func makeRoot() -> UInt32 {
        addNode { Node(root: $0) }
    }

    /// The slot of a topic, `nil` if it has none.
    @usableFromInline package func slot(of topic: UnsafeRawBufferPointer, root: UInt32) -> Int? {
        let slot = nodes[Int(findNode(topic, root) ?? root)].slot  // a root has none
        return slot == Self.none ? nil : Int(slot)
    }

    /// Gives a checked topic name a slot, unless it has one.
    @usableFromInline package mutating func insert(_ topic: UnsafeRawBufferPointer, root: UInt32) -> (slot: Int, existed: Bool) {
        let node = Int(makeNode(topic, root))
        if nodes[node].slot != Self.none { return (Int(nodes[node].slot), true) }
        let slot: UInt32
        if let free = freeSlots.popLast() {
            slot = free
            nodesOfSlots[Int(slot)] = UInt32(node)
        } else {
            slot = UInt32(nodesOfSlots.count)
            nodesOfSlots.append(UInt32(node))
        }
        nodes[node].slot = slot
        count += 1
        return (Int(slot), false)
    }

    /// Takes the slot of a topic back and names it; `nil` if the topic had none.
    @usableFromInline package mutating func remove(_ topic: UnsafeRawBufferPointer, root: UInt32) -> Int? {
        guard let node = findNode(topic, root) else { return nil }
        let slot = nodes[Int(node)].slot
        guard slot != Self.none else { return nil }
        nodes[Int(node)].slot = Self.none
        nodesOfSlots[Int(slot)] = Self.none
        freeSlots.append(slot)
        count -= 1
        prune(node)
        return Int(slot)
    }

    private func findNode(_ topic: UnsafeRawBufferPointer, _ root: UInt32) -> UInt32? {
        var node = root
        for text in TopicLevels(topic) {
            let level = levels.find(text)
            guard level != LevelTable.none else { return nil }
            node = children.value(node, level)
            guard node != PairTable.none else { return nil }
        }
        return node
    }

    private mutating func makeNode(_ topic: UnsafeRawBufferPointer, _ root: UInt32) -> UInt32 {
        var node = root
        for text in TopicLevels(topic) {
            let known = levels.find(text)
            let child = known == LevelTable.none ? Self.none : children.value(node, known)
            node = child == Self.none ? addChild(text, to: node) : child
        }
        return node
    }

    private mutating func addChild(_ text: UnsafeRawBufferPointer, to parent: UInt32) -> UInt32 {
        let level = levels.retain(text)
        let above = nodes[Int(parent)]
        let beginsWithDollar = above.depth == 0 ? text.first == UInt8(ascii: "$") : above.beginsWithDollar
        let number = addNode { _ in
            Node(
                parent: parent, level: level, root: above.root, depth: above.depth + 1, beginsWithDollar: beginsWithDollar,
                nextSibling: above.firstChild)
        }
        if above.firstChild != Self.none { nodes[Int(above.firstChild)].previousSibling = number }
        nodes[Int(parent)].firstChild = number
        children.add(parent, level, value: number)
        return number
    }

    private mutating func addNode(_ make: (_ number: UInt32) -> Node) -> UInt32 {
        nodeCount += 1
        guard firstFreeNode != Self.none else {
            nodes.append(make(UInt32(nodes.count)))
            return UInt32(nodes.count - 1)
        }
        let number = firstFreeNode
        firstFreeNode = nodes[Int(number)].parent
        nodes[Int(number)] = make(number)
        return number
    }

    /// Removes a node and its ancestors as far as they have neither slot nor children; roots stay.
    private mutating func prune(_ start: UInt32) {
        var number = start
        while nodes[Int(number)].parent != Self.none, nodes[Int(number)].slot == Self.none, nodes[Int(number)].firstChild == Self.none {
            let node = nodes[Int(number)]
            if node.previousSibling == Self.none {
                nodes[Int(node.parent)].firstChild = node.nextSibling
            } else {
                nodes[Int(node.previousSibling)].nextSibling = node.nextSibling
            }
            if node.nextSibling != Self.none { nodes[Int(node.nextSibling)].previousSibling = node.previousSibling }
            children.remove(node.parent, node.level)
            levels.release(node.level)
            nodes[Int(number)].parent = firstFreeNode
            firstFreeNode = number
            nodeCount -= 1
            number = node.parent
        }
    }
}
