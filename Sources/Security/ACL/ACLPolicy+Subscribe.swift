import MQTTModel

extension ACLPolicy {
    /// Whether a topic exists that the filter matches and the client may read: what a SUBSCRIBE is refused by (0x87), where a
    /// listener asks for that. Each message is checked again when it is sent.
    ///
    /// - Parameter filter: A checked topic filter, without `$share/NAME/`.
    package func couldEverRead(_ principal: ACLPrincipal, filter: UnsafeRawBufferPointer) -> Bool {
        maxReadQoS(principal, filter: filter) != nil
    }

    /// The QoS that a subscription may be granted at most, `nil` when it could never have a message.
    ///
    /// Exact for a filter without wildcards. Else it errs on the side of more: an allow counts unless one single deny covers all
    /// that the allow and the filter have in common, so that several denies which only together leave nothing are not seen; and
    /// the highest QoS among allows counts, though an own rule may lower it for some of the topics. A message goes out with what
    /// `check` says in any case.
    ///
    /// - Parameter budget: Rules' nodes that may still be looked at, some 0.1 us each, and fewer after the call. Filters with
    ///   wildcards are granted unseen when it is spent: let the filters of one SUBSCRIBE share `subscribeBudget`, and a client can't
    ///   buy much time with a packet full of wildcards.
    package func maxReadQoS(_ principal: ACLPrincipal, filter: UnsafeRawBufferPointer, budget: inout Int) -> QoS? {
        guard principal.policy == identity, !filter.isEmpty else { return nil }
        guard filter.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) else {
            if case .allow(let qos) = check(principal, topic: filter, access: .read) { return qos } else { return nil }
        }
        guard budget > 0 else { return .exactlyOnce }
        var search = ACLFilterSearch(self, principal, filter, budget: budget)
        defer { budget = search.budget }
        return search.run()
    }

    package func maxReadQoS(_ principal: ACLPrincipal, filter: UnsafeRawBufferPointer) -> QoS? {
        var budget = Self.subscribeBudget
        return maxReadQoS(principal, filter: filter, budget: &budget)
    }

    /// What a SUBSCRIBE may cost: half a millisecond.
    package static let subscribeBudget = 5_000

    /// Roots of the own lists and, if they count for this client, of the general ones.
    func roots(of principal: ACLPrincipal) -> (own: [UInt32], general: [UInt32]) {
        var own: [UInt32] = []
        for owner in [principal.owner, principal.tenantOwner] {
            own.append(owner.root)
            own += groupRoots[owner.groups]
        }
        let general =
            principal.holdsWildcard ? [] : [generalRoot, principal.hasUsername ? namedGeneralRoot : ACLTree.none, principal.tenantRoot]
        return (own.filter { $0 != ACLTree.none }, general.filter { $0 != ACLTree.none })
    }
}

/// Looks for rules that have topics in common with a subscription's filter.
private struct ACLFilterSearch {
    /// A level of a filter: of the subscription's, or of what it has in common with a rule.
    enum Level {
        /// Its number among the policy's texts, or `none`, and a bit for each variable that stands for it.
        case text(UInt32, variables: UInt8, isHidden: Bool)
        case plus
        case hash
    }

    private let policy: ACLPolicy
    private let principal: ACLPrincipal
    private let filter: [Level]
    private let own: [UInt32]
    private let general: [UInt32]
    private var denying: [UInt32] = []
    /// What the filter and the visited node have in common.
    private var common: [Level] = []
    private(set) var budget: Int
    /// One more than the highest QoS found, 0 for no rule.
    private var limit: UInt8 = 0
    private var isDone: Bool { limit == 3 || budget <= 0 }

    init(_ policy: ACLPolicy, _ principal: ACLPrincipal, _ filter: UnsafeRawBufferPointer, budget: Int) {
        self.budget = budget
        self.policy = policy
        self.principal = principal
        (own, general) = policy.roots(of: principal)
        self.filter = Array(filter).split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { level in
            if level.holds("+") { .plus } else if level.holds("#") { .hash } else { Self.text(level, policy, principal) }
        }
    }

    mutating func run() -> QoS? {
        denying = own
        for root in own { visit(policy.tree.nodes[Int(root)], 0) }
        denying += general
        for root in general { visit(policy.tree.nodes[Int(root)], 0) }
        if budget <= 0 { return .exactlyOnce }
        return limit == 0 ? nil : QoS(rawValue: limit - 1)
    }

    private static func text(_ bytes: ArraySlice<UInt8>, _ policy: ACLPolicy, _ principal: ACLPrincipal) -> Level {
        var bits: UInt8 = 0
        if let values = principal.values, !bytes.isEmpty {
            for variable in ACLVariable.allCases where values[variable] == bytes { bits |= variable.bit }
        }
        return .text(bytes.withUnsafeBytes { policy.levels.find($0) }, variables: bits, isHidden: bytes.first == UInt8(ascii: "$"))
    }

    /// The level that a variable stands for; `nil` when no level of a topic could be it.
    private func value(_ variable: UInt32) -> ArraySlice<UInt8>? {
        guard let variable = ACLVariable(rawValue: UInt8(variable)), let values = principal.values else { return nil }
        return values[variable].isEmpty ? nil : values[variable]
    }

    // MARK: - Allows

    private mutating func visit(_ node: ACLTree.Node, _ depth: Int) {
        guard !isDone else { return }
        budget -= 1
        let level = depth < filter.count ? filter[depth] : nil
        if node.below != ACLTree.none, let rest = restBelow(depth) { accept(node.below, common + rest) }
        if case .hash = level { return visitAll(node, depth) }
        guard let level else {
            if node.exact != ACLTree.none { accept(node.exact, common) }
            return
        }
        visitChildren(of: node, level, depth) { search, child in search.visit(child, depth + 1) }
    }

    /// Everything at and below a node, where the filter ends in #. Its # matches the level above, too.
    private mutating func visitAll(_ node: ACLTree.Node, _ depth: Int) {
        if node.exact != ACLTree.none { accept(node.exact, common) }
        visitChildren(of: node, .plus, depth) { search, child in
            search.budget -= 1
            if child.below != ACLTree.none { search.accept(child.below, search.common + [.hash]) }
            search.visitAll(child, depth + 1)
        }
    }

    /// What the filter has below the node, for a rule that ends in # there. `nil`: nothing in common.
    private func restBelow(_ depth: Int) -> ArraySlice<Level>? {
        if depth == 0, case .text(_, _, isHidden: true) = filter[0] { return nil }
        return depth <= filter.count ? filter[depth...] : nil
    }

    /// Visits the children that have something in common with a level of the filter.
    private mutating func visitChildren(
        of node: ACLTree.Node, _ level: Level, _ depth: Int, _ body: (inout ACLFilterSearch, ACLTree.Node) -> Void
    ) {
        for child in policy.tree.children(of: node) {
            guard !isDone else { return }
            guard let shared = intersection(level, child.level, depth) else { continue }
            common.append(shared)
            body(&self, child)
            common.removeLast()
        }
    }

    private func intersection(_ level: Level, _ rule: UInt32, _ depth: Int) -> Level? {
        switch level {
        case .text(let number, let variables, let isHidden):
            if rule >= ACLTree.firstText { return number != TextTable.none && number + ACLTree.firstText == rule ? level : nil }
            if depth == 0, isHidden { return nil }
            return rule == ACLTree.plus || variables & (1 << rule) != 0 ? level : nil
        case .plus, .hash:
            if rule == ACLTree.plus { return .plus }
            let text = rule >= ACLTree.firstText ? policy.levels.bytes(of: rule - ACLTree.firstText) : value(rule)
            // No wildcard at the first level reaches $-topics, on either side.
            guard let text, !(depth == 0 && text.first == UInt8(ascii: "$")) else { return nil }
            return Self.text(text, policy, principal)
        }
    }

    private mutating func accept(_ verdicts: UInt32, _ topics: some Collection<Level>) {
        let verdict = policy.tree.verdicts[Int(verdicts) + Int(ACLAccess.read.rawValue)]
        guard verdict.allow != ACLTree.none, verdict.plain > limit else { return }
        let topics = Array(topics)
        for root in denying where isCovered(topics, by: policy.tree.nodes[Int(root)], 0) { return }
        limit = verdict.plain
    }

    // MARK: - Denies

    /// Whether one deny at or below a node matches every topic that `topics` does.
    private mutating func isCovered(_ topics: [Level], by node: ACLTree.Node, _ depth: Int) -> Bool {
        budget -= 1
        guard budget > 0 else { return false }
        let isHidden = if depth == 0, case .text(_, _, isHidden: true) = topics[0] { true } else { false }
        if !isHidden, denies(node.below) { return true }
        guard depth < topics.count else { return denies(node.exact) }
        if case .hash = topics[depth] { return false }
        for child in policy.tree.children(of: node) {
            let covers =
                switch topics[depth] {
                case .text(let text, let variables, _):
                    child.level >= ACLTree.firstText
                        ? text != TextTable.none && text + ACLTree.firstText == child.level
                        : !isHidden && (child.level == ACLTree.plus || variables & (1 << child.level) != 0)
                case .plus: child.level == ACLTree.plus
                case .hash: false
                }
            if covers, isCovered(topics, by: child, depth + 1) { return true }
        }
        return false
    }

    private func denies(_ verdicts: UInt32) -> Bool {
        verdicts != ACLTree.none && policy.tree.verdicts[Int(verdicts) + Int(ACLAccess.read.rawValue)].deny != ACLTree.none
    }
}
