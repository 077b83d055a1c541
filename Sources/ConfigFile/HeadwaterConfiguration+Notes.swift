import Admin
import Headwater
import KafkaBridge

extension HeadwaterConfiguration {
    /// What an operator should know about this configuration although it is allowed. Shown by `headwater check` and logged
    /// at start.
    public var notes: [String] {
        var notes: [String] = []
        for listener in broker.listeners {
            let shown = "listener \(OptionType.shown(listener.name)) (\(ListenerAddress.text(listener.address)))"
            if !listener.allowsAnonymous, !listener.hasCredentials {
                notes.append(
                    "\(shown): nobody can connect: allow_anonymous is off once listeners are configured, and there is no password_file, jwt or identity.username; only an authenticator plugin could let clients in"
                )
            }
            if listener.allowsAnonymous, !Self.isLocal(listener.address) {
                notes.append("\(shown): anonymous clients are let in from other machines")
            }
            if listener.tls == nil, listener.proxyProtocol == nil, listener.hasCredentials, !Self.isLocal(listener.address) {
                notes.append("\(shown): passwords cross the network readable for everybody on the way; add tls")
            }
            if listener.aclFile != nil, !listener.hasCredentials {
                notes.append("\(shown): acl_file has rules for users, but nobody checks user names: add password_file, jwt or identity.username")
            }
            if listener.tls?.minVersion == .tlsv1_1 {
                notes.append("\(shown): tls.min_version 1.1 is broken by today's measure (RFC 8996)")
            }
        }
        if let http, !Self.isLocal(http.address) {
            notes.append("http (\(ListenerAddress.text(http.address))): metrics are readable from other machines, without authentication")
        }
        if broker.store.directory == nil {
            notes.append("store.directory is none: sessions, queues and retained messages are in memory and end with the broker")
        } else if broker.store.durability == .relaxed {
            notes.append("store.durability is relaxed: what was acknowledged last is lost when the process ends by force")
        }
        for cluster in kafka?.clusters.values.sorted(by: { $0.name < $1.name }) ?? [] where cluster.isEmbedded {
            notes.append(
                "kafka cluster \(OptionType.shown(cluster.name)): embedded, for development: records are in memory and gone at exit")
        }
        if let kafka, kafka.routes.isEmpty, kafka.inbound.isEmpty { notes.append("kafka has clusters but no routes, so nothing reaches them") }
        return notes
    }

    private static func isLocal(_ address: ListenerConfiguration.Address) -> Bool {
        switch address {
        case .unix: true
        case .tcp(let host, _): host == "localhost" || host == "::1" || host.hasPrefix("127.")
        }
    }
}
