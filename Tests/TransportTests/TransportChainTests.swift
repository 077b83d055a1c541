import NIOCore
import NIOEmbedded
import Testing

@testable import Transport

@Suite("PROXY protocol and WebSocket one behind the other")
struct TransportChainTests {
    private final class Recorder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var bytes: [UInt8] = []
        var activations = 0
        func channelActive(context: ChannelHandlerContext) { activations += 1 }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { bytes += unwrapInboundIn(data).readableBytesView }
    }

    private static let request = """
        GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n
        """

    @Test("the proxy's word decides who is trusted behind it, and frames arrive in order at every split")
    func chain() throws {
        let frame = ClientFrame.binary([1, 2, 3])
        for (source, client) in [("10.0.0.7", IPAddress("203.0.113.9")), ("198.51.100.1", nil)] {
            let wire = Array("PROXY TCP4 \(source) 192.0.2.2 56324 443\r\n\(Self.request)".utf8) + frame
            for cut in stride(from: 0, through: wire.count, by: 3) {
                let channel = EmbeddedChannel()
                let recorder = Recorder()
                var facts: [WebSocketFacts] = []
                var proxy = ProxyOptions()
                proxy.trusted = try TrustedPeers(["127.0.0.1"])
                var options = WebSocketOptions()
                options.trustedProxies = try TrustedPeers(["10.0.0.0/8"])
                let handler = ProxyProtocolHandler(options: proxy, peer: .ip(IPAddress("127.0.0.1")!, port: 1)) {
                    Issue.record("\($0)")
                } identified: { [options] in
                    try WebSocketHandshake.install(on: $0, peer: $1.source, options: options) {
                        Issue.record("\($0)")
                    } upgraded: {
                        facts.append($1)
                        try $0.pipeline.syncOperations.addHandler(recorder)
                    }
                }
                try channel.pipeline.syncOperations.addHandler(handler)
                channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
                for part in [wire[..<cut], wire[cut...]] {
                    try channel.writeInbound(ByteBuffer(bytes: part))
                    channel.embeddedEventLoop.run()
                }
                #expect(recorder.bytes == frame && recorder.activations == 1 && facts.map(\.forwardedAddress) == [client], "cut at \(cut)")
                _ = try channel.finish()
            }
        }
    }

    /// How a connection's handshake may end.
    enum End: CaseIterable { case upgraded, refused, timeout, closedByPeer, closedBehindUpgrade }

    @Test("nothing of a handshake is left in memory, however it ends", arguments: End.allCases)
    func leaks(end: End) throws {
        weak var handshake: WebSocketHandshake?
        weak var gate: RequestHeadGate?
        weak var proxy: ProxyProtocolHandler?
        weak var owner: Recorder?
        let channel = EmbeddedChannel()
        func open() throws {
            let recorder = Recorder()
            owner = recorder
            var options = ProxyOptions()
            options.trusted.includesUnixSockets = true
            let handler = ProxyProtocolHandler(options: options, peer: .unix) { _ in
                _ = recorder
            } identified: {
                try WebSocketHandshake.install(on: $0, peer: $1.source, options: WebSocketOptions(), refused: { _ in _ = recorder }) {
                    channel, _ in
                    _ = recorder
                    if end == .closedBehindUpgrade { throw ChannelError.inputClosed }
                }
                handshake = try $0.pipeline.syncOperations.handler(type: WebSocketHandshake.self)
                gate = try $0.pipeline.syncOperations.handler(type: RequestHeadGate.self)
            }
            proxy = handler
            try channel.pipeline.syncOperations.addHandler(handler)
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
            try channel.writeInbound(ByteBuffer(string: "PROXY UNKNOWN\r\n"))
        }
        try open()
        #expect(handshake != nil && gate != nil)
        switch end {
        case .upgraded, .closedBehindUpgrade: try channel.writeInbound(ByteBuffer(string: Self.request))
        case .refused: try channel.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
        case .timeout: channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        case .closedByPeer: channel.close(promise: nil)
        }
        channel.embeddedEventLoop.run()
        channel.embeddedEventLoop.advanceTime(by: .seconds(3))
        #expect(channel.isActive == (end == .upgraded))
        #expect(handshake == nil && gate == nil && proxy == nil && owner == nil)
        _ = try channel.finish(acceptAlreadyClosed: true)
    }
}
