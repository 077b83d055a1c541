import MQTTModel

extension ACLPolicy {
    /// Whether a client may have a message, or publish it. Allocates nothing, unless a rule has more than 128 levels.
    ///
    /// - Parameters:
    ///   - topic: A checked topic name, as rules see it: with the mount point, without the tenant.
    ///   - qos: Of the publish. For reading it says nothing: the answer has the QoS to go down to.
    ///   - retain: For writing, the RETAIN flag of the publish; for reading, that the message is a retained one which a new
    ///     subscription is sent.
    package func check(
        _ principal: ACLPrincipal, topic: UnsafeRawBufferPointer, access: ACLAccess, qos: QoS = .atMostOnce, retain: Bool = false
    ) -> ACLDecision {
        guard principal.policy == identity, let start = topic.baseAddress, topic.count > 0 else { return .deny(rule: nil) }
        return withUnsafeTemporaryAllocation(of: ACLWalk.Level.self, capacity: max(1, tree.depth)) { levels in
            tree.nodes.withUnsafeBufferPointer { nodes in
                tree.verdicts.withUnsafeBufferPointer { verdicts in
                    var walk = ACLWalk(
                        nodes: nodes, verdicts: verdicts, access: access, topic: start, count: topic.count, levels: levels)
                    return check(principal, &walk, access, qos, retain)
                }
            }
        }
    }

    @inline(__always)
    private func check(_ principal: ACLPrincipal, _ walk: inout ACLWalk, _ access: ACLAccess, _ qos: QoS, _ retain: Bool) -> ACLDecision {
        visit(principal.owner, principal, &walk)
        visit(principal.tenantOwner, principal, &walk)
        if let decision = walk.found.decision(access, qos: qos, retain: retain) { return decision }
        guard !principal.holdsWildcard else { return .deny(rule: nil) }
        if generalRoot != ACLTree.none { walk.visit(generalRoot, 0, levels, principal) }
        if namedGeneralRoot != ACLTree.none, principal.hasUsername { walk.visit(namedGeneralRoot, 0, levels, principal) }
        if principal.tenantRoot != ACLTree.none { walk.visit(principal.tenantRoot, 0, levels, principal) }
        return walk.found.decision(access, qos: qos, retain: retain) ?? .deny(rule: nil)
    }

    @inline(__always)
    private func visit(_ owner: ACLOwner, _ principal: ACLPrincipal, _ walk: inout ACLWalk) {
        if owner.root != ACLTree.none { walk.visit(owner.root, 0, levels, principal) }
        for index in owner.groups { walk.visit(groupRoots[index], 0, levels, principal) }
    }
}

/// One topic's way through trees.
struct ACLWalk {
    struct Level {
        /// Number of its text, `none` if no rule holds it.
        var number: UInt32
        /// A bit for each variable that stands for it.
        var variables: UInt32
    }

    private let nodes: UnsafeBufferPointer<ACLTree.Node>
    private let verdicts: UnsafeBufferPointer<ACLTree.Verdict>
    private let access: Int
    private let topic: UnsafeRawPointer
    private let count: Int
    private let isDollar: Bool
    /// The first `known` levels of the topic; the next begins at `start`, which is beyond the end after the last.
    private let levels: UnsafeMutableBufferPointer<Level>
    private var known = 0
    private var start = 0
    /// Everything that the visited lists say.
    private(set) var found = ACLTree.Verdict()

    /// - Parameters:
    ///   - topic: `count` bytes, more than none.
    ///   - levels: Room for as many levels as a rule has.
    init(
        nodes: UnsafeBufferPointer<ACLTree.Node>, verdicts: UnsafeBufferPointer<ACLTree.Verdict>, access: ACLAccess,
        topic: UnsafeRawPointer, count: Int, levels: UnsafeMutableBufferPointer<Level>
    ) {
        self.nodes = nodes
        self.verdicts = verdicts
        self.access = Int(access.rawValue)
        self.topic = topic
        self.count = count
        self.levels = levels
        isDollar = topic.load(as: UInt8.self) == UInt8(ascii: "$")
    }

    /// Visits a node that the first `depth` levels of the topic lead to, and all below it.
    mutating func visit(_ number: UInt32, _ depth: Int, _ texts: borrowing TextTable, _ principal: borrowing ACLPrincipal) {
        var number = Int(number)
        var depth = depth
        while true {
            let node = nodes[number]
            // Neither # nor + nor a variable at the first level reaches $-topics [MQTT-4.7.2-1].
            let isHidden = isDollar && depth == 0
            if node.below != ACLTree.none, !isHidden { found.add(verdicts[Int(node.below) &+ access]) }
            if depth == known, start > count {
                // The topic ends here.
                if node.exact != ACLTree.none { found.add(verdicts[Int(node.exact) &+ access]) }
                return
            }
            guard node.children != 0 else { return }
            if depth == known { readLevel(texts, principal) }
            let level = levels[depth]
            depth &+= 1
            var child = Int(node.firstChild)
            var special = node.special
            if special != 0 {
                let matching = isHidden ? 0 : level.variables | 1 &<< ACLTree.plus
                while special != 0 {
                    if special & (0 &- special) & matching != 0 { visit(UInt32(truncatingIfNeeded: child), depth, texts, principal) }
                    special &= special &- 1
                    child &+= 1
                }
            }
            guard level.number != TextTable.none, node.textCount > 0 else { return }
            number = find(level.number &+ ACLTree.firstText, from: child, count: node.textCount)
            guard number >= 0 else { return }
        }
    }

    /// The child below a text, -1 for none.
    @inline(__always)
    private func find(_ level: UInt32, from first: Int, count: Int) -> Int {
        var low = first
        var high = first &+ count
        while high &- low > 4 {
            let middle = (low &+ high) &>> 1
            if nodes[middle].level <= level { low = middle } else { high = middle }
        }
        while low < high {
            if nodes[low].level == level { return low }
            low &+= 1
        }
        return -1
    }

    /// Reads the level that begins at `start`.
    @inline(__always)
    private mutating func readLevel(_ texts: borrowing TextTable, _ principal: borrowing ACLPrincipal) {
        let end = Self.nextSlash(topic, from: start, to: count)
        let key = TextKey(topic, from: start, to: end, of: count)
        levels[known] = Level(number: texts.find(key), variables: principal.values?.variables(key) ?? 0)
        known &+= 1
        start = end &+ 1
    }

    /// Offset of the first `/` from `start`, or `end` if there is none.
    @inline(__always)
    private static func nextSlash(_ text: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        var offset = start
        while offset &+ 8 <= end {
            // Slashes become zero bytes; the lowest marked byte is the first of them.
            let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) ^ 0x2F2F_2F2F_2F2F_2F2F
            let zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            if zeros != 0 { return offset &+ zeros.trailingZeroBitCount &>> 3 }
            offset &+= 8
        }
        while offset < end, text.load(fromByteOffset: offset, as: UInt8.self) != UInt8(ascii: "/") { offset &+= 1 }
        return offset
    }
}
