import Foundation
import NIOCore
import NIOPosix

@testable import TLS

/// A TLS server on a port of its own that sends back what it gets, and remembers how handshakes went.
final class EchoServer: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    let port: Int
    let log = Log()

    final class Log: @unchecked Sendable {
        private let lock = NSLock()
        private var peers: [PeerIdentity] = []
        private var failures: [TLSError] = []

        func add(_ event: TLSEvent) {
            lock.withLock {
                switch event {
                case .handshakeCompleted(let peer): peers.append(peer)
                case .handshakeFailed(let error), .failed(let error): failures.append(error)
                }
            }
        }

        var lastPeer: PeerIdentity? { lock.withLock { peers.last } }
        var allPeers: [PeerIdentity] { lock.withLock { peers } }
        var lastFailure: TLSError? { lock.withLock { failures.last } }
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let log: Log

        init(_ log: Log) { self.log = log }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let event = event as? TLSEvent { log.add(event) }
        }
    }

    init(_ context: TLSContext) throws {
        let log = log
        let bootstrap = ServerBootstrap(group: group).childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                guard let engine = context.makeEngine() else { throw ChannelError.operationUnsupported }
                try channel.pipeline.syncOperations.addHandlers([TLSHandler(engine: engine), Echo(log)])
            }
        }
        // Below 32768 nothing is given away to outgoing connections.
        var bound: (any Channel)?
        while bound == nil { bound = try? bootstrap.bind(host: "127.0.0.1", port: Int.random(in: 20_000..<32_768)).wait() }
        channel = bound!
        port = channel.localAddress!.port!
    }

    deinit {
        channel.close(promise: nil)
        group.shutdownGracefully { _ in }
    }
}

/// The `openssl` program, run to its end; killed after 30 seconds.
/// - Parameter end: Its input is closed when its output has this, or after 10 seconds.
func openssl(_ arguments: [String], input: String = "", until end: String? = nil) throws -> (output: String, status: Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["timeout", "30", "openssl"] + arguments
    let (output, stdin) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = output
    process.standardInput = stdin
    try process.run()
    // One that has failed doesn't read any more.
    signal(SIGPIPE, SIG_IGN)
    try? stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    if end == nil { try? stdin.fileHandleForWriting.close() }
    let deadline = DispatchWorkItem { try? stdin.fileHandleForWriting.close() }
    DispatchQueue.global().asyncAfter(deadline: .now() + 10, execute: deadline)
    var bytes = Data()
    while true {
        let more = output.fileHandleForReading.availableData
        if more.isEmpty { break }
        bytes += more
        if let end, bytes.range(of: Data(end.utf8)) != nil { try? stdin.fileHandleForWriting.close() }
    }
    deadline.cancel()
    process.waitUntilExit()
    return (String(decoding: bytes, as: UTF8.self), process.terminationStatus)
}
