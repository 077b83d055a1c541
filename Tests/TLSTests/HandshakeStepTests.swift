import NIOCore
import NIOEmbedded
import Synchronization
import TestAuthority
import Testing

@testable import TLS

/// A server's handshake whose steps are run elsewhere, while its channel goes on.
@Suite struct HandshakeStepTests {
    let files = TestFiles()

    /// Lets nothing go on by itself.
    private final class Patience: TLSHandshakeObserver {
        var events: [TLSEvent] = []
        var asked = 0

        func mayContinueHandshake() -> Bool {
            asked += 1
            return false
        }

        func handshakeEnded(_ event: TLSEvent) { events.append(event) }
    }

    private final class Sink: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var text = ""
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { text += String(buffer: unwrapInboundIn(data)) }
    }

    private final class Peers {
        let server = EmbeddedChannel()
        let client = EmbeddedChannel()
        let patience = Patience()
        let received = Sink()
        let answered = Sink()
        let handler: TLSHandler

        init(_ server: TLSServerConfiguration, _ client: TLSClientConfiguration) throws {
            handler = TLSHandler(engine: try #require(try load(server).makeEngine()), observer: patience)
            try self.server.pipeline.syncOperations.addHandlers([handler, received])
            try self.client.pipeline.syncOperations.addHandlers(
                [TLSHandler(engine: try #require(try load(client).makeEngine(host: "localhost"))), answered])
            for channel in [self.server, self.client] { channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil) }
        }

        func toServer() throws {
            while let bytes = try client.readOutbound(as: ByteBuffer.self) { try server.writeInbound(bytes) }
        }

        func toClient() throws {
            server.embeddedEventLoop.run()
            while let bytes = try server.readOutbound(as: ByteBuffer.self) { try client.writeInbound(bytes) }
        }

        /// The next step, run on another thread.
        func step() async throws {
            let step = try #require(handler.beginStep())
            #expect(handler.engine == nil)
            let isMine = await Task.detached { () -> Bool in
                guard step.claim() else { return false }
                step.run()
                return true
            }.value
            #expect(isMine && !step.claim(), "who comes later has nothing to do")
            handler.endStep(step)
        }
    }

    @Test("there is one step at a time, and who has claimed it is alone")
    func alone() async throws {
        let peers = try Peers(files.server(), files.client())
        try peers.toServer()
        #expect(peers.patience.asked == 1)
        let step = try #require(peers.handler.beginStep())
        #expect(peers.handler.beginStep() == nil)
        #expect(step.claim() && !step.claim())
    }

    @Test("bytes that come during a step wait for its end")
    func during() async throws {
        let peers = try Peers(files.serverForClients(), files.client(as: World.client))
        try peers.toServer()
        try await peers.step()
        try peers.toClient()
        // The client's second flight, and what it says at once.
        try peers.toServer()
        peers.server.writeAndFlush(ByteBuffer(string: "early"), promise: nil)
        let step = try #require(peers.handler.beginStep())
        peers.client.writeAndFlush(ByteBuffer(string: "CONNECT "), promise: nil)
        peers.client.writeAndFlush(ByteBuffer(string: "SUBSCRIBE"), promise: nil)
        try peers.toServer()
        peers.server.writeAndFlush(ByteBuffer(string: " words"), promise: nil)
        #expect(peers.received.text.isEmpty && peers.patience.events.isEmpty)
        await Task.detached { step.run() }.value
        peers.handler.endStep(step)
        guard case .handshakeCompleted(let identity) = peers.patience.events.first else { throw Unexpected() }
        #expect(identity.commonNames == ["pump-7"])
        #expect(peers.received.text == "CONNECT SUBSCRIBE")
        try peers.toClient()
        #expect(peers.answered.text == "early words")
        peers.client.writeAndFlush(ByteBuffer(string: " PUBLISH"), promise: nil)
        try peers.toServer()
        #expect(peers.received.text == "CONNECT SUBSCRIBE PUBLISH")
        #expect(peers.patience.asked == 2, "an open connection asks nobody")
    }

    @Test("a half of a flight asks for another turn when the other half has come")
    func halves() async throws {
        let peers = try Peers(files.server(), files.client())
        var hello = try #require(try peers.client.readOutbound(as: ByteBuffer.self))
        let half = hello.readSlice(length: 20)
        try peers.server.writeInbound(#require(half))
        let step = try #require(peers.handler.beginStep())
        try peers.server.writeInbound(hello)
        step.run()
        peers.handler.endStep(step)
        #expect(peers.patience.asked == 2 && peers.patience.events.isEmpty)
        try await peers.step()
        try peers.toClient()
        try peers.toServer()
        try await peers.step()
        guard case .handshakeCompleted = peers.patience.events.first else { throw Unexpected() }
    }

    @Test("a handshake that fails in a step is reported, and the alert goes out")
    func fails() async throws {
        let peers = try Peers(files.serverForClients(), files.client())
        try peers.toServer()
        try await peers.step()
        try peers.toClient()
        try peers.toServer()
        try await peers.step()
        guard case .handshakeFailed(let error) = peers.patience.events.first else { throw Unexpected() }
        #expect(error.reason == .certificateRequired)
        #expect(try peers.server.readOutbound(as: ByteBuffer.self) != nil)
        peers.server.embeddedEventLoop.advanceTime(by: .seconds(2))
        #expect(!peers.server.isActive && peers.patience.events.count == 1)
    }

    @Test("a connection that goes during a step is gone: its end changes nothing")
    func goes() async throws {
        let peers = try Peers(files.server(), files.client())
        try peers.toServer()
        let step = try #require(peers.handler.beginStep())
        peers.server.close(promise: nil)
        peers.server.embeddedEventLoop.run()
        guard case .handshakeFailed(let error) = peers.patience.events.first else { throw Unexpected() }
        #expect(error.reason == .closedEarly)
        step.run()
        peers.handler.endStep(step)
        #expect(peers.patience.events.count == 1 && peers.handler.engine == nil)
        #expect(peers.handler.beginStep() == nil)
    }

    @Test("who sends on and on during a step is cut off")
    func floods() async throws {
        let peers = try Peers(files.server(), files.client())
        try peers.toServer()
        let step = try #require(peers.handler.beginStep())
        for _ in 0..<100 where peers.server.isActive { try peers.server.writeInbound(ByteBuffer(repeating: 22, count: 1_000)) }
        #expect(!peers.server.isActive)
        step.run()
        peers.handler.endStep(step)
    }

    private struct Unexpected: Error {}
}
