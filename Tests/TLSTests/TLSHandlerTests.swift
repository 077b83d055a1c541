import COpenSSL
import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import TestAuthority
import Testing

@testable import TLS

/// Handler to handler, over channels of NIO's that exist in memory only.
@Suite struct TLSHandlerTests {
    let files = TestFiles()

    /// Remembers what comes out of the handler below it.
    final class Recorder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var bytes = ByteBuffer()
        var events: [TLSEvent] = []
        var order: [String] = []

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var buffer = unwrapInboundIn(data)
            bytes.writeBuffer(&buffer)
            order.append("read")
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            guard let event = event as? TLSEvent else { return }
            events.append(event)
            order.append("event")
        }

        var failure: TLSError? {
            for case .handshakeFailed(let error) in events { return error }
            return nil
        }
    }

    final class Side {
        let channel = EmbeddedChannel()
        let recorder = Recorder()
        let handler: TLSHandler

        init(_ engine: TLSEngine, scratch: TLSScratch? = nil) throws {
            handler = TLSHandler(engine: engine, scratch: scratch)
            try channel.pipeline.syncOperations.addHandlers([handler, recorder])
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        }

        func text() -> String { String(buffer: recorder.bytes) }
    }

    private func carry(_ one: Side, _ other: Side) throws {
        var isMoving = true
        while isMoving {
            isMoving = false
            for (from, to) in [(one, other), (other, one)] {
                while let bytes = try from.channel.readOutbound(as: ByteBuffer.self) {
                    isMoving = true
                    if to.channel.isActive { try to.channel.writeInbound(bytes) }
                }
            }
        }
    }

    private func sides(_ server: TLSServerConfiguration, _ client: TLSClientConfiguration) throws -> (server: Side, client: Side) {
        let context = try load(server)
        let clientContext = try load(client)
        return (
            try Side(#require(context.makeEngine()), scratch: TLSScratch()), try Side(#require(clientContext.makeEngine(host: "localhost")))
        )
    }

    @Test("the handshake is reported before the first plaintext, and what was written early is sent then")
    func handshake() throws {
        let (server, client) = try sides(
            files.serverForClients { $0.applicationProtocols = ["mqtt"] },
            files.client(as: World.client) {
                $0.applicationProtocols = ["mqtt"]
            })
        client.channel.writeAndFlush(ByteBuffer(string: "CONNECT"), promise: nil)
        try carry(server, client)
        #expect(server.text() == "CONNECT")
        #expect(server.recorder.order == ["event", "read"])
        guard case .handshakeCompleted(let peer) = server.recorder.events.first else { throw Unexpected() }
        #expect(peer.commonNames == ["pump-7"] && peer.applicationProtocol == "mqtt" && peer.serverName == "localhost")
        server.channel.writeAndFlush(ByteBuffer(string: "CONNACK"), promise: nil)
        try carry(server, client)
        #expect(client.text() == "CONNACK")
        #expect(!server.handler.hasBytesInChannel && !client.handler.hasBytesInChannel)
    }

    struct Unexpected: Error {}

    @Test("a failed handshake is reported once, the alert goes out, and the channel closes")
    func failure() throws {
        let (server, client) = try sides(files.serverForClients(), files.client())
        try carry(server, client)
        #expect(server.recorder.failure?.reason == .certificateRequired)
        #expect(client.recorder.events.count >= 1)
        server.channel.embeddedEventLoop.advanceTime(by: .seconds(2))
        #expect(!server.channel.isActive)
        #expect(server.recorder.events.count == 1)
    }

    @Test("plain MQTT closes the channel at once, without an answer")
    func plainText() throws {
        let server = try Side(#require(load(files.server()).makeEngine()))
        try server.channel.writeInbound(ByteBuffer(bytes: [0x10, 12, 0, 4]))
        #expect(server.recorder.failure?.reason == .plainText)
        #expect(!server.channel.isActive)
        #expect(try server.channel.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test("a peer that goes early is reported")
    func closedEarly() throws {
        let server = try Side(#require(load(files.server()).makeEngine()))
        server.channel.close(promise: nil)
        server.channel.embeddedEventLoop.run()
        #expect(server.recorder.failure?.reason == .closedEarly)
    }

    @Test("closing says close_notify, and the peer closes too")
    func closing() throws {
        let (server, client) = try sides(files.server(), files.client())
        try carry(server, client)
        server.channel.close(promise: nil)
        try carry(server, client)
        client.channel.embeddedEventLoop.run()
        #expect(!client.channel.isActive)
        #expect(client.handler.engine?.phase == .closedByPeer)
        #expect(client.handler.engine?.failure == nil)
    }

    @Test("a connection moves to another handler in the middle of a record")
    func moving() throws {
        let (server, client) = try sides(files.server(), files.client())
        try carry(server, client)
        var wire = ByteBuffer()
        let engine = try #require(client.handler.engine)
        #expect(Array("half and half".utf8).withUnsafeBytes { engine.seal($0, into: &wire) })
        try server.channel.writeInbound(wire.readSlice(length: 11)!)
        let detached = try #require(server.handler.detach())
        #expect(server.handler.engine == nil)
        #expect(server.handler.detach() == nil)
        server.channel.close(promise: nil)
        #expect(try server.channel.readOutbound(as: ByteBuffer.self) == nil, "close_notify of a connection that goes on")
        let moved = try Side(#require(detached.take()))
        #expect(detached.take() == nil)
        try moved.channel.writeInbound(wire)
        #expect(moved.text() == "half and half")
        #expect(moved.recorder.events.isEmpty)
        moved.channel.writeAndFlush(ByteBuffer(string: "answer"), promise: nil)
        try carry(moved, client)
        #expect(client.text() == "answer")
    }

    @Test("sealed bytes that NIO takes over are written as they are")
    func sealed() throws {
        let (server, client) = try sides(files.server(), files.client())
        try carry(server, client)
        let bytes = Array("PUBLISH".utf8)
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1_000, alignment: 1)
        defer { block.deallocate() }
        let count = try #require(bytes.withUnsafeBytes { server.handler.seal($0, into: block) })
        let written = try #require(server.handler.writeSealed(ByteBuffer(bytes: block[..<count])))
        #expect(server.handler.hasBytesInChannel)
        server.channel.flush()
        try written.wait()
        #expect(!server.handler.hasBytesInChannel)
        try carry(server, client)
        #expect(client.text() == "PUBLISH")
        let farewell = server.handler.takeCloseNotify()
        #expect(farewell.readableBytes > 0)
        try client.channel.writeInbound(farewell)
        #expect(client.handler.engine?.phase == .closedByPeer)
    }

    @Test("plaintext that somebody keeps is not written over")
    func kept() throws {
        let scratch = TLSScratch()
        let context = try load(files.server())
        let server = try Side(#require(context.makeEngine()), scratch: scratch)
        let client = try Side(#require(load(files.client()).makeEngine(host: "localhost")))
        try carry(server, client)
        final class Keeper: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            var kept: [ByteBuffer] = []
            func channelRead(context: ChannelHandlerContext, data: NIOAny) { kept.append(unwrapInboundIn(data)) }
        }
        let keeper = Keeper()
        try server.channel.pipeline.syncOperations.addHandler(keeper, position: .after(server.handler))
        for text in ["one", "two", "three"] {
            client.channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
            try carry(server, client)
        }
        #expect(keeper.kept.map { String(buffer: $0) } == ["one", "two", "three"])
    }
}
