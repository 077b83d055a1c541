import MQTTModel
import PluginAPI
import Security

/// Who a client is, once that is decided.
struct Login: Sendable {
    var username: String?
    /// In place of the one in CONNECT.
    var clientID: String?
    /// As an authenticator or a token has it; `nil`: the listener's rule says.
    var tenant: String?
    var credential: Credential
    /// Authentication Data for CONNACK.
    var data: [UInt8]?
    /// What the tenant's rule may read.
    var claims: JWTClaims?
}

/// What a client was let in with, so that it can be asked again when files have changed.
enum Credential: Sendable {
    case anonymous
    /// The name as the client gave it, and the hash that its password fitted.
    case password(user: String, PasswordHash)
    /// A certificate or pre-shared key: the connection has it.
    case transport
    /// Good until then, milliseconds since 1970.
    case token(expires: Int64?)
    case plugin
}

/// What became of a login that was asked about off the loop.
enum LoginAnswer: Sendable {
    case accept(Login)
    /// Enhanced authentication goes on.
    case challenge([UInt8])
    /// The time to wait has passed.
    case lookAgain
    case refuse(LoginRefusal)
}

struct LoginRefusal: Sendable {
    let code: ReasonCode
    /// For our log and, where a v5 client wants it, for CONNACK.
    let why: String
    /// Held against the address, and told in the line that other programs read; `nil`: nobody has tried to be somebody else.
    let failure: LoginFailureReason?

    static func failed(_ failure: LoginFailureReason, _ code: ReasonCode = .badUserNameOrPassword) -> LoginRefusal {
        LoginRefusal(code: code, why: "login failed", failure: failure)
    }
    static func refused(_ code: ReasonCode, _ why: String) -> LoginRefusal { LoginRefusal(code: code, why: why, failure: nil) }
}
