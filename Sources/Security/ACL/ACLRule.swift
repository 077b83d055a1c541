import Encodings
import MQTTModel

/// One rule line of an ACL file. 24 bytes: a file may have a hundred thousand of them. The filter stays where it is, in the
/// bytes of the file.
package struct ACLRule: Sendable, Equatable {
    package enum Effect: UInt8, Sendable { case allow, deny }

    /// Which of `%c`, `%u` and `%t` stand for the client's own, when they fill a level.
    package enum Variables: UInt8, Sendable {
        /// A `topic` line: none; they are literal.
        case none
        /// A `pattern` line: `%c` and `%u`.
        case clientAndUser
        /// An `allow` or `deny` line: all three.
        case all
    }

    let lineNumber: UInt32
    /// Index in `ACLFile.lists`.
    let listNumber: UInt32
    let filterStart: UInt32
    let filterCount: UInt32
    package let effect: Effect
    package let variables: Variables
    /// Whether it is about being sent messages, and about publishing. An old deny is about both.
    package let reads: Bool
    package let writes: Bool
    /// Of an allow: the highest QoS it gives.
    package let maxQoS: QoS
    /// Of an allow: whether it is good for retained messages.
    package let mayRetain: Bool
    /// A `pattern` line with `%u` anywhere, also within a level, says nothing about clients without a username.
    package let needsUsername: Bool

    package var line: Int { Int(lineNumber) }
    package var list: Int { Int(listNumber) }
    var filter: Range<Int> { Int(filterStart)..<(Int(filterStart) + Int(filterCount)) }

    package func concerns(_ access: ACLAccess) -> Bool { access == .read ? reads : writes }
}

/// Whom a rule is for.
package struct ACLList: Sendable, Hashable {
    package enum Section: UInt8, Sendable {
        /// Clients without a username.
        case anonymous
        case user
        case group
        /// `pattern` lines: everybody.
        case patterns
        case everyone
    }

    package let section: Section
    /// Username or name of the group; empty for the other sections.
    package let name: ExactText
    /// `nil`: clients of all tenants, and of none.
    package let tenant: ExactText?

    package init(_ section: Section, name: String = "", tenant: String? = nil) {
        self.section = section
        self.name = ExactText(name)
        self.tenant = tenant.map { ExactText($0) }
    }

    /// Own rules are tested first; what they leave open, the general ones decide.
    package var isGeneral: Bool { section == .patterns || section == .everyone }
}

/// That a user belongs to a group: of the same tenant, if the group is a tenant's.
package struct ACLMembership: Sendable, Hashable {
    /// Index in `ACLFile.lists`.
    package let group: Int
    package let username: ExactText
}
