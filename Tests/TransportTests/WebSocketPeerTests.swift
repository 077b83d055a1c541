import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import Transport

/// What a connection handler does with the codec, in small: it gives back what it gets, one frame for each turn.
private final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private var codec = WebSocketCodec(maxFrameBytes: 4 << 20)

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var payload = ByteBuffer()
        var output: [UInt8] = []
        let outcome = unwrapInboundIn(data).withUnsafeReadableBytes { wire in
            codec.receive(
                wire, nowMilliseconds: UInt64(NIODeadline.now().uptimeNanoseconds / 1_000_000), payload: &payload, replies: &output)
        }
        if payload.readableBytes > 0, outcome == .ok {
            WebSocketCodec.header(payloadCount: payload.readableBytes, into: &output)
            output += payload.readableBytesView
        }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: output)), promise: nil)
        if outcome != .ok { context.close(mode: .output, promise: nil) }
    }
}

@Suite("WebSocket with other people's clients")
struct WebSocketPeerTests {
    /// `/mqtt`, for pages of https://app.example and for programs.
    private static func listen() async throws -> (Listener, port: Int) {
        let listener = try await Listener.open(
            name: "ws", address: .tcp(host: "127.0.0.1", port: 0), group: MultiThreadedEventLoopGroup.singleton
        ) {
            var options = WebSocketOptions()
            options.path = "/mqtt"
            options.origins = [WebOrigin("https://app.example")!]
            options.timeoutSeconds = 2
            try WebSocketHandshake.install(on: $0, options: options) { channel, _ in
                try channel.pipeline.syncOperations.addHandler(Echo())
            }
        }
        try await listener.accept()
        return (listener, try #require(listener.port))
    }

    @Test(
        "python3-websockets and python3-websocket: sizes, fragments, pings, closes, refusals", .timeLimit(.minutes(2)),
        arguments: [("websockets", "python3-websockets"), ("websocket", "python3-websocket")])
    func python(module: String, package: String) async throws {
        let script = try #require(Bundle.module.path(forResource: "websocket_client", ofType: "py", inDirectory: "Scripts"))
        let python = try Program.python(with: module, package: package)
        let (listener, port) = try await Self.listen()
        let (code, output) = try Program.run(python, [script, module, "\(port)"])
        await listener.close()
        #expect(code == 0 && output.hasSuffix("done\n"), "\(output)")
    }

    @Test("over TCP a refusal arrives whole, even when the client goes on sending", .timeLimit(.minutes(1)))
    func refusal() async throws {
        let (listener, port) = try await Self.listen()
        let request = "GET /mqtt HTTP/1.1\r\nHost: a\r\nX-Long: " + String(repeating: "a", count: 500_000)
        let answer = String(decoding: try await Exchange.send(Array(request.utf8), port: port), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 431 "))
        let other = String(decoding: try await Exchange.send(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), port: port), as: UTF8.self)
        #expect(other.hasPrefix("HTTP/1.1 404 ") && other.hasSuffix("\r\n\r\nnot found\n"))
        await listener.close()
    }

    @Test("a client that says nothing is closed when its time is up", .timeLimit(.minutes(1)))
    func silent() async throws {
        let (listener, port) = try await Self.listen()
        let began = ContinuousClock.now
        #expect(try await Exchange.send(Array("GET /mqtt".utf8), port: port).isEmpty)
        #expect((.seconds(2)...(.seconds(8))).contains(ContinuousClock.now - began))
        await listener.close()
    }
}
