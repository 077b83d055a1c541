import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// What TLS the broker speaks, asked by openssl.
@Suite("handshakes at the door") struct HandshakeTests {
    let files = TestFiles()

    private func open(_ tls: String, _ body: (Door) async throws -> Void) async throws {
        try await Door.with([.init("tls", "allow_anonymous: true\n" + tls)], body: body)
    }

    @Test("TLS 1.2 and 1.3 carry a CONNECT, 1.0 and 1.1 are refused")
    func versions() async throws {
        try await open(files.tls()) { door in
            for version in ["-tls1_2", "-tls1_3"] {
                let talk = try await door.openssl("tls", [version, "-CAfile", files.root, "-verify_return_error"])
                #expect(talk.isConnected, "\(talk.text)")
                #expect(talk.text.contains("Verify return code: 0 (ok)"))
                #expect(talk.text.contains("Compression: NONE"))
                if version == "-tls1_2" { #expect(talk.text.contains("Secure Renegotiation IS supported")) }
            }
            for version in ["-tls1", "-tls1_1"] {
                let talk = try await door.openssl("tls", [version, "-cipher", "ALL:@SECLEVEL=0"])
                #expect(!talk.isConnected)
                #expect(talk.text.contains("alert protocol version"), "\(talk.text)")
            }
            try await door.waits(for: #"headwater_tls_handshake_failures_total{reason="unsupported_protocol"}"#, toBe: 2)
            #expect(try await door.figure("headwater_tls_handshakes_total") == 2)
        }
    }

    @Test("no anonymous, unencrypted, export or otherwise weak cipher is taken")
    func weakCiphers() async throws {
        try await open(files.tls()) { door in
            let lists = [
                "aNULL", "eNULL", "EXPORT", "RC4", "3DES", "DES", "LOW", "MD5", "kRSA", "SEED:IDEA:CAMELLIA", "AES128-SHA", "ECDHE+SHA1",
            ]
            for list in lists {
                let talk = try await door.openssl("tls", ["-tls1_2", "-cipher", "\(list):@SECLEVEL=0"])
                #expect(!talk.isConnected, "\(list)")
                // What this OpenSSL doesn't have itself it can't offer.
                #expect(talk.text.contains("handshake failure") || talk.text.contains("no cipher match"), "\(list): \(talk.text)")
            }
        }
    }

    @Test("every cipher of TLS 1.2 that is taken has ephemeral keys and AEAD")
    func acceptedCiphers() async throws {
        let rsa = files.pair("rsa", Site.authority.issue(Profile("rsa", names: "DNS:rsa.example.org").with { $0.key = .rsa }))
        try await open(files.tls("more_certificates: {\(rsa.certificate): \(rsa.key)}")) { door in
            let openssl = try Tool.path(of: "openssl", package: "openssl")
            let names = try await Tool.run(openssl, ["ciphers", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"])
                .text.split(whereSeparator: { $0 == ":" || $0 == "\n" }).map(String.init).filter { !$0.hasPrefix("TLS_") }
            #expect(names.count > 50)
            for (name, kind) in [("localhost", "ECDSA"), ("rsa.example.org", "RSA")] {
                var accepted: [String] = []
                // The server chooses, and what it has chosen is left out the next time.
                while accepted.count < names.count {
                    let rest = names.filter { !accepted.contains($0) }.joined(separator: ":")
                    let talk = try await door.openssl("tls", ["-tls1_2", "-servername", name, "-cipher", "\(rest):@SECLEVEL=0"])
                    guard talk.isConnected, let cipher = talk.value("Cipher    :") else { break }
                    accepted.append(cipher)
                }
                #expect(accepted.count >= 3)
                #expect(accepted.allSatisfy { $0.hasPrefix("ECDHE-\(kind)-") || $0.hasPrefix("DHE-\(kind)-") }, "\(accepted)")
                #expect(accepted.allSatisfy { $0.contains("GCM") || $0.contains("CHACHA20") || $0.contains("CCM") }, "\(accepted)")
            }
        }
    }

    @Test("renegotiation that a client asks for is refused, and a key update is taken")
    func renegotiation() async throws {
        try await open(files.tls()) { door in
            let asked = try await door.openssl("tls", ["-tls1_2"], then: "R", until: "no renegotiation")
            #expect(asked.text.contains("RENEGOTIATING") && asked.text.contains("no renegotiation"), "\(asked.text)")
            #expect(try await door.figure("headwater_tls_handshakes_total") == 1)
            let updated = try await door.openssl("tls", ["-tls1_3"], then: "K", until: "KEYUPDATE")
            #expect(updated.text.contains("KEYUPDATE"))
            #expect(try await door.figure(#"headwater_protocol_errors_total{code="0x81"}"#) == 0)
        }
    }

    @Test("a listener's own versions, ciphers, suites and groups count")
    func choices() async throws {
        let newest = Door.Listener(
            "newest", "allow_anonymous: true\n" + files.tls("min_version: '1.3'", "cipher_suites: TLS_CHACHA20_POLY1305_SHA256"))
        let older = Door.Listener(
            "older", "allow_anonymous: true\n" + files.tls("max_version: '1.2'", "ciphers: ECDHE-ECDSA-AES256-GCM-SHA384", "curves: P-384"))
        let oldest = Door.Listener(
            "oldest", "allow_anonymous: true\n" + files.tls("min_version: '1.1'", "ciphers: ALL:!aNULL:!eNULL:@SECLEVEL=0"))
        try await Door.with([newest, older, oldest]) { door in
            let new = try await door.openssl("newest", [])
            #expect(new.isConnected && new.text.contains("TLS_CHACHA20_POLY1305_SHA256"))
            #expect(try await !door.openssl("newest", ["-tls1_2"]).isConnected)
            let old = try await door.openssl("older", [])
            #expect(old.isConnected && old.text.contains("ECDHE-ECDSA-AES256-GCM-SHA384") && old.text.contains("secp384r1"), "\(old.text)")
            #expect(try await !door.openssl("older", ["-tls1_3"]).isConnected)
            #expect(try await door.openssl("oldest", ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]).isConnected)
        }
    }

    @Test("an encrypted key with its passphrase, and a stapled OCSP response")
    func passphraseAndStaple() async throws {
        let key = files.write("locked.key", Site.server.encryptedKeyPEM("open sesame"))
        let passphrase = files.write("passphrase", "open sesame\n")
        let certificate = files.pair("server", Site.server).certificate
        let response = files.write("ocsp", Site.authority.ocspResponse(for: Site.server, nextUpdate: Int64(time(nil)) + 3_600))
        let tls = "tls:\n  certificate: \(certificate)\n  key: \(key)\n  passphrase_file: \(passphrase)\n  ocsp_response: \(response)\n"
        try await open(tls) { door in
            let talk = try await door.openssl("tls", ["-status"])
            #expect(talk.isConnected)
            #expect(talk.text.contains("OCSP Response Status: successful") && talk.text.contains("Cert Status: good"), "\(talk.text)")
        }
        files.write("passphrase", "open simsim\n")
        let log = try await Door.refused([.init("tls", tls)])
        #expect(log.contains(key) && !log.contains("simsim"), "\(log)")
    }

    @Test("metrics say how many days a certificate has left")
    func expiryFigure() async throws {
        try await open(files.tls()) { door in
            let figures = try await door.process.metrics().filter { $0.key.hasPrefix("headwater_tls_certificate_expiry_days") }
            #expect(figures.count == 1)
            #expect(figures.keys.contains { $0.contains(#"listener="tls""#) && $0.contains("server.pem") })
            #expect(figures.values.allSatisfy { $0 > 0.9 && $0 <= 1 }, "\(figures)")
        }
    }
}
