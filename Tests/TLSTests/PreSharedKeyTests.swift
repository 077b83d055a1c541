import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct PreSharedKeyTests {
    let files = TestFiles()
    let key = SecretBytes([UInt8](repeating: 0x5a, count: 32))

    private func server(withCertificate: Bool, _ change: (inout TLSServerConfiguration) -> Void = { _ in }) throws -> TLSContext {
        var configuration = withCertificate ? files.server() : TLSServerConfiguration(name: "psk")
        configuration.preSharedKeys = .init(keys: ["device-1": key, "Gerät": key], hint: "headwater")
        change(&configuration)
        return try load(configuration, tickets: TicketKeyring(file: nil, nowSeconds: World.now))
    }

    private func client(_ identity: String, _ key: SecretBytes? = nil, _ version: TLSVersion) throws -> TLSClientContext {
        try load(
            files.client {
                $0.pskIdentity = identity
                $0.preSharedKey = key ?? self.key
                $0.minimumVersion = version
                $0.maximumVersion = version
                if version < .v1_3 { $0.cipherList = "PSK" }
            })
    }

    @Test(
        "a pre-shared key opens a connection, with and without a certificate beside it", arguments: [TLSVersion.v1_2, .v1_3], [true, false])
    func opens(version: TLSVersion, withCertificate: Bool) throws {
        let context = try server(withCertificate: withCertificate)
        for identity in ["device-1", "Gerät"] {
            let pair = try EnginePair(context, client(identity, nil, version), host: nil)
            pair.run()
            #expect(pair.echoes(), "\(String(describing: pair.server.failure)) \(String(describing: pair.client.failure))")
            let peer = pair.server.peerIdentity()
            #expect(peer.pskIdentity == identity)
            #expect(peer.certificate == nil)
            #expect(peer.version == version)
            #expect(pair.client.peerIdentity().certificate == nil)
            #expect(context.stillTrusts(peer))
        }
    }

    @Test("an unknown identity and a wrong key are refused as such", arguments: [TLSVersion.v1_2, .v1_3])
    func refuses(version: TLSVersion) throws {
        let context = try server(withCertificate: false)
        let unknown = try EnginePair(context, client("nobody", nil, version), host: nil)
        unknown.run()
        #expect(unknown.server.failure?.reason == .psk, "\(String(describing: unknown.server.failure))")
        let wrong = try EnginePair(context, client("device-1", SecretBytes([1, 2, 3, 4]), version), host: nil)
        wrong.run()
        #expect(wrong.server.failure?.reason == .psk, "\(String(describing: wrong.server.failure))")
        let none = try EnginePair(context, load(files.client { $0.maximumVersion = version }), host: nil)
        none.run()
        #expect(none.server.failure?.reason == .noSharedCipher, "\(String(describing: none.server.failure))")
    }

    @Test("clients with certificates and without a key are served beside them", arguments: [TLSVersion.v1_2, .v1_3])
    func beside(version: TLSVersion) throws {
        let context = try server(withCertificate: true) {
            $0.clientCertificates = .optional
            $0.clientCAFile = files.write("ca.pem", World.authority.own.pem)
        }
        let pair = try EnginePair(context, load(files.client(as: World.client) { $0.maximumVersion = version }))
        pair.run()
        #expect(pair.echoes())
        #expect(pair.server.peerIdentity().pskIdentity == nil)
        #expect(pair.server.peerIdentity().commonNames == ["pump-7"])
    }

    @Test(
        "a connection by pre-shared key leaves nothing to resume, so that a key that was taken back stays outside",
        arguments: [TLSVersion.v1_2, .v1_3])
    func notResumed(version: TLSVersion) throws {
        let tickets = try TicketKeyring(file: nil, nowSeconds: World.now)
        var configuration = files.server()
        configuration.preSharedKeys = .init(keys: ["device-1": key])
        let client = try client("device-1", nil, version)
        let first = try EnginePair(load(configuration, tickets: tickets), client, host: nil)
        first.run()
        try #require(first.echoes())
        let session = TLSSession(first.client)
        configuration.preSharedKeys = .init(keys: ["device-2": key])
        let after = try load(configuration, tickets: tickets)
        #expect(!after.stillTrusts(first.server.peerIdentity()))
        let second = try EnginePair(after, client, host: nil, resuming: version == .v1_2 ? session : nil)
        second.run()
        #expect(second.server.phase != .open || second.server.peerIdentity().pskIdentity == nil && !second.server.isResumed)
        if version == .v1_2 { #expect(second.server.failure?.reason == .psk) }
    }

    @Test("an identity that is claimed and not proved is nobody's")
    func claimed() throws {
        let context = try server(withCertificate: true)
        // Its only suite has SHA-384, so the key is never used, and the certificate opens the connection.
        let liar = try load(
            files.client {
                $0.pskIdentity = "device-1"
                $0.preSharedKey = SecretBytes([6, 6, 6])
                $0.cipherSuites = "TLS_AES_256_GCM_SHA384"
                $0.minimumVersion = .v1_3
            })
        let pair = try EnginePair(context, liar)
        pair.client.start()
        var hello = ByteBuffer()
        pair.client.takeOutput(into: &hello)
        #expect(String(decoding: hello.readableBytesView, as: UTF8.self).contains("device-1"))
        pair.deliver(hello, to: pair.server)
        pair.run()
        #expect(pair.server.phase == .failed || pair.server.peerIdentity().pskIdentity == nil)
        #expect(pair.echoes() || pair.server.phase == .failed)
    }

    @Test("a key that has changed since is not the same key")
    func changed() throws {
        let context = try server(withCertificate: false)
        let pair = try EnginePair(context, client("device-1", nil, .v1_3), host: nil)
        pair.run()
        let peer = pair.server.peerIdentity()
        let after = try server(withCertificate: false) { $0.preSharedKeys = .init(keys: ["device-1": SecretBytes([1, 2, 3])]) }
        #expect(context.stillTrusts(peer))
        #expect(!after.stillTrusts(peer))
    }

    @Test("a ticket of a certificate's connection still works where there are pre-shared keys")
    func ticketsBeside() throws {
        let context = try server(withCertificate: true)
        let client = try load(files.client())
        let first = try EnginePair(context, client)
        first.run()
        try #require(first.echoes())
        let second = try EnginePair(context, client, resuming: TLSSession(first.client))
        second.run()
        #expect(second.echoes())
        #expect(second.server.isResumed)
        #expect(second.server.peerIdentity().pskIdentity == nil)
    }

    @Test("a listener that wants client certificates lets a pre-shared key in its place", arguments: [TLSVersion.v1_2, .v1_3])
    func insteadOfCertificate(version: TLSVersion) throws {
        let context = try server(withCertificate: true) {
            $0.clientCertificates = .required
            $0.clientCAFile = files.write("ca.pem", World.authority.own.pem)
        }
        let pair = try EnginePair(context, client("device-1", nil, version), host: nil)
        pair.run()
        #expect(pair.echoes(), "\(String(describing: pair.server.failure)) \(String(describing: pair.client.failure))")
        #expect(pair.server.peerIdentity().pskIdentity == "device-1")
    }
}
