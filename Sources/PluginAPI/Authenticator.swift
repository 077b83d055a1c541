import MQTTModel

/// What a client showed at CONNECT.
public struct AuthenticationRequest: Sendable {
    public let client: ClientInfo
    /// The password field; binary data by the specification.
    public let password: [UInt8]?
    /// Authentication Method and Data of enhanced authentication (MQTT 5.0 section 4.12).
    public let method: String?
    public let data: [UInt8]?

    public init(client: ClientInfo, password: [UInt8]?, method: String?, data: [UInt8]?) {
        self.client = client
        self.password = password
        self.method = method
        self.data = data
    }
}

public enum AuthenticationDecision: Sendable, Equatable {
    /// Let it in, as this user and as a client of this tenant if given; `data` is the Authentication Data of CONNACK or of the last
    /// AUTH. Re-authentication can't change the tenant.
    case accept(username: String? = nil, data: [UInt8]? = nil, tenant: String? = nil)
    /// CONNACK or DISCONNECT with this reason code.
    case refuse(ReasonCode)
    /// Enhanced authentication goes on: AUTH 0x18 with this data, then `continueExchange` with the answer.
    case challenge(data: [UInt8])
}

/// Decides who a client is. Called off the event loops; the connection reads nothing meanwhile.
public protocol Authenticator: Sendable {
    /// Authentication Methods for enhanced authentication; others are refused with 0x8C before `authenticate` is called.
    var methods: [String] { get }

    /// CONNECT, or AUTH 0x19 (re-authentication) on a connection that used enhanced authentication.
    func authenticate(_ request: AuthenticationRequest) async -> AuthenticationDecision

    /// AUTH 0x18 from a client that was sent a challenge.
    func continueExchange(_ request: AuthenticationRequest, data: [UInt8]?) async -> AuthenticationDecision
}

extension Authenticator {
    public var methods: [String] { [] }
    public func continueExchange(_ request: AuthenticationRequest, data: [UInt8]?) async -> AuthenticationDecision {
        .refuse(.badAuthenticationMethod)
    }
}
