import MQTTModel
import MQTTWire
import PluginAPI

/// Enhanced authentication (MQTT 5.0 section 4.12): AUTH before CONNACK and after it.
extension BrokerLoop {
    func receivedDuringExchange(_ auth: Auth, on connection: ConnectionHandler) {
        guard let connect = connection.extras?.connect, let client = connection.client, let authenticator else { return }
        guard auth.reason == .continueAuthentication, auth.authenticationMethod == connect.authenticationMethod else {
            return refuse(.protocolError, "AUTH does not continue the exchange", on: connection)  // [MQTT-4.12.0-3] [MQTT-4.12.0-5]
        }
        guard mayGoOn(connection) else { return refuse(.notAuthorized, "too many rounds of authentication", on: connection) }
        let request = AuthenticationRequest(
            client: client, password: connect.password, method: connect.authenticationMethod, data: connect.authenticationData)
        let data = auth.authenticationData
        ask(connection) { LoginAnswer(await authenticator.continueExchange(request, data: data), username: client.username) }
    }

    /// AUTH on a connection that is up: the same exchange again, for credentials that age [MQTT-4.12.1-1].
    func receivedReauthentication(_ auth: Auth, on connection: ConnectionHandler) {
        guard let method = connection.extras?.authenticationMethod, auth.authenticationMethod == method, let client = connection.client,
            let authenticator
        else { return protocolError(.protocolError, "AUTH without the authentication method of CONNECT", on: connection) }
        guard mayGoOn(connection) else {
            return protocolError(.notAuthorized, "too many rounds of authentication", on: connection)
        }
        let data = auth.authenticationData
        let request = AuthenticationRequest(client: client, password: nil, method: method, data: data)
        let isRunning = connection.extras?.isReauthenticating == true
        switch auth.reason {
        case .reauthenticate where !isRunning:
            connection.extras?.isReauthenticating = true
            ask(connection) { LoginAnswer(await authenticator.authenticate(request), username: client.username) }
        case .continueAuthentication where isRunning:
            ask(connection) { LoginAnswer(await authenticator.continueExchange(request, data: data), username: client.username) }
        default:
            protocolError(.protocolError, "AUTH out of order", on: connection)
        }
    }

    func reauthenticated(_ connection: ConnectionHandler, _ answer: LoginAnswer) {
        let method = connection.extras?.authenticationMethod
        switch answer {
        case .challenge(let data):
            connection.send(.auth(Auth(reason: .continueAuthentication, authenticationMethod: method, authenticationData: data)))
        case .accept(let login) where login.tenant != nil && login.tenant != connection.client?.tenant:
            protocolError(.notAuthorized, "re-authentication as a client of another tenant", on: connection)
        case .accept(let login):
            connection.extras?.isReauthenticating = false
            connection.extras?.authenticationRounds = 0
            connection.send(.auth(Auth(reason: .success, authenticationMethod: method, authenticationData: login.data)))
        case .lookAgain: break  // nothing waits here
        case .refuse(let refusal):
            protocolError(refusal.code, "re-authentication", on: connection)  // [MQTT-4.12.1-2]
        }
    }

    private func mayGoOn(_ connection: ConnectionHandler) -> Bool {
        connection.withExtras { extras in
            extras.authenticationRounds += 1
            return extras.authenticationRounds <= configuration.limits.maxAuthenticationRounds
        }
    }
}
