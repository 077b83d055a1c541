import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// Who a client is by its certificate, and which certificates open nothing: mosquitto_pub as devices use it.
@Suite("client certificates at the door") struct ClientCertificateTests {
    let files = TestFiles()

    @Test("a name of the certificate is user and client identifier, whatever the client says")
    func names() async throws {
        let sources = [
            ("cn", "pump-7"), ("subject", "OU=Hall 3,O=Works,CN=pump-7"), ("san_dns", "pump-7.example.org"), ("san_uri", "urn:dev:pump-7"),
            ("san_email", "pump@example.org"),
        ]
        let listeners = sources.map { source, _ in
            Door.Listener(source, "identity: {username: \(source), client_id: \(source)}\n" + files.mutualTLS())
        }
        let named = Door.Listener("named", "identity: {username: cn, username_as_client_id: true}\n" + files.mutualTLS())
        let pair = files.pair("pump", Site.pump)
        try await Door.with(listeners + [named]) { door in
            for (source, name) in sources + [("named", "pump-7")] {
                let sent = try await door.publish(source, files.trusting(pair) + ["-i", "somebody", "-u", "else", "-P", "whatever"])
                #expect(sent.exitCode == 0, "\(source): \(sent.errors)")
                let shown = name.contains("=") ? "\"\(name)\"" : name
                #expect(try await door.user(of: shown) == name, "\(source)")
                #expect(try await door.field("listener", of: shown) == source)
            }
            #expect(!door.log.contains("client=somebody"))
        }
    }

    @Test("required is required; optional lets those in that show none, and none that show a bad one")
    func wishes() async throws {
        let pair = files.pair("pump", Site.pump)
        let bad = files.pair("bad", Site.stranger.issue(Profile("pump-7")))
        let listeners: [Door.Listener] = [
            .init("required", "identity: {username: cn}\n" + files.mutualTLS()),
            .init("optional", "allow_anonymous: true\nidentity: {username: cn}\n" + files.mutualTLS("optional")),
        ]
        try await Door.with(listeners) { (door) async throws in
            #expect(try await door.publish("required", files.trusting(pair)).exitCode == 0)
            #expect(try await door.publish("required", files.trusting()).exitCode != 0)
            #expect(try await door.publish("required", files.trusting(bad)).exitCode != 0)
            #expect(try await door.publish("optional", files.trusting(pair) + ["-i", "shown"]).exitCode == 0)
            #expect(try await door.user(of: "shown") == "pump-7")
            #expect(try await door.publish("optional", files.trusting() + ["-i", "unnamed"]).exitCode == 0)
            #expect(try await door.user(of: "unnamed") == "")
            #expect(try await door.publish("optional", files.trusting(bad)).exitCode != 0)
            #expect(try await door.failures("certificate_required") == 1)
            #expect(try await door.failures("unknown_ca") == 2)
        }
    }

    @Test("a certificate that is not good is refused, and the metrics say why")
    func refused() async throws {
        let revoked = Site.authority.issue(Profile("revoked"))
        let list = files.write("list.pem", Site.authority.list(revoking: [revoked]))
        let now = Int64(time(nil))
        let bad: [(String, Issued, String)] = [
            ("expired", Site.authority.issue(Profile("expired").with { $0.notAfter = now - 60 }), "certificate_expired"),
            ("early", Site.authority.issue(Profile("early").with { $0.notBefore = now + 3_600 }), "certificate_not_yet_valid"),
            ("revoked", revoked, "certificate_revoked"),
            ("purpose", Site.authority.issue(Profile("server").with { $0.usage = "serverAuth" }), "wrong_purpose"),
            ("stranger", Site.stranger.issue(Profile("pump-7")), "unknown_ca"),
        ]
        let listener = Door.Listener("tls", "identity: {username: cn}\n" + files.mutualTLS("required", "crl_files: [\(list)]"))
        try await Door.with([listener]) { door in
            for (name, issued, reason) in bad {
                let sent = try await door.publish("tls", files.trusting(files.pair(name, issued)))
                #expect(sent.exitCode != 0, "\(name)")
                try await door.waits(for: "headwater_tls_handshake_failures_total{reason=\"\(reason)\"}", toBe: 1)
            }
            let good = try await door.publish("tls", files.trusting(files.pair("pump", Site.pump)))
            #expect(good.exitCode == 0, "\(good.errors)")
            try await door.waits(for: "headwater_connections", toBe: 0)
            #expect(door.log.contains("certificate_revoked"))
        }
    }

    @Test("rules hold for the name of the certificate")
    func rules() async throws {
        let rules = files.write("acl", "user pump-7\ntopic write pumps/7/#\npattern write devices/%u/#\nuser watcher\ntopic read #\n")
        let listener = Door.Listener("tls", "identity: {username: cn}\nacl_file: \(rules)\n" + files.mutualTLS())
        let pump = files.pair("pump", Site.pump)
        let watcher = files.pair("watcher", Site.authority.issue(Profile("watcher")))
        try await Door.with([listener]) { door in
            let subscriber = try await door.subscriber("tls", files.trusting(watcher), count: 2)
            for topic in ["pumps/8/t", "pumps/7/t", "devices/pump-8/t", "devices/pump-7/t"] {
                // Refused or not, MQTT 3.1.1 is told nothing.
                #expect(try await door.publish("tls", files.trusting(pump) + ["-u", "watcher"], topic: topic).exitCode == 0)
            }
            #expect(try await subscriber.end().lines == ["pumps/7/t m", "devices/pump-7/t m"])
            #expect(try await door.figure(#"headwater_messages_refused_total{reason="not_authorized"}"#) == 2)
        }
    }

    @Test("a common name that looks like a filter opens no other topics", arguments: ["+", "#", "*", "a/b", "pump+7", "$share/x"])
    func filterNames(name: String) async throws {
        let rules = files.write("acl", "pattern readwrite devices/%u/#\n")
        let listener = Door.Listener("tls", "identity: {username: cn}\nacl_file: \(rules)\n" + files.mutualTLS())
        let pair = files.pair("odd", Site.authority.issue(Profile(name)))
        try await Door.with([listener, .init("inside", "allow_anonymous: true")]) { door in
            let observer = try await door.client("inside")
            try await observer.connect(clientID: "observer")
            try await observer.subscribe("devices/#", qos: .atLeastOnce)
            let subscriber = try await door.subscriber("tls", files.trusting(pair) + ["-i", "odd-sub"], topic: "devices/#")
            #expect(try await door.user(of: "odd-sub") == name)
            for topic in ["devices/victim/t", "devices/a/b/t", "devices/t"] {
                try await door.publish("tls", files.trusting(pair), topic: topic)
            }
            // A star is a name like any other; the others are no level of a topic, and get nothing.
            let own = name == "*" ? 1 : 0
            if own == 1 { try await door.publish("tls", files.trusting(pair), topic: "devices/*/t") }
            try await door.waits(for: #"headwater_messages_refused_total{reason="not_authorized"}"#, toBe: 3)
            #expect(try await door.process.metrics()["headwater_deliveries_due_total"] == Double(2 * own))
            subscriber.kill()
            await observer.close()
        }
    }

    @Test("a certificate without a usable name is nobody: no CN, several, one with a NUL, alternative names only")
    func unusable() async throws {
        let listeners: [Door.Listener] = [
            .init("cn", "allow_anonymous: true\nidentity: {username: cn}\n" + files.mutualTLS()),
            .init("san", "identity: {username: san_uri}\n" + files.mutualTLS()),
            .init("id", "allow_anonymous: true\nidentity: {client_id: cn}\n" + files.mutualTLS()),
        ]
        let odd: [(String, Issued)] = [
            ("none", Site.authority.issue(Profile(names: "URI:urn:dev:9"))),
            ("several", Site.authority.issue(Profile().with { $0.commonNames = [Array("pump-7".utf8), Array("admin".utf8)] })),
            ("nul", Site.authority.issue(Profile().with { $0.commonNames = [Array("admin\0.example.org".utf8)] })),
            ("control", Site.authority.issue(Profile("admin\u{1b}[2J"))),
            ("invalid", Site.authority.issue(Profile().with { $0.commonNames = [[0x61, 0xC3, 0x28]] })),
            ("empty", Site.authority.issue(Profile(""))),
        ]
        try await Door.with(listeners) { door in
            for (name, issued) in odd {
                let pair = files.pair(name, issued)
                let sent = try await door.publish("cn", files.trusting(pair) + ["-u", "admin", "-P", "x"])
                #expect(sent.exitCode != 0, "\(name)")
                #expect(try await door.publish("id", files.trusting(pair) + ["-i", "admin"]).exitCode != 0, "\(name)")
            }
            #expect(try await door.figure("headwater_connections_accepted_total") >= 2 * odd.count)
            #expect(try await door.figure(#"headwater_logins_failed_total{reason="certificate"}"#) == odd.count)
            #expect(!door.log.contains(": connected "))
            let alternative = try await door.publish("san", files.trusting(files.pair("none", odd[0].1)) + ["-i", "by-uri"])
            #expect(alternative.exitCode == 0, "\(alternative.errors)")
            #expect(try await door.user(of: "by-uri") == "urn:dev:9")
            #expect(!door.log.unicodeScalars.contains("\u{1b}"))
        }
    }

    @Test("a chain or a name of enormous size is refused and costs nobody else anything")
    func oversized() async throws {
        let listener = Door.Listener("tls", "identity: {username: cn}\n" + files.mutualTLS())
        let big = Site.authority.issue(Profile("big").with { $0.padding = 60_000 })
        try await Door.with([listener]) { door in
            let chain = (0..<4).map { Site.authority.issue(Profile("filling-\($0)").with { $0.padding = 60_000 }) }
            let pair = files.pair("big", big)
            let filling = files.write("chain.pem", chain.map(\.pem).joined())
            let talk = try await door.openssl("tls", pair.forOpenSSL + ["-cert_chain", filling])
            #expect(!talk.isConnected, "\(talk.text)")
            let failures = try await door.process.metrics().filter { $0.key.hasPrefix("headwater_tls_handshake_failures_total") }
            #expect(failures.values.reduce(0, +) == 1, "\(failures)")
            // The name of 60,000 bytes alone is within what a handshake may bring, and it is a name like another.
            let alone = try await door.openssl("tls", pair.forOpenSSL)
            #expect(alone.isConnected || alone.text.contains("alert"), "\(alone.text)")
            #expect(try await door.publish("tls", files.trusting(files.pair("pump", Site.pump))).exitCode == 0)
        }
    }
}
