import MQTTModel
import PluginAPI
import Routing
import Security

/// Topic rules (docs/acl.md): checked when a client publishes, when a will is published, and when a message is delivered.
///
/// On the way of a message a rule is looked up once for a topic and receiver, when the route is made, and once for a topic and
/// publisher while they stay the same; a change of the rules begins a new generation of routes.
extension BrokerLoop {
    /// Who the session belongs to now, and what rules its listener has.
    func setAccess(of session: Session, client: ClientInfo, listener: ListenerProfile) {
        let before = session.access
        session.access = access(of: client, listener: listener.index)
        // Routes of its subscriptions know what the one before was allowed.
        if before != nil || session.access != nil, session.subscriptions.count > 0 { tree.forgetMatches() }
    }

    /// `nil`: the listener has no rules.
    private func access(of client: ClientInfo, listener: Int) -> Access? {
        guard let policy = security[listener].acl else { return nil }
        return Access(client: client, listener: listener, policy: policy)
    }

    /// The rules have changed: they hold for everybody who is here, from the next message on.
    func renewAccess() {
        for session in sessionsByKey.values {
            guard let connection = session.connection, let client = connection.client else {
                if let access = session.access { session.access = self.access(of: access.client, listener: access.listener) }
                continue
            }
            session.access = access(of: client, listener: connection.listener.index)
        }
        tree.forgetMatches()
    }

    // MARK: Publishing

    @inline(__always)
    func mayPublish(_ topic: UnsafeRawBufferPointer, route: Int, qos: QoS, retain: Bool, session: Session) -> Bool {
        guard session.access != nil else { return true }
        // One publisher for a topic is what most have: the answer stands beside the route.
        let question = session.serial &<< 3 | UInt64(qos.rawValue) &<< 1 | (retain ? 1 : 0)
        if routes[route].allowedPublisher == question { return true }
        return askRules(topic, route: route, qos: qos, retain: retain, session: session, question: question)
    }

    @inline(never)
    private func askRules(
        _ topic: UnsafeRawBufferPointer, route: Int, qos: QoS, retain: Bool, session: Session, question: UInt64
    ) -> Bool {
        guard let access = session.access, access.mayWrite(topic, qos: qos, retain: retain) else { return false }
        routes.withEntry(at: route) { $0.allowedPublisher = question }
        return true
    }

    /// A will is checked when it is published; its client may be gone, and its listener too.
    func mayPublishWill(_ topic: UnsafeRawBufferPointer, qos: QoS, retain: Bool, client: ClientInfo) -> Bool {
        guard let listener = configuration.listeners.firstIndex(where: { $0.name == client.listener }) else {
            // Nobody can say what it may: with rules anywhere, nothing.
            return security.allSatisfy { $0.acl == nil }
        }
        return access(of: client, listener: listener)?.mayWrite(topic, qos: qos, retain: retain) ?? true
    }

    // MARK: Receiving

    /// A message that was not routed just now: from a queue, a retained slot, a shared group.
    func mayReceive(_ message: Message, _ session: Session) -> Bool {
        guard let access = session.access else { return true }
        return message.withParts { topic, _, _ in access.readQoS(topic) != nil }
    }
}

/// What one client may, by the rules of its listener.
///
/// Immutable; the session's.
final class Access: Sendable {
    let client: ClientInfo
    /// Index among the listeners.
    let listener: Int
    private let policy: ACLPolicy
    private let principal: ACLPrincipal

    init(client: ClientInfo, listener: Int, policy: ACLPolicy) {
        self.client = client
        self.listener = listener
        self.policy = policy
        principal = policy.principal(username: client.username, clientID: client.clientID, tenant: client.tenant)
    }

    func mayWrite(_ topic: UnsafeRawBufferPointer, qos: QoS, retain: Bool) -> Bool {
        policy.check(principal, topic: topic, access: .write, qos: qos, retain: retain).isAllowed
    }

    /// The QoS that messages of the topic may have at most; `nil`: the client may not have them.
    /// - Parameter isReplay: A retained message for a new subscription.
    func readQoS(_ topic: UnsafeRawBufferPointer, isReplay: Bool = false) -> QoS? {
        if case .allow(let qos) = policy.check(principal, topic: topic, access: .read, retain: isReplay) { qos } else { nil }
    }

    /// The QoS that a subscription gets at most; `nil`: no rule could ever match it.
    /// - Parameter budget: Of one SUBSCRIBE; when it is used up, filters with wildcards are granted unseen.
    func grant(_ filter: TopicFilter, budget: inout Int) -> QoS? {
        var pattern = filter.pattern
        return pattern.withUTF8 { policy.maxReadQoS(principal, filter: UnsafeRawBufferPointer($0), budget: &budget) }
    }
}
