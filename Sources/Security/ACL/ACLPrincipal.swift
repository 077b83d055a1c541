/// A client as one policy sees it: the lists that count for it and what its variables stand for. Made once for a connection,
/// and again when the policy is replaced; a policy denies everything to a principal of another one.
package struct ACLPrincipal: Sendable {
    /// The policy that made it.
    let policy: UInt64
    /// Its own lists, those of all tenants and those of its tenant.
    let owner: ACLOwner
    let tenantOwner: ACLOwner
    /// Root of the rules for everybody of its tenant.
    let tenantRoot: UInt32
    let hasUsername: Bool
    /// Username or client identifier holds `+` or `#`: what no own rule allows is denied.
    let holdsWildcard: Bool
    /// `nil` when the policy has no variable: a principal then has no memory of its own.
    let values: ACLValues?

    /// Whether another policy has made it, so that this one knows nothing about it: time to make a new one.
    package func isForeign(to policy: ACLPolicy) -> Bool { self.policy != policy.identity }
}

/// The lists of a user, or of clients without a username.
struct ACLOwner: Sendable {
    /// Of its own rules.
    var root: UInt32
    /// Where the roots of its groups are in `ACLPolicy.groupRoots`.
    private let groupsStart: UInt32
    private let groupsEnd: UInt32

    var groups: Range<Int> { Int(groupsStart)..<Int(groupsEnd) }

    static let nobody = ACLOwner(root: ACLTree.none, groups: 0..<0)

    init(root: UInt32, groups: Range<Int>) {
        self.root = root
        groupsStart = UInt32(groups.lowerBound)
        groupsEnd = UInt32(groups.upperBound)
    }
}

/// What variables stand for. A value that no level of a topic can be stands for nothing.
struct ACLValues: Sendable {
    /// One behind the other, in the order of `ACLVariable`.
    private let bytes: [UInt8]
    private let clientID: Value
    private let username: Value
    private let tenant: Value

    /// A value in the words of a `TextKey`; the bytes are only looked at if there are more than these hold.
    private struct Value {
        var low: UInt64
        var high: UInt64
        var start: Int
        /// 0: stands for nothing.
        var count: Int
    }

    init(clientID: String, username: String, tenant: String) {
        var bytes: [UInt8] = []
        func add(_ text: String) -> Value {
            let value = Array(text.utf8)
            let isLevel = !value.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
            let key = value.withUnsafeBytes { TextKey($0) }
            defer { bytes += value }
            return Value(low: key.low, high: key.high, start: bytes.count, count: isLevel ? value.count : 0)
        }
        self.clientID = add(clientID)
        self.username = add(username)
        self.tenant = add(tenant)
        self.bytes = bytes
    }

    /// Empty when the variable stands for nothing.
    subscript(_ variable: ACLVariable) -> ArraySlice<UInt8> {
        let value =
            switch variable {
            case .clientID: clientID
            case .username: username
            case .tenant: tenant
            }
        return bytes[value.start..<(value.start + value.count)]
    }

    /// A bit for each variable that stands for a level.
    @inline(__always)
    func variables(_ level: TextKey) -> UInt32 {
        guard level.bytes.count > 0 else { return 0 }
        return (equals(clientID, level) ? 1 : 0) | (equals(username, level) ? 2 : 0) | (equals(tenant, level) ? 4 : 0)
    }

    @inline(__always)
    private func equals(_ value: Value, _ level: TextKey) -> Bool {
        value.low == level.low && value.high == level.high && value.count == level.bytes.count
            && (value.count <= TextKey.wordBytes || bytes[value.start..<(value.start + value.count)].elementsEqual(level.bytes))
    }
}
