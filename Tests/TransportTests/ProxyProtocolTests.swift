import NIOCore
import NIOEmbedded
import Testing

@testable import Transport

@Suite("PROXY protocol on a connection")
struct ProxyProtocolTests {
    private final class Connection {
        final class Recorder: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            var bytes: [UInt8] = []
            var activations = 0
            func channelActive(context: ChannelHandlerContext) { activations += 1 }
            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                #expect(activations == 1)
                bytes += unwrapInboundIn(data).readableBytesView
            }
        }

        let channel = EmbeddedChannel()
        let recorder = Recorder()
        var headers: [ProxyHeader] = []
        var refusals: [ProxyRefusal] = []

        init(from peer: PeerAddress = .ip(IPAddress("10.0.0.1")!, port: 1), _ change: (inout ProxyOptions) -> Void = { _ in }) throws {
            var options = ProxyOptions()
            options.trusted = try TrustedPeers(["10.0.0.0/8"])
            change(&options)
            let handler = ProxyProtocolHandler(options: options, peer: peer) { [unowned self] in
                refusals.append($0)
            } identified: { [unowned self] channel, header in
                headers.append(header)
                try channel.pipeline.syncOperations.addHandler(recorder)
            }
            try channel.pipeline.syncOperations.addHandler(handler)
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        }

        deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

        func send(_ bytes: some Sequence<UInt8>) {
            if channel.isActive { _ = try? channel.writeInbound(ByteBuffer(bytes: bytes)) }
        }
    }

    private static let v1 = Array("PROXY TCP4 203.0.113.9 192.0.2.2 56324 443\r\n".utf8)
    private static let v2 = ProxyV2.make(0x21, 0x11, ProxyV2.inet + ProxyV2.ssl(1, ProxyV2.record(0x21, "TLSv1.3")))

    @Test("the header goes, the rest arrives, and the handler is gone", arguments: [v1, v2])
    func passes(header: [UInt8]) throws {
        let wire = header + [1, 2, 3]
        for cut in 0...wire.count {
            let test = try Connection()
            test.send(wire[..<cut])
            test.send(wire[cut...])
            #expect(test.headers.count == 1 && test.recorder.bytes == [1, 2, 3] && test.refusals.isEmpty, "cut at \(cut)")
            #expect(throws: (any Error).self) { try test.channel.pipeline.syncOperations.handler(type: ProxyProtocolHandler.self) }
        }
        let test = try Connection()
        for byte in wire { test.send([byte]) }
        #expect(test.headers.count == 1 && test.recorder.bytes == [1, 2, 3] && test.recorder.activations == 1)
        test.channel.embeddedEventLoop.advanceTime(by: .seconds(3600))
        #expect(test.channel.isActive && test.refusals.isEmpty)
    }

    @Test("who is not trusted is closed before anything is read, header or not")
    func untrusted() throws {
        for peer in [PeerAddress.ip(IPAddress("11.0.0.1")!, port: 1), .unix] {
            let test = try Connection(from: peer)
            #expect(!test.channel.isActive && test.refusals == [.untrustedPeer] && test.headers.isEmpty)
        }
        let local = try Connection(from: .unix) { $0.trusted.includesUnixSockets = true }
        #expect(local.channel.isActive && local.refusals.isEmpty)
        let nobody = try Connection { $0.trusted = TrustedPeers() }
        #expect(!nobody.channel.isActive && nobody.refusals == [.untrustedPeer])
    }

    @Test(
        "a connection without a header is closed, whatever it says",
        arguments: [[0x10, 0x0C], [0x16, 0x03, 0x01], Array("GET /".utf8)] as [[UInt8]])
    func missing(bytes: [UInt8]) throws {
        let test = try Connection()
        test.send(bytes)
        #expect(!test.channel.isActive && test.refusals == [.malformed("no PROXY header")])
    }

    @Test("a header must come in time, and drops don't stretch it")
    func timeout() throws {
        let test = try Connection()
        for byte in Self.v1.prefix(4) {
            test.send([byte])
            test.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(test.channel.isActive)
        test.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!test.channel.isActive && test.refusals == [.timeout])
    }

    @Test("a second header is for the next protocol, not for this one", arguments: [v1, v2])
    func twice(header: [UInt8]) throws {
        let test = try Connection()
        test.send(header + header)
        #expect(test.headers.count == 1 && test.recorder.bytes == header)
    }

    @Test("where TLS is required, a proxy must say that there was some")
    func requiresTLS() throws {
        for header in [Self.v1, ProxyV2.make(0x21, 0x11, ProxyV2.inet), ProxyV2.make(0x20, 0, []), ProxyV2.make(0x21, 0, [])] {
            let test = try Connection { $0.requiresTLS = true }
            test.send(header)
            #expect(test.refusals == [.withoutTLS] && !test.channel.isActive)
        }
        let test = try Connection { $0.requiresTLS = true }
        test.send(Self.v2)
        #expect(test.headers.first?.tls?.version == "TLSv1.3")
    }

    @Test("a peer that leaves in the middle of a header is no fault")
    func leaves() throws {
        let test = try Connection()
        test.send(Self.v1.prefix(10))
        test.channel.close(promise: nil)
        test.channel.embeddedEventLoop.run()
        test.channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(test.refusals.isEmpty && test.headers.isEmpty)
    }
}
