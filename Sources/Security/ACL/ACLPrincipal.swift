/// A client as one policy sees it: the lists that count for it and what its variables stand for. Made once for a connection,
/// and again when the policy is replaced; a policy denies everything to a principal of another one.
package struct ACLPrincipal: Sendable {
    /// The policy that made it.
    let policy: UInt64
    /// Index in `ACLPolicy.owners`, of all tenants' rules and of its own tenant's.
    let owner: UInt32
    let tenantOwner: UInt32
    /// Root of the rules for everybody of its tenant.
    let tenantRoot: UInt32
    let hasUsername: Bool
    /// Username or client identifier holds `+` or `#`: what no own rule allows is denied.
    let holdsWildcard: Bool
    /// Client identifier, username and tenant one behind the other, and where the second and third begin. Empty when the policy
    /// has no variable, so that a principal then has no memory of its own.
    let values: [UInt8]
    let usernameStart: Int
    let tenantStart: Int

    /// What a variable stands for: nothing, if it is empty.
    func range(of variable: ACLVariable) -> Range<Int> {
        switch variable {
        case .clientID: 0..<usernameStart
        case .username: usernameStart..<tenantStart
        case .tenant: tenantStart..<values.count
        }
    }
}
