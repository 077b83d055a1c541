import MQTTModel

/// An ACL file made ready to be asked for every message: immutable, shared by all loops.
///
/// The order of Mosquitto's evaluation (docs/acl.md) reduces to this. A client has *own* lists (its user's, or that of clients
/// without a username, and its groups') and *general* lists (`pattern` lines, `everyone`, its tenant's). The own lists are
/// looked at together: a deny that matches decides, else an allow that matches. Only when they say nothing are the general ones
/// looked at, in the same way, and only if neither username nor client identifier holds `+` or `#`. What nothing allows is
/// denied.
package final class ACLPolicy: Sendable {
    package let file: ACLFile
    /// Tells principals of this policy from those of another.
    let identity: UInt64
    let tree: ACLTree
    let levels: TextTable
    /// Tenant and name of owners; see `ownerKey`.
    let ownerNames: TextTable
    let owners: [ACLOwner]
    let groupRoots: [UInt32]
    let tenantNames: TextTable
    let tenantRoots: [UInt32]
    /// Rules for everybody, and those of them that say nothing about clients without a username.
    let generalRoot: UInt32
    let namedGeneralRoot: UInt32

    /// Compiles a file: with its reading some 0.5 s for 100,000 rules. Not for a loop.
    package init(_ file: ACLFile) {
        var compiler = ACLCompiler(file)
        compiler.compile()
        self.file = file
        identity = UInt64.random(in: .min ... .max)
        tree = compiler.builder.tree
        levels = compiler.builder.levels
        ownerNames = compiler.ownerNames
        owners = compiler.owners
        groupRoots = compiler.groupRoots
        tenantNames = compiler.tenantNames
        tenantRoots = compiler.tenantRoots
        generalRoot = compiler.generalRoot
        namedGeneralRoot = compiler.namedGeneralRoot
    }

    /// Looks a client up. Once per connection: it costs some lookups, and one allocation if rules have variables.
    package func principal(username: String?, clientID: String, tenant: String = "") -> ACLPrincipal {
        var tenant = tenant
        let number = tenant.isEmpty ? TextTable.none : tenant.withUTF8 { tenantNames.find(UnsafeRawBufferPointer($0)) }
        let isKnown = number != TextTable.none
        func holdsWildcard(_ text: String) -> Bool { text.utf8.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") } }
        return ACLPrincipal(
            policy: identity, owner: owner(nil, username), tenantOwner: isKnown ? owner(number, username) : .nobody,
            tenantRoot: isKnown ? tenantRoots[Int(number)] : ACLTree.none, hasUsername: username != nil,
            holdsWildcard: holdsWildcard(clientID) || (username.map(holdsWildcard) ?? false),
            values: tree.usesVariables ? ACLValues(clientID: clientID, username: username ?? "", tenant: tenant) : nil)
    }

    package func principal(_ client: ACLClient) -> ACLPrincipal {
        principal(username: client.username, clientID: client.clientID, tenant: client.tenant)
    }

    private func owner(_ tenant: UInt32?, _ username: String?) -> ACLOwner {
        let number = Self.ownerKey(tenant, username).withUnsafeBytes { ownerNames.find($0) }
        return number == TextTable.none ? .nobody : owners[Int(number)]
    }

    /// Number of the tenant, whether there is a username, and the username: no two owners have the same.
    static func ownerKey(_ tenant: UInt32?, _ username: String?) -> [UInt8] {
        let number = tenant ?? TextTable.none
        var key = (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
        key.append(username == nil ? 0 : 1)
        key += (username ?? "").utf8
        return key
    }

    // MARK: - About rules

    /// `file:line` of a rule.
    package func location(of rule: Int) -> String { "\(file.name):\(file.rules[rule].line)" }

    /// The text after `reason=`, for logs and for the Reason String of MQTT 5.
    package func reason(of rule: Int) -> String? { file.reasons[rule] }
}
