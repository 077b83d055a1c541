import COpenSSL
import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct ClientCertificateTests {
    let files = TestFiles()

    private func failure(
        _ server: TLSServerConfiguration, as issued: Issued?, chain: [Issued] = [], version: TLSVersion = .v1_3
    ) throws -> TLSError.Reason? {
        let change: (inout TLSClientConfiguration) -> Void = {
            $0.maximumVersion = version
            $0.isInsecure = true
        }
        let pair = try EnginePair(server, issued.map { files.client(as: $0, chain: chain, change) } ?? files.client(change))
        pair.run()
        if pair.server.failure == nil { #expect(pair.echoes()) } else { #expect(pair.client.phase != .open) }
        return pair.server.failure?.reason
    }

    @Test("none, optional and required mean what they say", arguments: [TLSVersion.v1_2, .v1_3])
    func modes(version: TLSVersion) throws {
        #expect(try failure(files.serverForClients(.required), as: World.client, version: version) == nil)
        #expect(try failure(files.serverForClients(.required), as: nil, version: version) == .certificateRequired)
        #expect(try failure(files.serverForClients(.optional), as: nil, version: version) == nil)
        #expect(try failure(files.serverForClients(.optional), as: World.client, version: version) == nil)
        #expect(try failure(files.serverForClients(.optional), as: World.stranger.issue(Profile("x")), version: version) == .unknownCA)
        #expect(try failure(files.server(), as: World.client, version: version) == nil)
    }

    @Test("a bad certificate is refused with its reason")
    func reasons() throws {
        let server = files.serverForClients()
        let issue = { (change: (inout Profile) -> Void) in World.authority.issue(Profile("x").with(change)) }
        #expect(try failure(server, as: World.stranger.issue(Profile("x"))) == .unknownCA)
        #expect(try failure(server, as: World.stranger.own) == .unknownCA)
        #expect(try failure(server, as: issue { $0.notAfter = World.now - 10 }) == .certificateExpired)
        #expect(try failure(server, as: issue { $0.notBefore = World.now + 3_600 }) == .certificateNotYetValid)
        #expect(try failure(server, as: issue { $0.usage = "serverAuth" }) == .wrongPurpose)
        #expect(try failure(server, as: issue { $0.usage = nil }) == nil)
        // Signed with a certificate that isn't a CA's.
        let leaf = World.client
        let forged = TestAuthority("pump-7").issue(Profile("x"))
        #expect(try failure(server, as: forged, chain: [leaf]) == .unknownCA)
    }

    @Test("expired certificates pass where dates are not looked at")
    func dates() throws {
        let old = World.authority.issue(Profile("old").with { $0.notAfter = World.now - 10 })
        #expect(try failure(files.serverForClients { $0.ignoresClientCertificateDates = true }, as: old) == nil)
    }

    @Test("a chain is followed as deep as configured")
    func depth() throws {
        let first = TestAuthority("First", issuer: World.authority)
        let second = TestAuthority("Second", issuer: first)
        let device = second.issue(Profile("device"))
        let chain = [second.own, first.own]
        #expect(try failure(files.serverForClients(), as: device, chain: chain) == nil)
        #expect(try failure(files.serverForClients { $0.verifyDepth = 2 }, as: device, chain: chain) == nil)
        #expect(try failure(files.serverForClients { $0.verifyDepth = 1 }, as: device, chain: chain) == .badCertificate)
        #expect(try failure(files.serverForClients(), as: device) == .unknownCA)
    }

    @Test("a directory of authorities needs no hashed names")
    func directory() throws {
        files.write("README", "authorities")
        files.write("one.pem", World.stranger.own.pem)
        files.write("two.crt", World.authority.own.pem)
        files.write(".three.swp", "-----BEGIN CERTIFICATE-----\nrubbish\n")
        files.write("list.crl", World.authority.list())
        var server = files.server()
        server.certificates = []
        server.certificates = [TestFiles.kept.pair("server", World.server)]
        server.clientCertificates = .required
        server.clientCADirectory = files.directory
        #expect(try failure2(server, as: World.client) == nil)
        #expect(try failure2(server, as: World.stranger.issue(Profile("x"))) == nil)
        #expect(try failure2(server, as: TestAuthority("Third").issue(Profile("x"))) == .unknownCA)
    }

    /// With the client's files elsewhere.
    private func failure2(_ server: TLSServerConfiguration, as issued: Issued) throws -> TLSError.Reason? {
        let pair = try EnginePair(server, TestFiles.kept.client(as: issued))
        pair.run()
        return pair.server.failure?.reason
    }

    @Test("a revoked certificate is refused; a list that is missing or out of date lets nobody in", arguments: [TLSVersion.v1_2, .v1_3])
    func revocation(version: TLSVersion) throws {
        let good = World.authority.issue(Profile("good"))
        let bad = World.authority.issue(Profile("bad"))
        func server(_ lists: String...) -> TLSServerConfiguration {
            files.serverForClients { $0.crlFiles = lists.enumerated().map { files.write("list-\($0.offset)", $0.element) } }
        }
        let list = World.authority.list(revoking: [bad])
        #expect(try failure(server(list), as: good, version: version) == nil)
        #expect(try failure(server(list), as: bad, version: version) == .certificateRevoked)
        #expect(try failure(server(World.stranger.list()), as: good, version: version) == .revocationUnknown)
        #expect(try failure(server(World.stranger.list() + list), as: bad, version: version) == .certificateRevoked)
        #expect(try failure(server(World.stranger.list(), list), as: good, version: version) == nil)
        let stale = server(World.authority.list(nextUpdate: World.now - 10))
        #expect(try load(stale).warnings.contains { $0.contains("has expired") })
        #expect(try failure(stale, as: good, version: version) == .revocationUnknown)
    }

    @Test("the lists are asked about the leaf, or about the whole chain")
    func wholeChain() throws {
        let fleet = TestAuthority("Fleet", issuer: World.authority)
        let device = fleet.issue(Profile("device"))
        let lists = files.write("lists", fleet.list() + World.authority.list(revoking: [fleet.own]))
        let leafOnly = files.serverForClients { $0.crlFiles = [lists] }
        #expect(try failure(leafOnly, as: device, chain: [fleet.own]) == nil)
        let whole = files.serverForClients {
            $0.crlFiles = [lists]
            $0.checksCRLOfWholeChain = true
        }
        #expect(try failure(whole, as: device, chain: [fleet.own]) == .certificateRevoked)
    }

    @Test("a chain that is too long is refused when it is announced")
    func oversizedChain() throws {
        let device = World.authority.issue(Profile("device"))
        let filling = (0..<3).map { TestAuthority("\($0)", issuer: World.authority).issue(Profile("f").with { $0.padding = 15_000 }) }
        for version in [TLSVersion.v1_2, .v1_3] {
            #expect(try failure(files.serverForClients(), as: device, chain: filling, version: version) == .other)
            #expect(
                try failure(files.serverForClients { $0.maxClientChainBytes = 100_000 }, as: device, chain: filling, version: version)
                    == nil)
        }
    }

    @Test("a root that a client sends along is not kept, its intermediates are")
    func roots() throws {
        let fleet = TestAuthority("Fleet", issuer: World.authority)
        let device = fleet.issue(Profile("device"))
        let context = try load(files.serverForClients())
        let pair = try EnginePair(context, load(files.client(as: device, chain: [fleet.own, World.authority.own])))
        pair.run()
        #expect(pair.echoes())
        #expect(headwater_x509_count(SSL_get_peer_cert_chain(pair.server.ssl)) == 1)
        #expect(context.stillTrusts(pair.server.peerIdentity()))
    }

    @Test("a reload decides anew about clients that are connected")
    func reload() throws {
        let context = try load(files.serverForClients(.optional))
        let pair = try EnginePair(context, load(files.client(as: World.client)))
        pair.run()
        let peer = pair.server.peerIdentity()
        #expect(context.stillTrusts(peer))
        #expect(try !load(files.serverForClients { $0.clientCAFile = files.write("o.pem", World.stranger.own.pem) }).stillTrusts(peer))
        #expect(try load(files.server()).stillTrusts(peer))
        let anonymous = try EnginePair(context, load(files.client()))
        anonymous.run()
        #expect(context.stillTrusts(anonymous.server.peerIdentity()))
        #expect(try !load(files.serverForClients(.required)).stillTrusts(anonymous.server.peerIdentity()))
    }
}

extension TestFiles {
    /// For files that must not lie in the directory under test.
    static let kept = TestFiles()
}
