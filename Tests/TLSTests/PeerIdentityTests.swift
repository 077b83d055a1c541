import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct PeerIdentityTests {
    let files = TestFiles()

    private func identity(_ profile: Profile) throws -> PeerIdentity {
        let pair = try EnginePair(
            files.serverForClients {
                $0.maxClientChainBytes = 200_000
                $0.applicationProtocols = ["mqtt"]
            },
            files.client(as: World.authority.issue(profile)) { $0.applicationProtocols = ["mqtt"] })
        pair.run()
        try #require(pair.isOpen, "\(String(describing: pair.server.failure))")
        return pair.server.peerIdentity()
    }

    @Test("everything that names a client is there")
    func complete() throws {
        let peer = try identity(
            Profile("pump-7", names: "DNS:a.example.org,DNS:b.example.org,URI:urn:dev:pump-7,email:pump@example.org,IP:10.0.0.1").with {
                $0.organization = "Works"
                $0.unit = "Hall 3"
            })
        #expect(peer.commonNames == ["pump-7"])
        #expect(peer.subject == "OU=Hall 3,O=Works,CN=pump-7")
        #expect(peer.issuer == "CN=Test Root")
        #expect(peer.organizations == ["Works"])
        #expect(peer.organizationalUnits == ["Hall 3"])
        #expect(peer.dnsNames == ["a.example.org", "b.example.org"])
        #expect(peer.uris == ["urn:dev:pump-7"])
        #expect(peer.emails == ["pump@example.org"])
        #expect(!peer.hasUnusableNames)
        #expect(peer.serialHex.count >= 4)
        #expect(peer.fingerprint.count == 64)
        #expect(peer.notAfterSeconds.map { abs($0 - World.now - 86_400) < 600 } == true)
        #expect(peer.serverName == "localhost")
        #expect(peer.applicationProtocol == "mqtt")
        #expect(peer.version == .v1_3)
        #expect(peer.cipher == "TLS_AES_256_GCM_SHA384")
        #expect(!peer.isResumed)
        #expect(peer.pskIdentity == nil)
    }

    @Test("without a certificate there is no name")
    func anonymous() throws {
        let pair = try EnginePair(files.server(), files.client())
        pair.run()
        let peer = pair.server.peerIdentity()
        #expect(peer.certificate == nil)
        #expect(peer.subject == "" && peer.commonNames.isEmpty && peer.notAfterSeconds == nil && !peer.hasUnusableNames)
    }

    @Test("no common name, several, and alternative names alone")
    func commonNames() throws {
        #expect(try identity(Profile(nil, names: "DNS:only.example.org")).commonNames.isEmpty)
        #expect(try identity(Profile(nil, names: "DNS:only.example.org")).dnsNames == ["only.example.org"])
        #expect(try identity(Profile().with { $0.organization = "Works" }).commonNames.isEmpty)
        let several = try identity(Profile().with { $0.commonNames = ["one", "two", "three"].map { Array($0.utf8) } })
        #expect(several.commonNames == ["one", "two", "three"])
    }

    @Test("a NUL or another character that can't be in a name makes the names unusable, and is never cut off")
    func unusable() throws {
        let nul = try identity(Profile().with { $0.commonNames = [Array("admin\0.example.org".utf8)] })
        #expect(nul.hasUnusableNames)
        #expect(nul.commonNames.isEmpty)
        #expect(nul.subject == "CN=admin\\00.example.org")
        // SEQUENCE { [2] "a\0b" }, { [2] 0xe4 }
        for content in [[UInt8(0x61), 0, 0x62], [0xe4]] {
            let count = UInt8(content.count)
            let peer = try identity(Profile("x").with { $0.rawAlternativeNames = [0x30, count + 2, 0x82, count] + content })
            #expect(peer.hasUnusableNames)
            #expect(peer.dnsNames.isEmpty)
        }
    }

    @Test("alternative names that can't be read are no names, and no way in")
    func rubbishNames() throws {
        let rubbish = World.authority.issue(Profile("x").with { $0.rawAlternativeNames = [0x30, 0x50, 1] })
        let pair = try EnginePair(files.serverForClients(), files.client(as: rubbish))
        pair.run()
        #expect(pair.server.failure?.reason == .unknownCA || pair.server.failure?.reason == .badCertificate)
    }

    @Test("a certificate with invalid UTF-8 in its name is not taken at all")
    func invalidText() throws {
        let pair = try EnginePair(
            files.serverForClients(), files.client(as: World.authority.issue(Profile("Gerät"))) { $0.maximumVersion = .v1_2 })
        pair.client.start()
        var wire = ByteBuffer()
        for _ in 0..<2 {
            wire.clear()
            pair.client.takeOutput(into: &wire)
            let bytes = Array(wire.readableBytesView)
            let text = Array("Gerät".utf8)
            if let at = bytes.indices.first(where: { bytes[$0...].starts(with: text) }) {
                wire.setInteger(0xff, at: at + 3, as: UInt8.self)
            }
            pair.deliver(wire, to: pair.server)
            wire.clear()
            pair.server.takeOutput(into: &wire)
            pair.deliver(wire, to: pair.client)
        }
        #expect(pair.server.phase == .failed)
        #expect(pair.server.failure?.reason == .other, "\(String(describing: pair.server.failure))")
    }

    @Test("topic characters and other languages are names like others")
    func characters() throws {
        let peer = try identity(Profile("a/+/#/b"))
        #expect(peer.commonNames == ["a/+/#/b"])
        #expect(!peer.hasUnusableNames)
        let other = try identity(Profile("Gerät 🚰"))
        #expect(other.commonNames == ["Gerät 🚰"])
        #expect(other.subject.utf8.allSatisfy { $0 < 0x80 })
    }

    @Test("a subject of 64 kB is read whole, where a chain may be so long")
    func longSubject() throws {
        let peer = try identity(Profile("long").with { $0.padding = 64_000 })
        #expect(peer.subject.utf8.count > 64_000)
        #expect(peer.commonNames == ["long"])
    }
}
