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
        guard principal.policy == identity, !topic.isEmpty else { return .deny(rule: nil) }
        return withUnsafeTemporaryAllocation(of: ACLWalk.Level.self, capacity: max(1, tree.depth)) { levels in
            tree.nodes.withUnsafeBufferPointer { nodes in
                tree.edges.withUnsafeBufferPointer { edges in
                    tree.verdicts.withUnsafeBufferPointer { verdicts in
                        var walk = ACLWalk(
                            nodes: nodes, edges: edges, verdicts: verdicts, access: access, topic: topic, levels: levels)
                        return check(principal, &walk, access, qos, retain)
                    }
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
        if generalRoot != ACLTree.none { walk.visit(generalRoot, 0, self, principal) }
        if namedGeneralRoot != ACLTree.none, principal.hasUsername { walk.visit(namedGeneralRoot, 0, self, principal) }
        if principal.tenantRoot != ACLTree.none { walk.visit(principal.tenantRoot, 0, self, principal) }
        return walk.found.decision(access, qos: qos, retain: retain) ?? .deny(rule: nil)
    }

    @inline(__always)
    private func visit(_ owner: UInt32, _ principal: ACLPrincipal, _ walk: inout ACLWalk) {
        guard owner != ACLTree.none else { return }
        let owner = owners[Int(owner)]
        if owner.root != ACLTree.none { walk.visit(owner.root, 0, self, principal) }
        for index in owner.groups { walk.visit(groupRoots[index], 0, self, principal) }
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

    let nodes: UnsafeBufferPointer<ACLTree.Node>
    let edges: UnsafeBufferPointer<ACLTree.Edge>
    let verdicts: UnsafeBufferPointer<ACLTree.Verdict>
    let access: ACLAccess
    let topic: UnsafeRawBufferPointer
    /// The first `known` levels of the topic; the next begins at `start`, which is beyond the end after the last.
    let levels: UnsafeMutableBufferPointer<Level>
    private var known = 0
    private var start = 0
    /// Everything that the visited lists say.
    private(set) var found = ACLTree.Verdict()

    init(
        nodes: UnsafeBufferPointer<ACLTree.Node>, edges: UnsafeBufferPointer<ACLTree.Edge>,
        verdicts: UnsafeBufferPointer<ACLTree.Verdict>, access: ACLAccess, topic: UnsafeRawBufferPointer,
        levels: UnsafeMutableBufferPointer<Level>
    ) {
        self.nodes = nodes
        self.edges = edges
        self.verdicts = verdicts
        self.access = access
        self.topic = topic
        self.levels = levels
    }

    /// Visits a node that the first `depth` levels of the topic lead to, and all below it.
    mutating func visit(_ number: UInt32, _ depth: Int, _ policy: ACLPolicy, _ principal: ACLPrincipal) {
        var number = number
        var depth = depth
        while true {
            let node = nodes[Int(number)]
            // Neither # nor + nor a variable at the first level reaches $-topics [MQTT-4.7.2-1].
            let isHidden = depth == 0 && topic[0] == UInt8(ascii: "$")
            if node.below != ACLTree.none, !isHidden { found.add(verdicts[Int(node.below) &+ Int(access.rawValue)]) }
            guard node.children != 0 || node.exact != ACLTree.none else { return }
            if depth == known, start > topic.count {
                // The topic ends here.
                if node.exact != ACLTree.none { found.add(verdicts[Int(node.exact) &+ Int(access.rawValue)]) }
                return
            }
            guard node.children != 0 else { return }
            if depth == known { readLevel(policy, principal) }
            let level = levels[depth]
            depth &+= 1
            var edge = Int(node.edges)
            if node.special != 0 {
                let matching = isHidden ? 0 : level.variables | 1 &<< ACLTree.plus
                var special = node.special
                while special != 0 {
                    if special & (0 &- special) & matching != 0 { visit(edges[edge].node, depth, policy, principal) }
                    special &= special &- 1
                    edge &+= 1
                }
            }
            guard level.number != TextTable.none else { return }
            number = child(from: edge, count: node.textCount, level.number &+ ACLTree.firstText)
            guard number != ACLTree.none else { return }
        }
    }

    /// The child below a text.
    @inline(__always)
    private func child(from first: Int, count: Int, _ level: UInt32) -> UInt32 {
        var low = first
        var high = first &+ count
        while high &- low > 4 {
            let middle = (low &+ high) &>> 1
            if edges[middle].level <= level { low = middle } else { high = middle }
        }
        while low < high {
            if edges[low].level == level { return edges[low].node }
            low &+= 1
        }
        return ACLTree.none
    }

    /// Reads the level that begins at `start`.
    private mutating func readLevel(_ policy: ACLPolicy, _ principal: ACLPrincipal) {
        var end = start
        while end < topic.count, topic[end] != UInt8(ascii: "/") { end &+= 1 }
        let text = UnsafeRawBufferPointer(rebasing: topic[start..<end])
        levels[known] = Level(number: policy.levels.find(text), variables: 0)
        if !principal.values.isEmpty { levels[known].variables = Self.variables(principal, text) }
        known &+= 1
        start = end &+ 1
    }

    private static func variables(_ principal: ACLPrincipal, _ level: UnsafeRawBufferPointer) -> UInt32 {
        guard !level.isEmpty else { return 0 }
        var bits: UInt32 = 0
        principal.values.withUnsafeBytes { values in
            for variable in ACLVariable.allCases {
                let range = principal.range(of: variable)
                if range.count == level.count, TextTable.areSame(values.baseAddress! + range.lowerBound, level) {
                    bits |= UInt32(variable.bit)
                }
            }
        }
        return bits
    }
}
