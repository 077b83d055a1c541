import Foundation
import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct ConfigurationTests {
    let files = TestFiles()

    private func problem(_ change: (inout TLSServerConfiguration) -> Void) -> TLSConfigurationError? {
        do {
            _ = try load(files.server(change))
            return nil
        } catch { return error as? TLSConfigurationError }
    }

    @Test("a missing, unreadable or strange file is named, with what to do")
    func files_() throws {
        let missing = try #require(problem { $0.certificates[0].chainFile = "/nowhere/cert.pem" })
        #expect(missing.description == "/nowhere/cert.pem: can't be read: No such file or directory; check the path")
        #expect(problem { $0.certificates[0].keyFile = files.directory }?.problem == "is not a regular file")
        let fifo = files.path("fifo")
        mkfifo(fifo, 0o600)
        #expect(problem { $0.certificates[0].chainFile = fifo }?.problem == "is not a regular file")
        let empty = files.write("empty", "")
        #expect(problem { $0.certificates[0].chainFile = empty }?.problem == "there is no certificate in it")
        #expect(problem { $0.certificates[0].keyFile = empty }?.problem.contains("no private key") == true)
        let der = files.write("der", World.server.der)
        #expect(problem { $0.certificates[0].chainFile = der }?.remedy.contains("is DER") == true)
        let damaged = files.write("damaged", World.server.pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        #expect(problem { $0.certificates[0].chainFile = damaged }?.problem == "the second certificate in it can't be read: it is damaged")
        let cut = files.write("cut", String(World.server.pem.prefix(200)))
        #expect(problem { $0.certificates[0].chainFile = cut } != nil)
    }

    @Test("a key that belongs to another certificate is refused")
    func mismatch() throws {
        let error = try #require(problem { $0.certificates[0].keyFile = files.write("other.key", World.client.keyPEM) })
        #expect(error.file == files.path("other.key"))
        #expect(error.problem.hasPrefix("the private key doesn't belong to the certificate in "))
    }

    @Test("expired and not yet valid certificates are refused with their day")
    func validity() throws {
        let old = World.authority.issue(Profile("x").with { $0.notAfter = 1_700_000_000 })
        #expect(problem { $0.certificates = [files.pair("old", old)] }?.problem == "the certificate has expired on 2023-11-14")
        let early = World.authority.issue(
            Profile("x").with {
                $0.notBefore = 4_102_444_800
                $0.notAfter = 4_102_544_800
            })
        #expect(problem { $0.certificates = [files.pair("early", early)] }?.problem == "the certificate is not valid before 2100-01-01")
        #expect(day(0) == "1970-01-01" && day(951_782_400) == "2000-02-29" && day(1_709_164_800) == "2024-02-29")
    }

    @Test("an encrypted key needs its passphrase, and the right one")
    func passphrase() throws {
        let key = files.write("encrypted.key", World.server.encryptedKeyPEM("open sesame"))
        #expect(problem { $0.certificates[0].keyFile = key }?.problem == "the private key is encrypted and there is no passphrase for it")
        let wrong = problem {
            $0.certificates[0].keyFile = key
            $0.certificates[0].passphrase = SecretBytes(Array("close".utf8))
        }
        #expect(wrong?.problem == "the passphrase does not open the private key")
        #expect(
            problem {
                $0.certificates[0].keyFile = key
                $0.certificates[0].passphrase = SecretBytes(Array("open sesame".utf8))
            } == nil)
    }

    @Test("certificate and key may be one file, and intermediates follow")
    func oneFile() throws {
        let fleet = TestAuthority("Intermediate", issuer: World.authority)
        let leaf = fleet.issue(Profile("localhost", names: "DNS:localhost"))
        let file = files.write("all.pem", leaf.keyPEM + leaf.pem + fleet.own.pem)
        let pair = try EnginePair(files.server { $0.certificates = [.init(chainFile: file, keyFile: file)] }, files.client())
        pair.run()
        #expect(pair.echoes())
    }

    @Test("a private key that everybody can read is warned of")
    func worldReadable() throws {
        let context = try load(files.server { $0.certificates[0].keyFile = files.write("open.key", World.server.keyPEM, mode: 0o644) })
        #expect(context.warnings.count == 1)
        #expect(context.warnings.first?.contains("can read the private key") == true)
        #expect(try load(files.server()).warnings.isEmpty)
    }

    @Test("settings that can't work are refused with what to do")
    func settings() {
        #expect(problem { $0.certificates = [] }?.problem.contains("neither a certificate nor pre-shared keys") == true)
        #expect(problem { $0.clientCertificates = .required }?.problem.contains("no authority") == true)
        #expect(problem { $0.cipherList = "NONSENSE" }?.problem == "OpenSSL finds no cipher in \"NONSENSE\"")
        #expect(problem { $0.cipherSuites = "NONSENSE" }?.problem.contains("TLS 1.3 cipher suites") == true)
        #expect(problem { $0.groups = "P-0" }?.problem.contains("groups") == true)
        #expect(
            problem {
                $0.minimumVersion = .v1_3
                $0.maximumVersion = .v1_2
            } != nil)
        #expect(problem { $0.applicationProtocols = [""] } != nil)
        #expect(problem { $0.preSharedKeys = .init(keys: ["": SecretBytes([1])]) } != nil)
        #expect(problem { $0.preSharedKeys = .init(keys: ["a": SecretBytes([])]) } != nil)
        let short = World.authority.issue(Profile("x").with { $0.key = .rsa1024 })
        #expect(problem { $0.certificates = [files.pair("short", short)] }?.remedy.contains("2048") == true)
    }

    @Test("a file of authorities, lists or responses that holds something else is refused")
    func otherFiles() {
        let rubbish = files.write("rubbish", "rubbish")
        func clients(_ change: (inout TLSServerConfiguration) -> Void) -> TLSConfigurationError? {
            problem {
                $0.clientCertificates = .required
                $0.clientCAFile = files.write("ca.pem", World.authority.own.pem)
                change(&$0)
            }
        }
        #expect(clients { $0.clientCAFile = rubbish }?.problem == "there is no certificate in it")
        #expect(clients { $0.clientCADirectory = "/nowhere" }?.file == "/nowhere")
        let hollow = TestFiles()
        #expect(clients { $0.clientCADirectory = hollow.directory }?.problem.contains("no file in this directory") == true)
        #expect(clients { $0.crlFiles = [rubbish] }?.problem == "there is no revocation list in it")
        let cut = files.write("cut.crl", World.authority.list() + "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
        #expect(clients { $0.crlFiles = [cut] }?.problem.contains("second revocation list") == true)
        #expect(problem { $0.certificates[0].ocspResponseFile = rubbish }?.problem == "is not a successful OCSP response in DER")
    }

    @Test("what is known of the certificates is there for metrics")
    func facts() throws {
        let context = try load(files.server())
        let facts = try #require(context.certificateFacts.first)
        #expect(facts.file == files.path("server.pem"))
        #expect(facts.subject == "CN=localhost")
        #expect(facts.names == ["localhost"])
        #expect(abs(facts.notAfterSeconds - World.now - 86_400) < 600)
        #expect(facts.notBeforeSeconds < World.now)
    }

    @Test("a context that was replaced is given up when its handshakes are done")
    func replaced() throws {
        weak var old: TLSContext?
        let pair: EnginePair
        do {
            let context = try load(files.server())
            old = context
            pair = try EnginePair(context, load(files.client()))
        }
        #expect(old != nil)
        pair.run()
        #expect(old == nil)
        #expect(pair.echoes())
    }
}
