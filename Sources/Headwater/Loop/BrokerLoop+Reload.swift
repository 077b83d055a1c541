import MQTTModel
import PluginAPI
import Security
import TLS

/// New certificates, passwords and rules, as one value: from one turn of the loop to the next.
extension BrokerLoop {
    /// Who would not be let in any more is closed: a revoked certificate, a password or key that is another one now, a user who is gone.
    func replaceSecurity(_ new: [ListenerSecurity]) {
        beginWork()
        let old = security
        security = new
        if old.contains(where: { $0.acl != nil }) || new.contains(where: { $0.acl != nil }) { renewAccess() }
        for connection in connections.all where connection.phase == .connected {
            let listener = connection.listener.index
            guard let why = objection(to: connection, before: old[listener], now: new[listener]) else { continue }
            counters.statistics.connectionsRevoked += 1
            connection.close(DisconnectReason(cause: .administrative, code: .notAuthorized), detail: why)
        }
    }

    /// Why the client would not be let in now.
    private func objection(to connection: ConnectionHandler, before: ListenerSecurity, now: ListenerSecurity) -> String? {
        if let peer = connection.wire?.identity, let context = now.tls {
            if !context.stillTrusts(peer) { return "the client certificate or key is not trusted any more" }
            if let identity = peer.pskIdentity.map({ Array($0.utf8) }),
                now.presharedKeys?.key(for: identity) == nil
                    || now.presharedKeys?.key(for: identity) != before.presharedKeys?.key(for: identity)
            {
                return "the pre-shared key is not good any more"
            }
        }
        if case .password(let user, let hash) = connection.extras?.credential, now.passwords?[Array(user.utf8)] != hash {
            return "the password is not good any more"
        }
        return nil
    }
}
