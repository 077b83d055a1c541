import Headwater
import Testing

@testable import ConfigFile

/// Who is let in, as the file says it: listeners, the section that speaks for all of them, and what makes no sense alone.
@Suite struct SecurityOptionTests {
    static let rich = """
        security:
          password_file: /etc/hw/passwords
          tls: {min_version: "1.3", curves: "X25519:P-256"}
        listeners:
          - name: devices
            address: 0.0.0.0:8883
            tls:
              certificate: server.pem
              key: server.key
              more_certificates: {other.pem: other.key}
              client_certificates: required
              ca_file: ca.pem
              crl_files: [a.crl, b.crl]
              check_chain_revocation: true
              ocsp_response: ocsp.der
              ticket_keys: tickets
              ticket_key_lifetime: 1h
              refuse_unknown_sni: true
              handshake_timeout: 5s
            identity: {username: cn, client_id: san_dns}
            acl_file: rules.acl
            refuse_hopeless_subscriptions: true
            tenant: {from: cert_o, pattern: "fleet-%t"}
          - name: browsers
            address: 0.0.0.0:443
            protocol: any
            tls: {certificate: web.pem, key: web.key, min_version: "1.2", ciphers: "ECDHE+AESGCM"}
            websocket: {path: /mqtt, origins: ["https://app.example.com"], trusted_proxies: [10.0.0.0/8]}
            jwt: {keys: [idp.pem, shared.secret], jwks_url: "https://idp.example.com/jwks", issuer: idp, audience: mqtt, leeway: 5s}
            tenant: {from: claim, claim: org}
          - name: psk
            address: 127.0.0.1:8884
            tls: {psk_file: psk.txt, psk_hint: plant}
            identity: {username: psk}
          - name: proxied
            address: 127.0.0.1:1884
            proxy_protocol: {version: v2, trusted: [127.0.0.1, "::1"], require_tls: true}
            identity: {username: cn, username_as_client_id: true}
            tenant: {from: listener, name: acme}
          - name: users
            address: 127.0.0.1:1885
            allow_anonymous: true
            tenant: {from: username, pattern: "%u@%t"}
        quotas: {tenant: {max_connections: 100, excess: refuse}}
        tenants:
          acme: {messages_per_second: 1000, client: {bytes_per_second: 1MB}}
        logins: {max_failures: 3, ban: 1h}
        user: nobody
        """

    @Test("everything that can be said of a listener is read, printed and read again")
    func roundTrip() throws {
        let first = try HeadwaterConfiguration.parse(Self.rich, file: "h.yaml")
        let second = try HeadwaterConfiguration.parse(first.effectiveYAML(), file: "effective")
        #expect(second.broker == first.broker)
        #expect(second.user == "nobody")
        #expect(second.effectiveYAML() == first.effectiveYAML())
    }

    @Test("a listener has what its entry says, and what the section security says for all")
    func inheritance() throws {
        let listeners = try HeadwaterConfiguration.parse(Self.rich, file: "h.yaml").broker.listeners
        #expect(listeners.map(\.passwordFile) == Array(repeating: "/etc/hw/passwords", count: 5))
        let devices = try #require(listeners[0].tls)
        #expect(devices.minVersion == .tlsv1_3 && devices.curves == "X25519:P-256")
        #expect(devices.certificates.map(\.chainFile) == ["server.pem", "other.pem"] && devices.certificates.map(\.keyFile) == ["server.key", "other.key"])
        #expect(devices.clientCertificates == .required && devices.crlFiles == ["a.crl", "b.crl"] && devices.ticketKeySeconds == 3_600)
        #expect(listeners[0].identity.username == .commonName && listeners[0].identity.clientID == .sanDNS)
        #expect(listeners[0].tenant == .pattern(.organization, "fleet-%t"))
        #expect(listeners[1].tls?.minVersion == .tlsv1_2 && listeners[1].wireProtocol == .any)
        #expect(listeners[1].jwt?.jwksURL == "https://idp.example.com/jwks" && listeners[1].jwt?.leewaySeconds == 5)
        #expect(listeners[1].tenant == .pattern(.claim("org"), "%t"))
        #expect(listeners[2].tls?.certificates == [] && listeners[2].tls?.pskFile == "psk.txt")
        #expect(listeners[3].proxyProtocol?.trustedAddresses == ["127.0.0.1", "::1"] && listeners[3].proxyProtocol?.requiresTLS == true)
        #expect(listeners[3].tenant == .listener(name: "acme") && listeners[3].identity.usesUsernameAsClientID)
        #expect(listeners[4].allowsAnonymous && listeners[4].tls == nil)
    }

    @Test("limits of a tenant stand in place of the general ones, and begin from them")
    func quotas() throws {
        let quotas = try HeadwaterConfiguration.parse(Self.rich, file: "h.yaml").broker.quotas
        #expect(quotas.tenant == QuotaLimits(maxConnections: 100, excess: .refuse))
        #expect(quotas.tenants == ["acme": QuotaLimits(maxConnections: 100, messagesPerSecond: 1_000, excess: .refuse)])
        #expect(quotas.clientsOfTenants == ["acme": QuotaLimits(bytesPerSecond: 1_000_000)])
    }

    static let faults: [(String, String)] = [
        ("tls: {certificate: a.pem}", "tls.certificate needs its key: tls.key"),
        ("tls: {key: a.key}", "tls.key needs its certificate: tls.certificate"),
        ("tls: {min_version: \"1.3\"}", "tls needs tls.certificate and tls.key, or tls.psk_file"),
        ("tls: {more_certificates: {a.pem: a.key}}", "tls.more_certificates needs a first one: tls.certificate"),
        ("tls: {psk_file: p, min_version: \"1.3\", max_version: \"1.2\"}", "tls.min_version is above tls.max_version"),
        (
            "tls: {psk_file: p, client_certificates: required}",
            "tls.client_certificates needs authorities: tls.ca_file or tls.ca_directory"
        ),
        (
            "tls: {psk_file: p, ca_file: ca}",
            "tls.ca_file, ca_directory and crl_files are for client certificates: say tls.client_certificates, too"
        ),
        ("identity: {username: cn}", "identity from cn needs tls.client_certificates: required (or optional)"),
        ("identity: {client_id: psk}", "identity from psk needs tls.psk_file"),
        ("proxy_protocol: {require_tls: true}", "proxy_protocol needs proxy_protocol.version: v1, v2 or any"),
        (
            "proxy_protocol: {version: v1}",
            "proxy_protocol.trusted is empty: name the proxies' addresses, or whoever connects could pretend to be anybody"
        ),
        (
            "proxy_protocol: {version: v1, trusted: [\"::1\"], require_tls: true}",
            "proxy_protocol.require_tls needs version: v2, as v1 says nothing of TLS"
        ),
        ("jwt: {issuer: x}", "jwt needs keys: jwt.keys or jwt.jwks_url"),
        ("tenant: {name: x}", "tenant.name \"x\" is for tenant.from: listener alone"),
        ("tenant: {from: listener}", "tenant.from: listener needs tenant.name"),
        ("tenant: {from: claim}", "tenant.from: claim needs tenant.claim"),
        ("tenant: {pattern: \"%t\"}", "tenant.pattern needs a text to look at: tenant.from: sni, username, …"),
    ]

    @Test("what makes no sense alone is refused, and says what is missing", arguments: faults)
    func fault(option: String, message: String) {
        let yaml = "listeners:\n  - address: 127.0.0.1:1883\n    \(option)\n"
        #expect(FaultTests.messages(yaml) == ["h.yaml:2:5: listeners[1]: \(message)"])
    }

    @Test("security without listeners is refused: nobody would be asked for a password")
    func securityAlone() {
        #expect(
            FaultTests.messages("security: {password_file: p}\n") == [
                "h.yaml:1:1: security is for the listeners that the file names, and it names none: add listeners"
            ])
    }

    @Test("notes say what an operator should know of a listener", arguments: [
        ("allow_anonymous: false", "nobody can connect"), ("allow_anonymous: true", "anonymous clients are let in from other machines"),
        ("password_file: p", "passwords cross the network readable"), ("acl_file: a\n    allow_anonymous: true", "nobody checks user names"),
        ("tls: {psk_file: p, min_version: \"1.1\"}\n    identity: {username: psk}", "broken by today's measure"),
    ])
    func notes(option: String, text: String) throws {
        let yaml = "listeners:\n  - address: 0.0.0.0:1883\n    \(option)\n"
        let notes = try HeadwaterConfiguration.parse(yaml, file: "h.yaml").notes
        #expect(notes.contains { $0.contains(text) }, "\(notes)")
    }
}
