/// Which slot a topic with a retained message has: the tree of topics beneath `RetainedTree`, without the messages.
///
/// Slots do not move while their topic stays, so a cursor over them can page through all topics while others come and
/// go. A topic costs a node of 32 bytes, an edge and a level text; `a/b/1` and `a/b/2` share `a` and `b`. A million topics
/// `a/b/<n>` took 129 bytes each, with a value of 8 bytes.
@usableFromInline
package struct RetainedIndex {
    /// No node, no level, no slot.
    static let none = UInt32.max
    static let root: UInt32 = 0

    struct Node {
        /// In a free node: the next free one.
        var parent: UInt32
        var level: UInt32
        var depth: UInt32
        var firstChild = RetainedIndex.none
        var previousSibling = RetainedIndex.none
        var nextSibling = RetainedIndex.none
        /// `none` if only topics below have a message.
        var slot = RetainedIndex.none
        /// Whether the topic begins with `$`: handed down, so that no one climbs to the first level to see it.
        var beginsWithDollar: Bool
    }

    /// Number of topics.
    @usableFromInline package private(set) var count = 0
    /// Number of nodes, the root included.
    @usableFromInline package private(set) var nodeCount = 1
    /// Number of slots, free ones included: the end of a scan.
    package var slotCount: Int { nodesOfSlots.count }

    private(set) var nodes = [Node(parent: none, level: none, depth: 0, beginsWithDollar: false)]
    private(set) var levels = LevelTable()
    private(set) var children = PairTable()
    /// The node of each slot, `none` for a free slot.
    private(set) var nodesOfSlots: [UInt32] = []
    private var freeSlots: [UInt32] = []
    private var firstFreeNode = none

    @usableFromInline package init() {}

    /// The slot of a topic, `nil` if it has none.
    @usableFromInline package func slot(of topic: UnsafeRawBufferPointer) -> Int? {
        let slot = nodes[Int(findNode(topic) ?? Self.root)].slot
        return slot == Self.none ? nil : Int(slot)
    }

    /// Gives a checked topic name a slot, unless it has one.
    @usableFromInline package mutating func insert(_ topic: UnsafeRawBufferPointer) -> (slot: Int, existed: Bool) {
        let node = Int(makeNode(topic))
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
    @usableFromInline package mutating func remove(_ topic: UnsafeRawBufferPointer) -> Int? {
        guard let node = findNode(topic) else { return nil }
        let slot = nodes[Int(node)].slot
        guard slot != Self.none else { return nil }
        nodes[Int(node)].slot = Self.none
        nodesOfSlots[Int(slot)] = Self.none
        freeSlots.append(slot)
        count -= 1
        prune(node)
        return Int(slot)
    }

    private func findNode(_ topic: UnsafeRawBufferPointer) -> UInt32? {
        var node = Self.root
        for text in TopicLevels(topic) {
            let level = levels.find(text)
            guard level != LevelTable.none else { return nil }
            node = children.value(node, level)
            guard node != PairTable.none else { return nil }
        }
        return node
    }

    private mutating func makeNode(_ topic: UnsafeRawBufferPointer) -> UInt32 {
        var node = Self.root
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
        let node = Node(
            parent: parent, level: level, depth: above.depth + 1, nextSibling: above.firstChild,
            beginsWithDollar: parent == Self.root ? text.first == UInt8(ascii: "$") : above.beginsWithDollar)
        let number: UInt32
        if firstFreeNode != Self.none {
            number = firstFreeNode
            firstFreeNode = nodes[Int(number)].parent
            nodes[Int(number)] = node
        } else {
            number = UInt32(nodes.count)
            nodes.append(node)
        }
        if above.firstChild != Self.none { nodes[Int(above.firstChild)].previousSibling = number }
        nodes[Int(parent)].firstChild = number
        children.add(parent, level, value: number)
        nodeCount += 1
        return number
    }

    /// Removes a node and its ancestors as far as they have neither slot nor children.
    private mutating func prune(_ start: UInt32) {
        var number = start
        while number != Self.root, nodes[Int(number)].slot == Self.none, nodes[Int(number)].firstChild == Self.none {
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
