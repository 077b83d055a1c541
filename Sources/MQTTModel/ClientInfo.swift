import Encodings

/// Who stands at the other end of a connection, as decided before CONNACK. Immutable; one object per connection,
/// shared by every message that the connection publishes.
public final class ClientInfo: Sendable {
    /// A session's identity is tenant + client identifier.
    public let tenant: String
    /// Of the tenant, in this process; 0: the default tenant, or not asked for yet.
    @usableFromInline package let tenantNumber: UInt32
    public let clientID: String
    public let username: String?
    public let protocolVersion: ProtocolVersion
    /// Address of the peer as text: `192.0.2.1:50123`, `[2001:db8::1]:50123`, or `unix` for a Unix socket.
    public let peerAddress: String
    /// Name of the listener that accepted the connection.
    public let listener: String
    /// Keep alive in force for this connection, in seconds; 0 is none.
    public let keepAliveSeconds: Int

    public init(
        tenant: String = "", clientID: String, username: String?, protocolVersion: ProtocolVersion,
        peerAddress: String, listener: String, keepAliveSeconds: Int = 0
    ) {
        self.tenant = tenant
        tenantNumber = 0
        self.clientID = clientID
        self.username = username
        self.protocolVersion = protocolVersion
        self.peerAddress = peerAddress
        self.listener = listener
        self.keepAliveSeconds = keepAliveSeconds
    }

    private init(_ other: ClientInfo, tenant: String, number: UInt32, username: String?) {
        self.tenant = tenant
        tenantNumber = number
        clientID = other.clientID
        self.username = username
        protocolVersion = other.protocolVersion
        peerAddress = other.peerAddress
        listener = other.listener
        keepAliveSeconds = other.keepAliveSeconds
    }

    /// The same client as what authentication has made of it. The tenant's number is still to be asked for.
    package func accepted(as username: String?, of tenant: String?) -> ClientInfo {
        ClientInfo(self, tenant: tenant ?? self.tenant, number: 0, username: username ?? self.username)
    }

    /// The same client, with the number that its tenant has in this process.
    package func numbered(_ tenantNumber: UInt32) -> ClientInfo {
        ClientInfo(self, tenant: tenant, number: tenantNumber, username: username)
    }
}

/// Identity of a session: two tenants may use the same client identifier and never meet. Compared byte by byte.
public struct SessionKey: Hashable, Sendable {
    private let tenantText: ExactText
    private let clientText: ExactText

    public var tenant: String { tenantText.string }
    public var clientID: String { clientText.string }

    public init(tenant: String, clientID: String) {
        tenantText = ExactText(tenant)
        clientText = ExactText(clientID)
    }
}
