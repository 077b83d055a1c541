import COpenSSL
import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct HandshakeTests {
    let files = TestFiles()

    @Test("both versions that are on by default are spoken, and data goes both ways", arguments: [TLSVersion.v1_2, .v1_3])
    func versions(version: TLSVersion) throws {
        let pair = try EnginePair(
            files.server(),
            files.client {
                $0.minimumVersion = version
                $0.maximumVersion = version
            })
        pair.run()
        #expect(pair.echoes())
        #expect(pair.completions == 2)
        #expect(pair.server.version == version)
        #expect(pair.client.version == version)
        #expect(!pair.server.isResumed)
    }

    @Test("TLS 1.0 and 1.1 are refused, unless a listener names them", arguments: [TLSVersion.v1_0, .v1_1])
    func oldVersions(version: TLSVersion) throws {
        let client = files.client {
            $0.minimumVersion = version
            $0.maximumVersion = version
        }
        let refused = try EnginePair(files.server(), client)
        refused.run()
        #expect(refused.server.failure?.reason == .unsupportedProtocol)
        #expect(refused.client.failure?.reason == .peerAlert)

        let named = try EnginePair(files.server { $0.minimumVersion = .v1_0 }, client)
        named.run()
        #expect(named.echoes(), "\(String(describing: named.server.failure)) \(String(describing: named.client.failure))")
        #expect(named.server.version == version)
    }

    @Test("a listener with a lowest version of 1.3 refuses 1.2")
    func onlyNewest() throws {
        let pair = try EnginePair(files.server { $0.minimumVersion = .v1_3 }, files.client { $0.maximumVersion = .v1_2 })
        pair.run()
        #expect(pair.server.failure?.reason == .unsupportedProtocol)
    }

    @Test(
        "every class of cipher works",
        arguments: [
            "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA",
            "ECDHE-ECDSA-AES256-SHA384", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
        ])
    func ciphers(name: String) throws {
        let isNewest = name.hasPrefix("TLS_")
        let isDefault = isNewest || name.contains("GCM") || name.contains("POLY1305")
        let pair = try EnginePair(
            files.server { if !isDefault { $0.cipherList = name } },
            files.client {
                if isNewest {
                    $0.cipherSuites = name
                    $0.minimumVersion = .v1_3
                } else {
                    $0.cipherList = name
                    $0.maximumVersion = .v1_2
                }
            })
        pair.run()
        #expect(pair.echoes())
        #expect(pair.server.cipher == name)
    }

    @Test("a client with none of the server's ciphers is refused for that")
    func noSharedCipher() throws {
        let old = try EnginePair(
            files.server { $0.cipherList = "ECDHE-ECDSA-AES128-GCM-SHA256" },
            files.client {
                $0.cipherList = "ECDHE-ECDSA-AES256-GCM-SHA384"
                $0.maximumVersion = .v1_2
            })
        old.run()
        #expect(old.server.failure?.reason == .noSharedCipher)
        let new = try EnginePair(
            files.server { $0.cipherSuites = "TLS_AES_128_GCM_SHA256" },
            files.client {
                $0.cipherSuites = "TLS_AES_256_GCM_SHA384"
                $0.minimumVersion = .v1_3
            })
        new.run()
        #expect(new.server.failure?.reason == .noSharedCipher)
    }

    @Test("the server's order of ciphers counts, or the client's, as configured", arguments: [true, false])
    func preference(server: Bool) throws {
        let pair = try EnginePair(
            files.server {
                $0.cipherList = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
                $0.prefersServerCiphers = server
                $0.maximumVersion = .v1_2
            },
            files.client { $0.cipherList = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384" })
        pair.run()
        #expect(pair.server.cipher == (server ? "ECDHE-ECDSA-AES256-GCM-SHA384" : "ECDHE-ECDSA-AES128-GCM-SHA256"))
    }

    @Test("the configured group is used, also when the client has to be asked for it")
    func groups() throws {
        let pair = try EnginePair(files.server { $0.groups = "P-384" }, files.client { $0.groups = "X25519:P-384" })
        pair.run()
        #expect(pair.echoes())
        #expect(headwater_tls_negotiated_group(pair.server.ssl) == NID_secp384r1)
        let none = try EnginePair(files.server { $0.groups = "P-384" }, files.client { $0.groups = "X25519" })
        none.run()
        #expect(none.server.failure?.reason == .noSharedCipher)
    }

    @Test("a handshake byte by byte is the same handshake", arguments: [TLSVersion.v1_2, .v1_3])
    func byteByByte(version: TLSVersion) throws {
        let pair = try EnginePair(
            files.serverForClients(),
            files.client(as: World.client) {
                $0.minimumVersion = version
                $0.maximumVersion = version
            })
        pair.run(step: 1)
        #expect(pair.completions == 2)
        #expect(pair.echoes())
    }

    @Test("a group that the client has to be asked for, byte by byte")
    func retryByteByByte() throws {
        let pair = try EnginePair(files.server { $0.groups = "P-384" }, files.client { $0.groups = "X25519:P-384" })
        pair.run(step: 1)
        #expect(pair.echoes())
    }

    @Test("what a client sends along with its last handshake message is read at once")
    func earlyPlaintext() throws {
        let pair = try EnginePair(files.server(), files.client())
        pair.client.start()
        var wire = ByteBuffer()
        pair.client.takeOutput(into: &wire)
        pair.deliver(wire, to: pair.server)
        wire.clear()
        pair.server.takeOutput(into: &wire)
        pair.deliver(wire, to: pair.client)
        wire.clear()
        #expect(pair.client.phase == .open)
        #expect(Array("CONNECT".utf8).withUnsafeBytes { pair.client.seal($0, into: &wire) })
        pair.deliver(wire, to: pair.server)
        #expect(String(buffer: pair.atServer) == "CONNECT")
        #expect(pair.server.phase == .open)
    }

    @Test("ALPN: the server's first that the client has; no overlap is refused; a client without any goes on")
    func applicationProtocols() throws {
        let server = files.server { $0.applicationProtocols = ["mqtt", "x-amzn-mqtt-ca", "http/1.1"] }
        let both = try EnginePair(server, files.client { $0.applicationProtocols = ["http/1.1", "x-amzn-mqtt-ca"] })
        both.run()
        #expect(both.echoes())
        #expect(both.server.applicationProtocol == "x-amzn-mqtt-ca")
        #expect(both.client.applicationProtocol == "x-amzn-mqtt-ca")
        let other = try EnginePair(server, files.client { $0.applicationProtocols = ["h2", "mqtt2", "mqt"] })
        other.run()
        #expect(other.server.failure?.reason == .alpn)
        #expect(other.client.failure == TLSError(.peerAlert, "no application protocol"))
        let silent = try EnginePair(server, files.client())
        silent.run()
        #expect(silent.echoes())
        #expect(silent.server.applicationProtocol == nil)
        let unasked = try EnginePair(files.server(), files.client { $0.applicationProtocols = ["mqtt"] })
        unasked.run()
        #expect(unasked.echoes())
        #expect(unasked.server.applicationProtocol == nil)
    }

    @Test("an RSA and an EC certificate for the same name serve clients of either kind")
    func twoKinds() throws {
        let rsa = World.authority.issue(Profile("localhost", names: "DNS:localhost,IP:127.0.0.1").with { $0.key = .rsa })
        let server = try load(files.server { $0.certificates.append(files.pair("rsa", rsa)) })
        for cipher in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"] {
            let pair = try EnginePair(
                server,
                load(
                    files.client {
                        $0.cipherList = cipher
                        $0.maximumVersion = .v1_2
                    }))
            pair.run()
            #expect(pair.echoes())
            #expect(pair.server.cipher == cipher)
        }
        #expect(server.certificateFacts.count == 2)
    }

    @Test("a client refuses a server by the wrong name, and one of a stranger")
    func clientChecks() throws {
        let wrongName = try EnginePair(files.server(), files.client(), host: "example.net")
        wrongName.run()
        #expect(wrongName.client.failure?.reason == .badCertificate)
        #expect(wrongName.server.failure?.reason == .peerAlert)
        let address = try EnginePair(files.server(), files.client(), host: "127.0.0.1")
        address.run()
        #expect(address.echoes())
        let wrongAddress = try EnginePair(files.server(), files.client(), host: "127.0.0.2")
        wrongAddress.run()
        #expect(wrongAddress.client.failure?.reason == .badCertificate)
        let strange = files.client { $0.caFile = files.write("strange.pem", World.stranger.own.pem) }
        let unknown = try EnginePair(files.server(), strange)
        unknown.run()
        #expect(unknown.client.failure?.reason == .unknownCA)
        let insecure = try EnginePair(
            files.server(),
            files.client {
                $0.isInsecure = true
                $0.caFile = nil
            }, host: "example.net")
        insecure.run()
        #expect(insecure.echoes())
    }

    @Test("an OCSP response is stapled for clients that ask, until it expires, if it is about the certificate", arguments: [
        (3_600, true, true), (-30, true, false), (3_600, false, false),
    ])
    func stapling(nextUpdate: Int64, isOwn: Bool, isSent: Bool) throws {
        let certificate = isOwn ? World.server : World.authority.issue(Profile("localhost", names: "DNS:localhost"))
        let response = World.authority.ocspResponse(for: certificate, nextUpdate: World.now + nextUpdate)
        let context = try load(files.server { $0.certificates[0].ocspResponseFile = files.write("ocsp.der", response) })
        #expect(context.warnings.count { $0.contains("is not sent") } == (isSent ? 0 : 1) && context.warnings.contains { $0.contains("another certificate") } == !isOwn)
        let pair = try EnginePair(context, load(files.client()))
        _ = headwater_tls_ask_for_staple(pair.client.ssl)
        pair.run()
        #expect(pair.echoes())
        var start: UnsafePointer<UInt8>?
        let count = headwater_tls_stapled(pair.client.ssl, &start)
        #expect(count == (isSent ? response.count : -1))
        if isSent { #expect(Array(UnsafeBufferPointer(start: start, count: max(0, count))) == response) }
    }
}
