import HTTPFetch
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

@testable import SchemaRegistry

/// A server that answers what the test says, and remembers what it was asked.
final class ScriptedServer: Sendable {
    struct Request: Sendable {
        let line: String
        let headers: HTTPHeaders
        let body: String
    }
    typealias Script = @Sendable (Request) -> (status: Int, body: String)

    let port: Int
    private let listener: any Channel
    private let asked: Asked

    private final class Asked: Sendable {
        let requests = Mutex<[Request]>([])
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { asked.requests.withLock { $0 } }

    init(_ script: @escaping Script) async throws {
        let asked = Asked()
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        Exchange { request in
                            asked.requests.withLock { $0.append(request) }
                            return script(request)
                        })
                }
            }
        var bound: (any Channel)?
        while bound == nil { bound = try? await bootstrap.bind(host: "127.0.0.1", port: .random(in: 12_000..<32_000)).get() }
        listener = bound!
        port = bound!.localAddress!.port!
        self.asked = asked
    }

    func stop() async { try? await listener.close().get() }

    private final class Exchange: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let script: Script
        private var head: HTTPRequestHead?
        private var body = ""

        init(_ script: @escaping Script) { self.script = script }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body(let part): body += String(buffer: part)
            case .end:
                guard let head else { return }
                let answer = script(Request(line: "\(head.method.rawValue) \(head.uri)", headers: head.headers, body: body))
                let headers: HTTPHeaders = ["Content-Length": String(answer.body.utf8.count), "Connection": "close"]
                context.write(
                    wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: answer.status), headers: headers))),
                    promise: nil)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.body)))), promise: nil)
                let channel = context.channel
                context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
            }
        }
    }
}

/// A clock that a test moves.
final class TestClock: Sendable {
    private let time = Mutex(ContinuousClock.now)
    var now: ContinuousClock.Instant { time.withLock { $0 } }
    func advance(seconds: Double) { time.withLock { $0 += .seconds(seconds) } }
}

func options(_ urls: String..., change: (inout SchemaRegistryOptions) -> Void = { _ in }) -> SchemaRegistryOptions {
    var options = SchemaRegistryOptions(urls: urls, allowsPlain: true, totalMilliseconds: 20_000)
    change(&options)
    return options
}

/// What a call to the registry throws; `nil` when it doesn't.
func refusal(_ body: () throws(SchemaRegistryFailure) -> Void) -> SchemaRegistryFailure? {
    do throws(SchemaRegistryFailure) {
        try body()
        return nil
    } catch { return error }
}
