import Foundation
import NIOCore
import TestAuthority
import Testing

@testable import TLS

/// Two authorities, a server and some clients, made once for all tests.
enum World {
    static let authority = TestAuthority("Test Root")
    static let stranger = TestAuthority("Somebody Else")
    static let server = authority.issue(Profile("localhost", names: "DNS:localhost,IP:127.0.0.1"))
    static let client = authority.issue(
        Profile("pump-7", names: "DNS:pump-7.example.org,URI:urn:dev:pump-7,email:pump@example.org").with {
            $0.organization = "Works"
            $0.unit = "Hall 3"
        })
    static let now = Int64(time(nil))
}

extension TestFiles {
    func pair(_ name: String, _ issued: Issued, chain: [Issued] = []) -> TLSServerConfiguration.CertificatePair {
        .init(
            chainFile: write("\(name).pem", ([issued] + chain).map(\.pem).joined()), keyFile: write("\(name).key", issued.keyPEM))
    }

    /// A listener with the world's server certificate.
    func server(_ change: (inout TLSServerConfiguration) -> Void = { _ in }) -> TLSServerConfiguration {
        var configuration = TLSServerConfiguration(name: "test", certificates: [pair("server", World.server)])
        change(&configuration)
        return configuration
    }

    /// One that asks for certificates of the world's authority.
    func serverForClients(
        _ mode: TLSServerConfiguration.ClientCertificates = .required, _ change: (inout TLSServerConfiguration) -> Void = { _ in }
    ) -> TLSServerConfiguration {
        server {
            $0.clientCertificates = mode
            $0.clientCAFile = write("ca.pem", World.authority.own.pem)
            change(&$0)
        }
    }

    /// One that trusts the world's authority.
    func client(_ change: (inout TLSClientConfiguration) -> Void = { _ in }) -> TLSClientConfiguration {
        var configuration = TLSClientConfiguration()
        configuration.caFile = write("client-ca.pem", World.authority.own.pem)
        change(&configuration)
        return configuration
    }

    func client(as issued: Issued, chain: [Issued] = [], _ change: (inout TLSClientConfiguration) -> Void = { _ in })
        -> TLSClientConfiguration
    {
        client {
            $0.certificate = pair("client-\(UUID().uuidString)", issued, chain: chain)
            change(&$0)
        }
    }
}

func load(_ configuration: TLSServerConfiguration, tickets: TicketKeyring? = nil) throws -> TLSContext {
    try TLSContext(configuration, tickets: tickets, nowSeconds: World.now)
}

func load(_ configuration: TLSClientConfiguration) throws -> TLSClientContext {
    try TLSClientContext(configuration)
}

/// Two engines that talk to each other without a network.
final class EnginePair {
    let server: TLSEngine
    let client: TLSEngine
    /// Plaintext.
    var atServer = ByteBuffer()
    var atClient = ByteBuffer()
    var completions = 0

    init(
        _ server: TLSContext, _ client: TLSClientContext, host: String? = "localhost", serverName: String? = nil,
        resuming session: TLSSession? = nil
    ) throws {
        self.server = try #require(server.makeEngine())
        self.client = try #require(client.makeEngine(host: host, serverName: serverName, resuming: session))
    }

    /// With contexts that only this pair needs.
    convenience init(
        _ server: TLSServerConfiguration, _ client: TLSClientConfiguration, host: String? = "localhost", serverName: String? = nil
    ) throws {
        try self.init(load(server), load(client), host: host, serverName: serverName)
    }

    /// Carries bytes to and fro until both have nothing to say, in pieces of `step` bytes.
    func run(step: Int = .max) {
        client.start()
        while client.hasOutput || server.hasOutput {
            carry(from: client, to: server, step: step)
            carry(from: server, to: client, step: step)
        }
    }

    private func carry(from sender: TLSEngine, to receiver: TLSEngine, step: Int) {
        var wire = ByteBuffer()
        sender.takeOutput(into: &wire)
        deliver(wire, to: receiver, step: step)
    }

    func deliver(_ wire: ByteBuffer, to receiver: TLSEngine, step: Int = .max) {
        var wire = wire
        while let part = wire.readSlice(length: min(step, wire.readableBytes)), part.readableBytes > 0 {
            let progress = part.withUnsafeReadableBytes { bytes in
                receiver === server ? receiver.receive(bytes, plaintext: &atServer) : receiver.receive(bytes, plaintext: &atClient)
            }
            if progress == .handshakeCompleted { completions += 1 }
        }
    }

    func send(_ bytes: [UInt8], toServer: Bool, step: Int = .max) {
        var wire = ByteBuffer()
        let sender = toServer ? client : server
        #expect(bytes.withUnsafeBytes { sender.seal($0, into: &wire) })
        deliver(wire, to: toServer ? server : client, step: step)
    }

    var isOpen: Bool { server.phase == .open && client.phase == .open }

    /// Both ways, a few bytes.
    func echoes() -> Bool {
        guard isOpen else { return false }
        atServer.clear()
        atClient.clear()
        send(Array("ping".utf8), toServer: true)
        send(Array("pong".utf8), toServer: false)
        return String(buffer: atServer) == "ping" && String(buffer: atClient) == "pong"
    }
}
