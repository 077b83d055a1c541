import MQTTModel

/// The rules of every list, arranged so that a topic finds those that match it in a walk down its levels.
///
/// Flat arrays and numbers. Each list has a root of its own and its nodes lie one behind the other: a user with two rules is a
/// cache line or two, however many users there are. Lists that nobody names cost a walk nothing.
struct ACLTree: Sendable {
    static let none = UInt32.max

    /// Numbers of levels below this one are no texts: the three variables, then `+`.
    static let plus: UInt32 = 3
    static let firstText: UInt32 = 4

    /// 20 bytes. Its children lie one behind the other: those that are no texts, in the order of their numbers, then the texts,
    /// ascending.
    struct Node: Sendable {
        /// Number of the level, in a root 0.
        var level: UInt32
        /// Where its children begin.
        var firstChild: UInt32 = 0
        /// Number of texts among them << 4 | a bit for each that is none.
        var children: UInt32 = 0
        /// What is said about the topic that ends here, and about every topic below, this one included (`/#`): pairs in
        /// `verdicts`, for reading and writing.
        var exact = ACLTree.none
        var below = ACLTree.none

        var special: UInt32 { children & 0xF }
        var textCount: Int { Int(children >> 4) }
    }

    /// What rules with the same filter in the same list say about one access.
    struct Verdict: Sendable {
        /// The last deny in the file: Mosquitto puts each in front of those before it.
        var deny = ACLTree.none
        /// The first allow in the file.
        var allow = ACLTree.none
        /// One more than the highest QoS that an allow gives, 0 for none: of messages, and of retained ones.
        var plain: UInt8 = 0
        var retained: UInt8 = 0

        @inline(__always)
        mutating func add(_ other: Verdict) {
            if other.deny != ACLTree.none { deny = deny == ACLTree.none ? other.deny : max(deny, other.deny) }
            allow = min(allow, other.allow)
            plain = max(plain, other.plain)
            retained = max(retained, other.retained)
        }

        /// `nil`: the list says nothing.
        func decision(_ access: ACLAccess, qos: QoS, retain: Bool) -> ACLDecision? {
            if deny != ACLTree.none { return .deny(rule: Int(deny)) }
            guard allow != ACLTree.none else { return nil }
            let limit = retain ? retained : plain
            // A message above the QoS goes out with less; a publish can't be made less than it is.
            guard limit > (access == .read ? 0 : qos.rawValue) else { return .deny(rule: Int(allow)) }
            return .allow(maxQoS: QoS(rawValue: limit &- 1) ?? .exactlyOnce)
        }
    }

    var nodes: [Node] = []
    var verdicts: [Verdict] = []
    /// The most levels that a rule has, its # not counted.
    var depth = 0
    var usesVariables = false

    func children(of node: Node) -> ArraySlice<Node> {
        nodes[Int(node.firstChild)..<(Int(node.firstChild) + node.special.nonzeroBitCount + node.textCount)]
    }
}
