import MQTTModel

/// Makes the tree of a file's rules. Sorts each list's filters and builds from the sorted run, so that the nodes of a list come
/// out one behind the other.
struct ACLTreeBuilder {
    private(set) var tree = ACLTree()
    private(set) var levels = TextTable()
    private let file: ACLFile
    /// The levels of every filter, one rule behind the other; where those of a rule begin, and whether it ends in `#`, which
    /// is not among them.
    private var numbers: [UInt32] = []
    private var starts: [Int] = []
    private var endsInHash: [Bool] = []

    init(_ file: ACLFile) {
        self.file = file
        starts.reserveCapacity(file.rules.count + 1)
        for rule in file.rules { addLevels(of: rule) }
        starts.append(numbers.count)
    }

    private mutating func addLevels(of rule: ACLRule) {
        starts.append(numbers.count)
        let filter = file.filter(of: rule)
        var start = filter.startIndex
        var hash = false
        while start <= filter.endIndex {
            let end = filter[start...].firstIndex(of: UInt8(ascii: "/")) ?? filter.endIndex
            let level = filter[start..<end]
            start = end + 1
            if level.holds("#") {
                hash = true
            } else if level.holds("+") {
                numbers.append(ACLTree.plus)
            } else if let variable = ACLFilter.variable(level, rule.variables) {
                numbers.append(UInt32(variable.rawValue))
                tree.usesVariables = true
            } else {
                numbers.append(ACLTree.firstText + level.withUnsafeBytes { levels.number(of: $0) })
            }
        }
        endsInHash.append(hash)
        tree.depth = max(tree.depth, numbers.count - starts[starts.count - 1])
    }

    private func levels(of rule: Int) -> ArraySlice<UInt32> { numbers[starts[rule]..<starts[rule + 1]] }

    func hasVariable(_ variable: ACLVariable, rule: Int) -> Bool { levels(of: rule).contains(UInt32(variable.rawValue)) }

    /// Adds a list: its rules' numbers, ascending.
    ///
    /// - Returns: Its root, `none` for an empty list.
    mutating func add(_ rules: [Int]) -> UInt32 {
        guard !rules.isEmpty else { return ACLTree.none }
        // In the order of the file among equal filters.
        let sorted = rules.sorted { left, right in
            let (leftLevels, rightLevels) = (levels(of: left), levels(of: right))
            if leftLevels.lexicographicallyPrecedes(rightLevels) { return true }
            return rightLevels.lexicographicallyPrecedes(leftLevels) ? false : left < right
        }
        let root = tree.nodes.count
        tree.nodes.append(ACLTree.Node(level: 0))
        build(root, sorted[...], depth: 0)
        return UInt32(root)
    }

    /// Fills the node of rules that agree in their first `depth` levels.
    private mutating func build(_ number: Int, _ rules: ArraySlice<Int>, depth: Int) {
        var rest = rules
        while let rule = rest.first, levels(of: rule).count == depth {
            rest = rest.dropFirst()
            if endsInHash[rule] {
                tree.nodes[number].below = add(rule, to: tree.nodes[number].below)
            } else {
                tree.nodes[number].exact = add(rule, to: tree.nodes[number].exact)
            }
        }
        var runs: [(level: UInt32, rules: ArraySlice<Int>)] = []
        while let rule = rest.first {
            let level = self.level(of: rule, depth)
            let end = rest.firstIndex { self.level(of: $0, depth) != level } ?? rest.endIndex
            runs.append((level, rest[..<end]))
            rest = rest[end...]
        }
        let start = tree.nodes.count
        tree.nodes[number].firstChild = UInt32(start)
        for run in runs {
            tree.nodes[number].children += run.level < ACLTree.firstText ? 1 << run.level : 1 << 4
            tree.nodes.append(ACLTree.Node(level: run.level))
        }
        for (index, run) in runs.enumerated() { build(start + index, run.rules, depth: depth + 1) }
    }

    private func level(of rule: Int, _ depth: Int) -> UInt32 { numbers[starts[rule] + depth] }

    private mutating func add(_ number: Int, to known: UInt32) -> UInt32 {
        let index = known == ACLTree.none ? tree.verdicts.count : Int(known)
        if known == ACLTree.none { tree.verdicts += [ACLTree.Verdict(), ACLTree.Verdict()] }
        let rule = file.rules[number]
        for access in ACLAccess.allCases where rule.concerns(access) {
            var verdict = ACLTree.Verdict()
            if rule.effect == .deny {
                verdict.deny = UInt32(number)
            } else {
                verdict.allow = UInt32(number)
                verdict.plain = rule.maxQoS.rawValue + 1
                verdict.retained = rule.mayRetain ? verdict.plain : 0
            }
            tree.verdicts[index + Int(access.rawValue)].add(verdict)
        }
        return UInt32(index)
    }
}
