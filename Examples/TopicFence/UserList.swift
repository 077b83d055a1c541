import MQTTModel
import PluginAPI

/// Lets in the users of a fixed list. Called off the event loops, so it might as well ask a database.
struct UserList: Authenticator {
    let users: [String: TopicFence.User]

    func authenticate(_ request: AuthenticationRequest) async -> AuthenticationDecision {
        guard let name = request.client.username, let user = users[name], let password = request.password,
            Self.areEqual(password, Array(user.password.utf8))
        else { return .refuse(.badUserNameOrPassword) }
        return .accept(username: name)
    }

    /// Takes the same time wherever the first difference is, so that time does not tell how much was right.
    private static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
