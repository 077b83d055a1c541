/// One address that the broker accepts connections on, and who is let in there.
///
/// Security is a listener's own: two listeners may have other certificates, password files and rules.
public struct ListenerConfiguration: Sendable, Equatable {
    public enum Address: Sendable, Equatable, CustomStringConvertible {
        /// Host name or address (IPv4 or IPv6) and port; port 0 lets the system choose.
        case tcp(host: String, port: Int)
        case unix(path: String)

        public var description: String {
            switch self {
            case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            case .unix(let path): path
            }
        }
    }

    /// What is spoken above TCP or TLS.
    public enum WireProtocol: String, Sendable, Equatable, CaseIterable {
        case mqtt
        case webSocket = "websocket"
        /// Both on one port, told apart by ALPN, and by the first byte of a client that has none.
        case any
    }

    /// Name in logs, metrics and `ClientInfo.listener`.
    public var name: String
    public var address: Address
    public var wireProtocol = WireProtocol.mqtt
    /// Connections of this listener at once; `nil`: no limit of its own.
    public var maxConnections: Int?
    /// Whether clients that show nothing at all, no user name and no certificate that names them, are let in.
    public var allowsAnonymous: Bool
    /// `nil`: no TLS.
    public var tls: TLS?
    public var webSocket = WebSocket()
    /// `nil`: a PROXY header is no CONNECT, and closes the connection.
    public var proxyProtocol: ProxyProtocol?
    public var identity = Identity()
    /// Users and their hashes, in Mosquitto's format (docs/security.md). `nil`: no passwords.
    public var passwordFile: String?
    /// `nil`: no tokens.
    public var jwt: JWT?
    /// Topic rules, in Mosquitto's format (docs/acl.md). `nil`: everybody may everything.
    public var aclFile: String?
    /// Whether SUBSCRIBE is refused with 0x87 when no rule could ever match; otherwise it is granted, as Mosquitto does, and what the
    /// rules forbid is not delivered.
    public var refusesHopelessSubscriptions = false
    public var tenant = TenantRule.none

    public init(name: String, address: Address, allowsAnonymous: Bool = false, maxConnections: Int? = nil) {
        self.name = name
        self.address = address
        self.allowsAnonymous = allowsAnonymous
        self.maxConnections = maxConnections
    }

    /// The loopback address, IPv4, anonymous clients allowed.
    public static func loopback(port: Int) -> ListenerConfiguration {
        ListenerConfiguration(name: "local", address: .tcp(host: "127.0.0.1", port: port), allowsAnonymous: true)
    }

    /// Whether anything but a plugin could let a client in.
    public var hasCredentials: Bool {
        passwordFile != nil || jwt != nil || identity.username != nil
    }
}
