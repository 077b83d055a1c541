import COpenSSL
import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct ResumptionTests {
    let files = TestFiles()

    private func keyring(_ file: String? = nil, at seconds: Int64 = World.now) throws -> TicketKeyring {
        try TicketKeyring(file: file, nowSeconds: seconds)
    }

    /// A full handshake, and what the client keeps of it.
    private func session(_ server: TLSContext, _ client: TLSClientContext) throws -> TLSSession? {
        let pair = try EnginePair(server, client)
        pair.run()
        try #require(pair.echoes(), "\(String(describing: pair.server.failure)) \(String(describing: pair.client.failure))")
        #expect(!pair.server.isResumed)
        return TLSSession(pair.client)
    }

    private func clientContext(_ version: TLSVersion, as issued: Issued? = nil) throws -> TLSClientContext {
        let change: (inout TLSClientConfiguration) -> Void = {
            $0.minimumVersion = version
            $0.maximumVersion = version
        }
        return try load(issued.map { files.client(as: $0, change) } ?? files.client(change))
    }

    @Test("a ticket resumes, on the same context and on one that was loaded anew", arguments: [TLSVersion.v1_2, .v1_3])
    func resumes(version: TLSVersion) throws {
        let tickets = try keyring()
        let client = try clientContext(version)
        let configuration = files.server()
        let session = try #require(try session(load(configuration, tickets: tickets), client))
        #expect(session.maxEarlyDataBytes == 0)
        let again = try load(configuration, tickets: tickets)
        for _ in 0..<2 {
            let pair = try EnginePair(again, client, resuming: session)
            pair.run()
            #expect(pair.echoes())
            #expect(pair.server.isResumed)
        }
    }

    @Test("without ticket keys nothing is resumed", arguments: [TLSVersion.v1_2, .v1_3])
    func noTickets(version: TLSVersion) throws {
        let server = try load(files.server())
        let client = try clientContext(version)
        guard let session = try session(server, client) else { return }
        let pair = try EnginePair(server, client, resuming: session)
        pair.run()
        #expect(pair.echoes())
        #expect(!pair.server.isResumed)
    }

    @Test("nodes that share a key file take each other's tickets, and a restarted one its own")
    func sharedFile() throws {
        let file = files.path("tickets")
        let client = try clientContext(.v1_3)
        let session = try #require(try session(load(files.server(), tickets: keyring(file)), client))
        let pair = try EnginePair(load(files.server(), tickets: keyring(file)), client, resuming: session)
        pair.run()
        #expect(pair.server.isResumed)
        let other = try EnginePair(load(files.server(), tickets: keyring(files.path("others"))), client, resuming: session)
        other.run()
        #expect(other.echoes())
        #expect(!other.server.isResumed)
    }

    @Test("a ticket outlives rotations as long as it is valid, and not longer")
    func rotation() throws {
        let tickets = try TicketKeyring(file: nil, rotationSeconds: 3_600, lifetimeSeconds: 7_200, nowSeconds: World.now)
        let client = try clientContext(.v1_3)
        let server = try load(files.server(), tickets: tickets)
        let session = try #require(try session(server, client))
        for (seconds, isResumed) in [(Int64(3_700), true), (7_500, true), (20_000, false)] {
            try tickets.refresh(nowSeconds: World.now + seconds)
            let pair = try EnginePair(server, client, resuming: session)
            pair.run()
            #expect(pair.echoes())
            #expect(pair.server.isResumed == isResumed, "after \(seconds) s")
        }
    }

    @Test("a resumed client is who it was", arguments: [TLSVersion.v1_2, .v1_3])
    func identity(version: TLSVersion) throws {
        let tickets = try keyring()
        let server = try load(files.serverForClients(), tickets: tickets)
        let client = try clientContext(version, as: World.client)
        let session = try #require(try session(server, client))
        let pair = try EnginePair(server, client, resuming: session)
        pair.run()
        #expect(pair.echoes())
        let peer = pair.server.peerIdentity()
        #expect(peer.isResumed)
        #expect(peer.commonNames == ["pump-7"])
        #expect(server.stillTrusts(peer))
    }

    @Test("a client that was revoked since does not get in by its ticket", arguments: [TLSVersion.v1_2, .v1_3])
    func revokedSince(version: TLSVersion) throws {
        let tickets = try keyring()
        let mine = World.authority.issue(Profile("device"))
        let client = try clientContext(version, as: mine)
        let list = files.write("list.pem", World.authority.list())
        let configuration = files.serverForClients { $0.crlFiles = [list] }
        let before = try load(configuration, tickets: tickets)
        let first = try EnginePair(before, client)
        first.run()
        try #require(first.echoes())
        let session = try #require(TLSSession(first.client))
        files.write("list.pem", World.authority.list(revoking: [mine]))
        let after = try load(configuration, tickets: tickets)
        let pair = try EnginePair(after, client, resuming: session)
        pair.run()
        #expect(!pair.server.isResumed)
        #expect(pair.server.failure?.reason == .certificateRevoked)
        #expect(pair.client.failure == TLSError(.peerAlert, "certificate revoked"))
        // And the connection that was there is known to be no longer welcome.
        let peer = first.server.peerIdentity()
        #expect(before.stillTrusts(peer))
        #expect(!after.stillTrusts(peer))
    }

    @Test("a client whose authority is gone does not get in by its ticket", arguments: [TLSVersion.v1_2, .v1_3])
    func authorityGone(version: TLSVersion) throws {
        let tickets = try keyring()
        let client = try clientContext(version, as: World.client)
        let session = try #require(try session(load(files.serverForClients(), tickets: tickets), client))
        let other = files.serverForClients { $0.clientCAFile = files.write("other-ca.pem", World.stranger.own.pem) }
        let pair = try EnginePair(load(other, tickets: tickets), client, resuming: session)
        pair.run()
        #expect(pair.server.failure?.reason == .unknownCA)
    }

    @Test("a client with an intermediate of its own comes back by a full handshake")
    func ownIntermediate() throws {
        let tickets = try keyring()
        let intermediate = TestAuthority("Fleet", issuer: World.authority)
        let device = intermediate.issue(Profile("device-1"))
        let client = try load(files.client(as: device, chain: [intermediate.own]))
        let server = try load(files.serverForClients(), tickets: tickets)
        let session = try #require(try session(server, client))
        let pair = try EnginePair(server, client, resuming: session)
        pair.run()
        #expect(pair.echoes())
        #expect(!pair.server.isResumed)
        #expect(server.stillTrusts(pair.server.peerIdentity()))
    }

    @Test(
        "a ticket of a listener without client certificates opens none that wants them", arguments: [TLSVersion.v1_2, .v1_3],
        [TLSServerConfiguration.ClientCertificates.optional, .required])
    func bypass(version: TLSVersion, mode: TLSServerConfiguration.ClientCertificates) throws {
        let tickets = try keyring()
        let client = try clientContext(version)
        let session = try #require(try session(load(files.server(), tickets: tickets), client))
        // Even one of the same name.
        let pair = try EnginePair(load(files.serverForClients(mode), tickets: tickets), client, resuming: session)
        pair.run()
        #expect(!pair.server.isResumed)
        if mode == .required {
            #expect(pair.server.failure?.reason == .certificateRequired)
        } else {
            #expect(pair.echoes())
        }
    }

    @Test("a ticket of a listener where certificates are optional opens none where one is required", arguments: [TLSVersion.v1_2, .v1_3])
    func optionalToRequired(version: TLSVersion) throws {
        let tickets = try keyring()
        let client = try clientContext(version)
        let session = try #require(try session(load(files.serverForClients(.optional), tickets: tickets), client))
        let pair = try EnginePair(load(files.serverForClients(.required), tickets: tickets), client, resuming: session)
        pair.run()
        #expect(pair.server.failure?.reason == .certificateRequired)
    }

    @Test("tickets of one listener mean nothing on another", arguments: [TLSVersion.v1_2, .v1_3])
    func otherListener(version: TLSVersion) throws {
        let tickets = try keyring()
        let client = try clientContext(version)
        let session = try #require(try session(load(files.server(), tickets: tickets), client))
        let pair = try EnginePair(load(files.server { $0.name = "another" }, tickets: tickets), client, resuming: session)
        pair.run()
        #expect(pair.echoes())
        #expect(!pair.server.isResumed)
    }

    @Test("one context serves handshakes and resumptions of several threads, while keys rotate")
    func threads() async throws {
        let tickets = try keyring()
        let server = try load(files.serverForClients(), tickets: tickets)
        let client = try clientContext(.v1_3, as: World.client)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for task in 0..<4 {
                group.addTask {
                    var resumed = 0
                    var session: TLSSession?
                    for round in 0..<20 {
                        let pair = try EnginePair(server, client, resuming: session)
                        pair.run()
                        try #require(pair.echoes())
                        if pair.server.isResumed { resumed += 1 }
                        session = TLSSession(pair.client)
                        if task == 0 { try tickets.refresh(nowSeconds: World.now + Int64(round) * 3_600) }
                    }
                    return resumed
                }
            }
            for try await resumed in group { #expect(resumed >= 15) }
        }
    }

    @Test("TLS 1.3 gives one ticket, and no early data is taken")
    func oneTicket() throws {
        let pair = try EnginePair(load(files.server(), tickets: keyring()), load(files.client()))
        pair.run()
        #expect(pair.isOpen)
        #expect(SSL_get_num_tickets(pair.server.ssl) == 1)
        #expect(SSL_get_max_early_data(pair.server.ssl) == 0)
        #expect(SSL_get_early_data_status(pair.server.ssl) != SSL_EARLY_DATA_ACCEPTED)
    }

    @Test("early data that a client sends all the same is not taken for data")
    func earlyData() throws {
        let client = try load(files.client())
        let server = try load(files.server(), tickets: keyring())
        let session = try #require(try session(server, client))
        SSL_SESSION_set_max_early_data(session.pointer, 16_384)
        let pair = try EnginePair(server, client, resuming: session)
        var written = 0
        let early = Array("evil".utf8)
        #expect(SSL_write_early_data(pair.client.ssl, early, early.count, &written) == 1)
        #expect(written == 4)
        pair.run()
        #expect(pair.atServer.readableBytes == 0)
        #expect(SSL_get_early_data_status(pair.client.ssl) == SSL_EARLY_DATA_REJECTED)
    }
}
