import Foundation
import NIOCore
import TestAuthority
import Testing

@testable import TLS

/// Somebody else's client against the handler on a real socket.
@Suite(.serialized) struct OpenSSLClientTests {
    let files = TestFiles()

    /// Connects, sends a line, and says what s_client has said, the echoed line among it.
    private func connect(_ server: EchoServer, _ arguments: String..., line: String = "hello", until end: String = "\nhello\n") throws
        -> String
    {
        try openssl(
            ["s_client", "-connect", "127.0.0.1:\(server.port)", "-CAfile", files.write("root.pem", World.authority.own.pem)] + arguments,
            input: line + "\n", until: end
        ).output
    }

    private func hasEcho(_ output: String) -> Bool { output.split(separator: "\n").contains("hello") }

    @Test("versions and ciphers of s_client", arguments: [("-tls1_2", TLSVersion.v1_2), ("-tls1_3", .v1_3)])
    func versions(option: String, version: TLSVersion) throws {
        let server = try EchoServer(load(files.server()))
        let output = try connect(server, option, "-servername", "localhost", "-verify_return_error")
        #expect(hasEcho(output), "\(output)")
        #expect(output.contains("Verify return code: 0 (ok)"))
        #expect(output.contains("Secure Renegotiation IS") || version == .v1_3)
        #expect(output.contains("Compression: NONE"))
        #expect(server.log.lastPeer?.version == version)
        #expect(server.log.lastPeer?.serverName == "localhost")
    }

    @Test("nothing below TLS 1.2 is spoken", arguments: ["-tls1", "-tls1_1"])
    func oldVersions(option: String) throws {
        let server = try EchoServer(load(files.server()))
        let output = try connect(server, option, "-cipher", "ALL:@SECLEVEL=0")
        #expect(!hasEcho(output))
        #expect(output.contains("alert protocol version"), "\(output)")
        #expect(server.log.lastFailure?.reason == .unsupportedProtocol)
    }

    @Test(
        "no anonymous, unencrypted, export or otherwise broken cipher is taken",
        arguments: ["aNULL", "eNULL", "3DES", "RC4", "EXPORT", "LOW", "MD5", "kRSA", "DES", "SEED:IDEA:CAMELLIA"])
    func weakCiphers(list: String) throws {
        let server = try EchoServer(load(files.server()))
        let output = try connect(server, "-tls1_2", "-cipher", "\(list):@SECLEVEL=0")
        #expect(!hasEcho(output))
        // What this OpenSSL doesn't have itself it can't offer.
        #expect(output.contains("handshake failure") || output.contains("no cipher match"), "\(output)")
    }

    @Test("every cipher that s_client can offer is refused or authenticated and encrypted")
    func acceptedCiphers() throws {
        let server = try EchoServer(load(files.server()))
        let all = try openssl(["ciphers", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]).output
        let names = all.trimmingCharacters(in: .whitespacesAndNewlines).split(separator: ":").filter { !$0.hasPrefix("TLS_") }
        #expect(names.count > 50)
        var accepted: [String] = []
        // In one go: the server chooses, and what it has chosen is left out the next time.
        while true {
            let rest = names.filter { !accepted.contains(String($0)) }.joined(separator: ":")
            let output = try openssl(
                ["s_client", "-connect", "127.0.0.1:\(server.port)", "-tls1_2", "-cipher", "\(rest):@SECLEVEL=0"]
            ).output
            guard let line = output.split(separator: "\n").first(where: { $0.hasPrefix("New, TLSv1") }),
                let name = line.split(separator: " ").last, name != "(NONE)"
            else { break }
            accepted.append(String(name))
        }
        #expect(accepted.count >= 4)
        #expect(accepted.allSatisfy { $0.hasPrefix("ECDHE-ECDSA-") && !$0.contains("NULL") }, "\(accepted)")
    }

    @Test("SNI and ALPN of s_client")
    func names() throws {
        let other = World.authority.issue(Profile("other", names: "DNS:*.example.org"))
        let server = try EchoServer(
            load(
                files.server {
                    $0.certificates.append(files.pair("other", other))
                    $0.applicationProtocols = ["mqtt", "x-amzn-mqtt-ca"]
                }))
        let wild = try connect(
            server, "-servername", "mqtt.example.org", "-alpn", "x-amzn-mqtt-ca,h2", "-verify_hostname", "mqtt.example.org")
        #expect(wild.contains("subject=CN = other"), "\(wild)")
        #expect(wild.contains("ALPN protocol: x-amzn-mqtt-ca"))
        #expect(wild.contains("Verify return code: 0 (ok)"))
        let none = try connect(server, "-noservername")
        #expect(none.contains("subject=CN = localhost"))
        #expect(none.contains("No ALPN negotiated"))
        let mismatch = try connect(server, "-alpn", "h2")
        #expect(mismatch.contains("no application protocol"))
        #expect(server.log.lastFailure?.reason == .alpn)
    }

    @Test("s_client resumes by ticket", arguments: ["-tls1_2", "-tls1_3"])
    func resumption(option: String) throws {
        let server = try EchoServer(load(files.server(), tickets: TicketKeyring(file: nil, nowSeconds: World.now)))
        let session = files.path("session")
        let first = try connect(server, option, "-sess_out", session)
        #expect(hasEcho(first) && first.contains("New, "), "\(first)")
        #expect(FileManager.default.fileExists(atPath: session))
        let second = try connect(server, option, "-sess_in", session)
        #expect(hasEcho(second) && second.contains("Reused, "), "\(second)")
        #expect(server.log.allPeers.map(\.isResumed) == [false, true])
        // Session and ticket are of another listener.
        let wantsCertificates = try EchoServer(load(files.serverForClients(), tickets: TicketKeyring(file: nil, nowSeconds: World.now)))
        let third = try connect(wantsCertificates, option, "-sess_in", session)
        #expect(!hasEcho(third))
        #expect(wantsCertificates.log.lastFailure?.reason == .certificateRequired)
    }

    @Test("s_client reconnects five times by ticket in TLS 1.2")
    func reconnect() throws {
        let server = try EchoServer(load(files.server(), tickets: TicketKeyring(file: nil, nowSeconds: World.now)))
        let output = try connect(server, "-tls1_2", "-reconnect")
        #expect(output.components(separatedBy: "Reused, TLSv1.2").count == 6, "\(output)")
    }

    @Test("renegotiation that s_client asks for is refused")
    func renegotiation() throws {
        let server = try EchoServer(load(files.server()))
        let output = try connect(server, "-tls1_2", line: "R", until: "no renegotiation")
        #expect(output.contains("RENEGOTIATING"))
        #expect(output.contains("no renegotiation"), "\(output)")
        #expect(server.log.allPeers.count == 1)
    }

    @Test("s_client's key update is taken")
    func keyUpdate() throws {
        let server = try EchoServer(load(files.server()))
        let output = try openssl(
            ["s_client", "-connect", "127.0.0.1:\(server.port)", "-tls1_3"], input: "K\n", until: "KEYUPDATE"
        ).output
        #expect(output.contains("KEYUPDATE"))
        #expect(server.log.lastFailure == nil)
    }

    @Test("client certificates of s_client")
    func certificates() throws {
        let server = try EchoServer(load(files.serverForClients()))
        let pair = files.pair("mine", World.client)
        let output = try connect(server, "-cert", pair.chainFile, "-key", pair.keyFile)
        #expect(hasEcho(output))
        #expect(output.contains("Acceptable client certificate CA names\nCN = Test Root"))
        #expect(server.log.lastPeer?.subject == "OU=Hall 3,O=Works,CN=pump-7")
        let without = try connect(server)
        #expect(!hasEcho(without))
        #expect(server.log.lastFailure?.reason == .certificateRequired)
    }

    @Test("pre-shared keys of s_client, in both versions", arguments: ["-tls1_2", "-tls1_3"])
    func preSharedKey(option: String) throws {
        var configuration = TLSServerConfiguration(name: "psk")
        configuration.preSharedKeys = .init(keys: ["device-1": SecretBytes([0xca, 0xfe, 0xba, 0xbe])], hint: "hint")
        let server = try EchoServer(load(configuration))
        let good = try connect(server, option, "-psk_identity", "device-1", "-psk", "cafebabe")
        #expect(hasEcho(good), "\(good)")
        #expect(server.log.lastPeer?.pskIdentity == "device-1")
        let wrong = try connect(server, option, "-psk_identity", "device-1", "-psk", "cafebabf")
        #expect(!hasEcho(wrong))
        #expect(server.log.lastFailure?.reason == .psk)
        let unknown = try connect(server, option, "-psk_identity", "device-2", "-psk", "cafebabe")
        #expect(!hasEcho(unknown))
        #expect(server.log.lastFailure?.reason == .psk)
    }

    @Test("an OCSP response is stapled for s_client")
    func stapling() throws {
        let response = World.authority.ocspResponse(for: World.server, nextUpdate: World.now + 3_600)
        let server = try EchoServer(load(files.server { $0.certificates[0].ocspResponseFile = files.write("ocsp", response) }))
        let output = try connect(server, "-status")
        #expect(output.contains("OCSP Response Status: successful"), "\(output)")
        #expect(output.contains("Cert Status: good"))
    }
}
