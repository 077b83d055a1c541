/// Who asks, as far as an ACL file can tell clients apart.
package struct ACLClient: Sendable, Equatable {
    /// `nil`: the client gave none. An empty username is one, which no `user` line can name.
    package var username: String?
    package var clientID: String
    /// Empty: the client belongs to no tenant.
    package var tenant: String

    package init(username: String?, clientID: String, tenant: String = "") {
        self.username = username
        self.clientID = clientID
        self.tenant = tenant
    }
}
