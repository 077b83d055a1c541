import Logging
import MQTTModel
import MQTTWire
import PluginAPI
import Security
import TLS
import Transport

/// Who a client is: certificate, pre-shared key, token, password, plugin, or nobody in particular, in this order.
extension BrokerLoop {
    /// What can be said at once.
    enum FirstLook {
        case accept(Login)
        case refuse(LoginRefusal)
        /// Takes time: a hash, a signature, a plugin.
        case ask(@Sendable () async -> LoginAnswer)
    }

    /// - Parameter client: As CONNECT has it; nothing of it is proven.
    func look(at connect: Connect, of client: ClientInfo, on connection: ConnectionHandler) -> FirstLook {
        let listener = connection.listener
        let configuration = listener.configuration
        let security = security[listener.index]
        if let method = connect.authenticationMethod {
            guard let authenticator, authenticator.methods.contains(method) else {
                return .refuse(.refused(.badAuthenticationMethod, "authentication method is not offered"))  // [MQTT-4.12.0-1]
            }
            return ask(authenticator, connect, client)
        }
        if let source = configuration.identity.username {
            switch proven(source, of: connection) {
            case .name(let name): return .accept(Login(username: name, credential: .transport))
            case .unusable: return .refuse(.failed(.certificate, .notAuthorized))
            case .none: break
            }
        }
        if let password = connect.password, let tokens = security.tokens, TokenLogin.looksLikeToken(password) {
            return guarded(connection, client) { await tokens.login(password) }
        }
        if let username = connect.username, let passwords = security.passwords,
            authenticator == nil || passwords.contains(Array(username.utf8))
        {
            let password = connect.password ?? []
            // A user that there isn't costs as much time as one that there is.
            let hash = passwords.challenge(for: Array(username.utf8))
            let pool = hashingPool
            return guarded(connection, client) {
                switch await pool.verify(password, against: hash) {
                case .right: .accept(Login(username: username, credential: .password(user: username, hash)))
                case .wrong: .refuse(.failed(.password))
                case .overloaded: .refuse(.refused(.quotaExceeded, "more logins than can be checked now"))
                }
            }
        }
        let isNobody = connect.username == nil && connect.password == nil
        if isNobody, configuration.allowsAnonymous { return .accept(Login(username: nil, credential: .anonymous)) }
        if let authenticator { return ask(authenticator, connect, client) }
        if isNobody || !configuration.hasCredentials, !configuration.allowsAnonymous {
            return .refuse(.refused(.notAuthorized, "listener does not allow anonymous clients"))
        }
        if configuration.hasCredentials { return .refuse(.failed(.unknownUser)) }
        // Nobody checks user names here; the client may call itself what it likes.
        return .accept(Login(username: connect.username, credential: .anonymous))
    }

    /// A question whose wrong answers are counted against address and user, and which waits while there are many.
    private func guarded(
        _ connection: ConnectionHandler, _ client: ClientInfo, _ question: @escaping @Sendable () async -> LoginAnswer
    ) -> FirstLook {
        let address = LoginAddress(peer: connection.peer.address)
        let user = Array((client.username ?? "").utf8)
        let listener = client.listener
        let logins = loginGuard
        let logger = logger
        switch logins.mayTry(address: address, listener: listener, user: user, now: Int64(clock.monotonicMilliseconds)) {
        case .wait(let milliseconds):
            return .ask {
                try? await Task.sleep(for: .milliseconds(milliseconds))
                return .lookAgain
            }
        case .banned: return .refuse(LoginRefusal(code: .banned, why: "banned after failed logins", failure: .banned))
        case .yes:
            // Answered whatever becomes of the connection: each permission has one answer.
            return .ask {
                let answer = await question()
                let now = Int64(MessageClock.now.monotonicMilliseconds)
                switch answer {
                case .accept: logins.succeeded(address: address, listener: listener, user: user, now: now)
                case .refuse(let refusal) where refusal.failure != nil:
                    if let until = logins.failed(address: address, listener: listener, user: user, now: now) {
                        // Rarer than failures by as much as a ban takes of them.
                        logger.warning("\(LoginFailure.banLine(address: address, seconds: (until - now) / 1_000))")
                    }
                case .refuse, .challenge, .lookAgain: logins.abandoned(address: address, now: now)
                }
                return answer
            }
        }
    }

    private func ask(_ authenticator: any Authenticator, _ connect: Connect, _ client: ClientInfo) -> FirstLook {
        let request = AuthenticationRequest(
            client: client, password: connect.password, method: connect.authenticationMethod, data: connect.authenticationData)
        return .ask { LoginAnswer(await authenticator.authenticate(request), username: client.username) }
    }

    // MARK: What the connection proves

    enum Proven: Equatable {
        case name(String)
        /// There is a certificate, and it names nobody.
        case unusable
        case none
    }

    func proven(_ source: ListenerConfiguration.Identity.Source, of connection: ConnectionHandler) -> Proven {
        let identity = connection.wire?.identity
        if source == .psk { return identity?.pskIdentity.map(Proven.name) ?? .none }
        guard let identity, identity.certificate != nil else {
            // The proxy in front has verified a certificate and says whose it is.
            guard source == .commonName, let name = connection.peer.proxied?.commonName else { return .none }
            return isUsable(name) ? .name(name) : .unusable
        }
        guard !identity.hasUnusableNames else { return .unusable }
        let name: String? =
            switch source {
            case .commonName: identity.commonNames.count == 1 ? identity.commonNames[0] : nil
            case .subject: identity.subject
            case .sanDNS: identity.dnsNames.first
            case .sanURI: identity.uris.first
            case .sanEmail: identity.emails.first
            case .psk: nil
            }
        guard let name, isUsable(name) else { return .unusable }
        return .name(name)
    }

    private func isUsable(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 65_535 && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
    }

    /// One line that other programs may read, always of the same form (docs/security.md).
    func loginFailed(_ failure: LoginFailureReason, _ client: ClientInfo) {
        counters.statistics.loginsFailed[failure.rawValue, default: 0] += 1
        let line = LoginFailure.line(
            user: Array((client.username ?? "").utf8), peer: client.peerAddress, listener: client.listener, reason: failure)
        loginLog.line(.warning, "\(line)", nowMilliseconds: clock.monotonicMilliseconds, metadata: [:])
    }
}

extension LoginAnswer {
    init(_ decision: AuthenticationDecision, username: String?) {
        switch decision {
        case .accept(let name, let data, let tenant):
            self = .accept(Login(username: name ?? username, tenant: tenant, credential: .plugin, data: data))
        case .challenge(let data): self = .challenge(data)
        case .refuse(let code): self = .refuse(.failed(.plugin, code))
        }
    }
}
