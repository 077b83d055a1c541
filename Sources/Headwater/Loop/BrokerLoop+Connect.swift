import Logging
import MQTTModel
import MQTTSession
import MQTTWire
import NIOCore
import PluginAPI
import Security
import TLS
import Transport

/// CONNECT: checks, authentication, the way to the session's loop, and CONNACK.
extension BrokerLoop {
    func received(_ connect: Connect, on connection: ConnectionHandler, unread: Slice<UnsafeRawBufferPointer>) {
        connection.version = connect.protocolVersion
        connection.wantsProblemInformation = connect.requestProblemInformation
        if let maximum = connect.maximumPacketSize { connection.maxPacketBytes = Int(maximum) }
        var connect = connect
        let isAssigned = connect.clientID.isEmpty
        if isAssigned {
            // [MQTT-3.1.3-7] [MQTT-3.1.3-8]: without an identifier there is no session to keep; 3.1 wants one always
            let identity = connection.listener.configuration.identity
            let isNamedElsewhere = identity.clientID != nil || identity.usesUsernameAsClientID
            guard connect.protocolVersion == .v5 || (connect.protocolVersion == .v3_1_1 && connect.cleanStart) || isNamedElsewhere else {
                return refuse(.clientIdentifierNotValid, "empty client identifier", on: connection)
            }
            connect.clientID = Self.makeClientID()
        }
        if let will = connect.will, let code = willRefusal(will) {
            return refuse(code, "will can't be kept", on: connection)
        }
        let keepAlive = KeepAlive(
            requestedSeconds: Int(connect.keepAliveSeconds), maxSeconds: configuration.sessions.maxKeepAliveSeconds)
        let client = ClientInfo(
            clientID: connect.clientID, username: connect.username, protocolVersion: connect.protocolVersion,
            peerAddress: connection.peer.address, listener: connection.listener.configuration.name,
            keepAliveSeconds: keepAlive.seconds)
        connection.client = client
        let admission = Admission(
            client: client, assignedClientID: isAssigned, keepAliveIsServerChoice: keepAlive.isServerChoice, authenticationData: nil,
            credential: .anonymous)
        for hook in hooks.connect {
            if case .refuse(let code) = hook.clientConnecting(client) { return refuse(code, "plugin", on: connection) }
        }
        decide(connect, admission, on: connection, unread: unread)
    }

    private func decide(
        _ connect: Connect, _ admission: Admission, on connection: ConnectionHandler, unread: Slice<UnsafeRawBufferPointer>?
    ) {
        switch look(at: connect, of: admission.client, on: connection) {
        case .accept(let login): loggedIn(login, connect, admission, on: connection, unread: unread)
        case .refuse(let refusal): refuse(refusal, admission.client, on: connection)
        case .ask(let question):
            connection.withExtras {
                $0.connect = connect
                $0.admission = admission
            }
            ask(connection, question)
        }
    }

    /// Asks off the loop; the connection reads nothing meanwhile.
    func ask(_ connection: ConnectionHandler, _ question: @escaping @Sendable () async -> LoginAnswer) {
        let wasConnected = connection.phase == .connected
        if !wasConnected { connection.phase = .authenticating }
        connection.pause()
        let reference = connection.reference
        let node = nodes[index]
        Task {
            let answer = await question()
            node.eventLoop.execute { node.bound.value?.answered(reference, answer) }
        }
    }

    private func answered(_ reference: ConnectionReference, _ answer: LoginAnswer) {
        beginWork()
        guard let connection = connections[reference], connection.phase < .closing else { return }
        connection.unpause()
        if connection.phase == .connected { return reauthenticated(connection, answer) }
        guard let connect = connection.extras?.connect, let admission = connection.extras?.admission else { return }
        switch answer {
        case .lookAgain: decide(connect, admission, on: connection, unread: nil)
        case .refuse(let refusal):
            refuse(refusal, admission.client, on: connection)
        case .challenge(let data):
            connection.phase = .exchanging
            connection.withExtras { $0.authenticationMethod = connect.authenticationMethod }
            connection.send(.auth(Auth(
                reason: .continueAuthentication, authenticationMethod: connect.authenticationMethod, authenticationData: data)))
        case .accept(let login):
            connection.extras?.connect = nil
            connection.extras?.admission = nil
            connection.phase = .awaitingConnect
            loggedIn(login, connect, admission, on: connection, unread: nil as Slice<UnsafeRawBufferPointer>?)
        }
    }

    private func refuse(_ refusal: LoginRefusal, _ client: ClientInfo, on connection: ConnectionHandler) {
        if let failure = refusal.failure { loginFailed(failure, client) }
        refuse(refusal.code, refusal.why, on: connection)
    }

    /// The client is who it is: now its names, as the listener wants them, and its tenant.
    private func loggedIn(
        _ login: Login, _ connect: Connect, _ admission: Admission, on connection: ConnectionHandler, unread: Slice<UnsafeRawBufferPointer>?
    ) {
        let client = admission.client
        let listener = connection.listener
        let identity = connection.wire?.identity
        let naming = security[listener.index].tenantNaming
        guard
            case .tenant(let tenant, let shortName) = naming.decide(
                login, identity: identity, serverName: identity?.serverName ?? connection.peer.proxiedServerName)
        else { return refuse(.notAuthorized, "nothing says whose device it is (tenant)", on: connection) }
        let username = shortName ?? login.username
        var connect = connect
        if let source = listener.configuration.identity.clientID {
            guard case .name(let name) = proven(source, of: connection) else {
                return refuse(.clientIdentifierNotValid, "the certificate or key names no client identifier", on: connection)
            }
            connect.clientID = name
        } else if listener.configuration.identity.usesUsernameAsClientID {
            guard let username, !username.isEmpty else {
                return refuse(.clientIdentifierNotValid, "without a user name there is no client identifier", on: connection)
            }
            connect.clientID = username
        }
        if connect.clientID.utf8.count > configuration.limits.maxClientIDBytes {
            return refuse(.clientIdentifierNotValid, "the client identifier is too long", on: connection)
        }
        let accepted = ClientInfo(
            tenant: tenant, clientID: connect.clientID, username: username,
            protocolVersion: client.protocolVersion, peerAddress: client.peerAddress, listener: client.listener,
            keepAliveSeconds: client.keepAliveSeconds)
        connection.client = accepted
        admitted(
            connect,
            Admission(
                client: accepted, assignedClientID: admission.assignedClientID, keepAliveIsServerChoice: admission.keepAliveIsServerChoice,
                authenticationData: login.data, credential: login.credential),
            on: connection, unread: unread)
    }

    /// Authenticated: to the loop where the session lives, or where it will.
    ///
    /// - Parameter unread: What came after CONNECT in the buffer that is being read; `nil`: the connection keeps it.
    private func admitted(
        _ connect: Connect, _ admission: Admission, on connection: ConnectionHandler, unread: Slice<UnsafeRawBufferPointer>?
    ) {
        guard var admission = numbered(admission, on: connection) else {
            return refuse(.quotaExceeded, "as many tenants as there may be", on: connection)
        }
        if !admission.isCounted, let (code, why) = connectQuotaExceeded(admission.client) { return refuse(code, why, on: connection) }
        admission.isCounted = true
        let key = SessionKey(tenant: admission.client.tenant, clientID: admission.client.clientID)
        let home = nodes.count == 1 ? index : directory.home(of: key, orClaimFor: index)
        guard home != index else { return attach(connection, connect, admission) }
        let unread = unread.map { Array($0) } ?? connection.takeUnread()
        guard let (descriptor, wire) = connection.leave() else {
            strangerLog.line(.error, "connection can't move to its session: no descriptor is free, or it reads too slowly", nowMilliseconds: clock.monotonicMilliseconds,
                metadata: ["client": "\(key.clientID)", "peer": "\(connection.peer.address)"])
            return connection.closeNow()
        }
        write(
            .adopt(ConnectionTransfer(
                descriptor: descriptor, wire: wire, connect: connect, admission: admission, listener: connection.listener,
                peer: connection.peer, unread: unread)),
            to: home)
    }

    /// A connection from another loop: its session is here.
    func adopt(_ transfer: ConnectionTransfer) {
        let node = nodes[index]
        let totals = totals
        _ = AdoptedSocket.open(descriptor: transfer.descriptor, on: eventLoop) { channel in
            guard let loop = node.bound.value else { throw ChannelError.ioOnClosedChannel }
            totals.movedConnection(of: transfer.listener)
            channel.closeFuture.whenComplete { _ in totals.releaseConnection(of: transfer.listener) }
            var wire: Wire?
            if let detached = transfer.wire {
                let tls = detached.tls?.take().map { TLSHandler(engine: $0, scratch: loop.tlsScratch) }
                if let tls { try channel.pipeline.syncOperations.addHandler(tls) }
                wire = Wire(tls: tls, webSocket: detached.webSocket)
            }
            let handler = ConnectionHandler(
                loop: loop, listener: transfer.listener, peer: transfer.peer, wire: wire, transfer: transfer)
            try channel.pipeline.syncOperations.addHandler(handler)
        }
    }

    /// The channel of `adopt` is there.
    func adopted(_ connection: ConnectionHandler, _ transfer: ConnectionTransfer) {
        connection.version = transfer.connect.protocolVersion
        connection.wantsProblemInformation = transfer.connect.requestProblemInformation
        if let maximum = transfer.connect.maximumPacketSize { connection.maxPacketBytes = Int(maximum) }
        connection.client = transfer.admission.client
        // The session may have ended on the way, and its client identifier found a new home.
        admitted(transfer.connect, transfer.admission, on: connection, unread: nil as Slice<UnsafeRawBufferPointer>?)
    }

    // MARK: CONNACK

    private func attach(_ connection: ConnectionHandler, _ connect: Connect, _ admission: Admission) {
        let client = admission.client
        let key = SessionKey(tenant: client.tenant, clientID: client.clientID)
        var existing = sessionsByKey[key]
        // The session may end below and begin anew: its home stays, or another loop would begin one meanwhile.
        keyInTransition = key
        defer { keyInTransition = nil }
        let before = operationCount
        // A session that is there already may go on, unless it wants more kept than it had.
        if let ledger, ledger.isRefusing, existing?.stored != nil || willPersist(connect),
            connect.cleanStart || connect.will != nil || existing?.stored.map({ $0.firstBatch > ledger.stored }) ?? true
        {
            return refuseAttach(key, .quotaExceeded, "the store can't be written now, and the session could not be kept", on: connection)
        }
        guard takeQuotaPlace(of: client, isReplacement: existing?.connection != nil) else {
            return refuseAttach(key, .quotaExceeded, "quota of the tenant: connections", on: connection)
        }
        if let old = existing?.connection {
            counters.statistics.takeovers += 1
            old.close(  // [MQTT-3.1.4-3]
                DisconnectReason(cause: .takenOver, code: .sessionTakenOver),
                ending: connect.cleanStart ? .takenOverAndDiscarded : .takenOverAndResumed)
            existing = sessionsByKey[key]  // a session that ended with its connection has gone
        }
        if connect.cleanStart, let session = existing {
            end(session)
            existing = nil
        }
        let session = existing ?? begin(key, tenantNumber: client.tenantNumber)
        let isPresent = existing != nil
        connection.halfOpen = nil
        if case .password = admission.credential { connection.withExtras { $0.credential = admission.credential } }
        setAccess(of: session, client: client, listener: connection.listener)
        take(connect, into: session)
        if !isPresent, session.isPersistent { beginStoring(session) }
        connection.session = session
        connection.phase = .connected
        session.connection = connection
        countConnection(connection, of: client.tenantNumber)
        beginQuota(of: connection, client)
        session.isStalled = false
        session.inbound.connectionBegan()
        session.outbound.connectionBegan()
        counters.statistics.sessionsOffline -= isPresent ? 1 : 0
        session.extras?.endsAtMilliseconds = nil
        session.extras?.disconnectedAt = nil
        if connect.will != nil || session.extras?.will != nil {
            session.withExtras { $0.will = connect.will.map { PlannedWill(will: $0, client: client, dueAtMilliseconds: nil) } }
        }
        if connect.topicAliasMaximum > 0, configuration.sessions.outboundTopicAliasMaximum > 0 {
            let maximum = min(Int(connect.topicAliasMaximum), configuration.sessions.outboundTopicAliasMaximum)
            connection.withExtras { $0.outboundAliases = OutboundTopicAliases(maximum: maximum) }
        }
        if let method = connect.authenticationMethod { connection.withExtras { $0.authenticationMethod = method } }
        save(session)
        // What CONNACK says is a fact: a session that was there is in the store already, whatever becomes of this change.
        if let ledger, operationCount > before, !ledger.hasFailed { ledger.hold(connection) }
        startKeepAlive(connection, client.keepAliveSeconds)
        endWithCredential(connection, admission.credential)
        sendConnAck(connection, connect, admission, isPresent: isPresent, session: session)
        clientLog.line(.info, "connected", nowMilliseconds: clock.monotonicMilliseconds, metadata: [
            "client": "\(client.clientID)", "user": "\(client.username ?? "")", "peer": "\(client.peerAddress)",
            "listener": "\(client.listener)", "mqtt": "\(client.protocolVersion)", "clean_start": "\(connect.cleanStart)",
            "session_present": "\(isPresent)", "keep_alive": "\(client.keepAliveSeconds)", "tenant": "\(client.tenant)",
        ])
        for hook in hooks.connected { hook.clientConnected(client, sessionPresent: isPresent) }
        if isPresent {
            tellShares(session, isOnline: true)
            pump(session)
        }
    }

    /// What CONNECT says about the session.
    private func take(_ connect: Connect, into session: Session) {
        let limits = configuration.sessions
        switch connect.protocolVersion {
        case .v5: session.expirySeconds = min(connect.sessionExpirySeconds ?? 0, limits.maxExpirySeconds)
        case .v3_1, .v3_1_1: session.expirySeconds = connect.cleanStart ? 0 : limits.maxExpirySeconds
        }
        session.window = Int32(min(limits.maxInflightMessages, Int(connect.receiveMaximum ?? 65_535)))
    }

    /// Whether the session of this CONNECT is to outlive its connection.
    private func willPersist(_ connect: Connect) -> Bool {
        switch connect.protocolVersion {
        case .v5: min(connect.sessionExpirySeconds ?? 0, configuration.sessions.maxExpirySeconds) > 0
        case .v3_1, .v3_1_1: !connect.cleanStart && configuration.sessions.maxExpirySeconds > 0
        }
    }

    private func startKeepAlive(_ connection: ConnectionHandler, _ seconds: Int) {
        guard let limit = KeepAlive(requestedSeconds: seconds, maxSeconds: nil).limitMilliseconds else { return }
        connection.keepAliveMilliseconds = limit
        addTimer(.keepAlive, slot: connection.slot, serial: connection.serial, afterMilliseconds: limit)
    }

    /// A token that ends takes its connection along.
    private func endWithCredential(_ connection: ConnectionHandler, _ credential: Credential) {
        guard case .token(let expires?) = credential else { return }
        let wait = UInt64(max(0, expires - clock.unixMilliseconds))
        addTimer(.credentialEnd, slot: connection.slot, serial: connection.serial, afterMilliseconds: min(wait, 1 << 40))
    }

    private func sendConnAck(
        _ connection: ConnectionHandler, _ connect: Connect, _ admission: Admission, isPresent: Bool, session: Session
    ) {
        var answer = ConnAck(reason: .success, sessionPresent: isPresent)
        let sessions = configuration.sessions
        if session.expirySeconds != connect.sessionExpirySeconds ?? 0 { answer.sessionExpirySeconds = session.expirySeconds }
        if sessions.receiveMaximum < 65_535 { answer.receiveMaximum = UInt16(sessions.receiveMaximum) }
        if sessions.maxQoS < 2 { answer.maximumQoS = QoS(rawValue: UInt8(sessions.maxQoS)) ?? .atMostOnce }
        answer.retainAvailable = configuration.retained.isAvailable
        answer.maximumPacketSize = UInt32(clamping: maxPacketBytes)
        answer.topicAliasMaximum = UInt16(clamping: sessions.topicAliasMaximum)
        if admission.assignedClientID { answer.assignedClientID = admission.client.clientID }
        if admission.keepAliveIsServerChoice { answer.serverKeepAliveSeconds = UInt16(clamping: admission.client.keepAliveSeconds) }
        answer.authenticationMethod = connect.authenticationMethod
        answer.authenticationData = admission.authenticationData
        connection.send(.connAck(answer))
    }

    // MARK: Refusals

    /// CONNACK with an error, and close.
    func refuse(_ code: ReasonCode, _ why: String, on connection: ConnectionHandler) {
        counters.statistics.connectionsRefused[code.rawValue, default: 0] += 1
        count(for: connection.client?.tenantNumber ?? 0) { $0.connectionsRefused += 1 }
        strangerLog.line(.notice, "connection refused", nowMilliseconds: clock.monotonicMilliseconds, metadata: [
            "client": "\(connection.client?.clientID ?? "")", "user": "\(connection.client?.username ?? "")",
            "peer": "\(connection.peer.address)", "listener": "\(connection.listener.configuration.name)",
            "code": "\(code)", "why": "\(why)",
        ])
        var answer = ConnAck(reason: code)
        answer.reasonString = connection.wantsProblemInformation ? why : nil
        connection.send(.connAck(answer))
        connection.beginClosing()
    }

    /// A CONNECT that could not be decoded: CONNACK where the specification has one, else nothing.
    func refuse(_ error: DecodeError, connectBody: UnsafeRawBufferPointer, on connection: ConnectionHandler) {
        counters.statistics.protocolErrors[error.reasonCode.rawValue, default: 0] += 1
        guard let version = Connect.refusalVersion(error, body: connectBody) else {
            return refuseSilently(connection, error.description)
        }
        connection.version = version
        refuse(error.reasonCode, error.description, on: connection)
    }

    private func willRefusal(_ will: Connect.Will) -> ReasonCode? {
        if Int(will.qos.rawValue) > configuration.sessions.maxQoS { return .qosNotSupported }  // [MQTT-3.2.2-12]
        if will.retain, !configuration.retained.isAvailable { return .retainNotSupported }  // [MQTT-3.2.2-13]
        var topic = will.topic
        return topic.withUTF8 { isReservedTopic(UnsafeRawBufferPointer($0)) } ? .topicNameInvalid : nil
    }

    private static func makeClientID() -> String {
        var generator = SystemRandomNumberGenerator()
        return "auto-" + String(generator.next() as UInt64, radix: 36) + String(generator.next() as UInt64, radix: 36)
    }
}
