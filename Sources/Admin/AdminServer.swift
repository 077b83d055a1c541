import Headwater
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization
import Transport

/// Metrics, health and readiness over HTTP, for Prometheus, Kubernetes and people with curl.
///
/// On one event loop of its own, so that it answers while the broker's are busy, and says so when they are stuck. In a
/// `ServiceGroup` it stands before the broker: it then starts first and stops last, and `/readyz` tells of both.
public final class AdminServer: Service {
    private static let maxConnections = 64

    private let configuration: AdminConfiguration
    private let pages: AdminPages
    private let logger: Logger
    private let running = Mutex<Running?>(nil)

    private struct Running {
        let group: MultiThreadedEventLoopGroup
        let channel: any Channel
        let socketFile: UnixSocketFile?
    }

    /// - Parameter status: Lines for `/status` beyond the broker's own, such as the address of a development Kafka.
    public init(
        configuration: AdminConfiguration, broker: Broker, logger: Logger, status: @escaping @Sendable () -> [String] = { [] }
    ) {
        self.configuration = configuration
        self.pages = AdminPages(
            broker: broker, status: status, plugins: PluginPages(broker: broker, address: configuration.address))
        self.logger = logger
    }

    /// Where it listens, with the port that the system chose; `nil` before `start` and after `stop`.
    public var boundAddress: ListenerConfiguration.Address? {
        guard let channel = running.withLock({ $0?.channel }) else { return nil }
        if case .tcp(let host, _) = configuration.address, let port = channel.localAddress?.port { return .tcp(host: host, port: port) }
        return configuration.address
    }

    /// Opens the listener.
    /// - Throws: `BrokerError` when the address can't be bound.
    public func start() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let channel = try await bind(group)
            var socketFile: UnixSocketFile?
            if case .unix(let path) = configuration.address { socketFile = UnixSocketFile(bound: path) }
            running.withLock { [socketFile] in $0 = Running(group: group, channel: channel, socketFile: socketFile) }
        } catch {
            try? await group.shutdownGracefully()
            throw BrokerError("http: can't listen on \(configuration.address): \(error)")
        }
        logger.info("http is listening", metadata: ["address": "\(boundAddress ?? configuration.address)"])
    }

    /// Closes the listener and its connections. Idempotent.
    public func stop() async {
        guard
            let stopped = running.withLock({ running in
                defer { running = nil }
                return running
            })
        else { return }
        stopped.socketFile?.remove()
        try? await stopped.channel.close()
        try? await stopped.group.shutdownGracefully()
    }

    /// `start`, then serve until the task is cancelled or graceful shutdown begins, then `stop`.
    public func run() async throws {
        try await start()
        try? await gracefulShutdown()
        await stop()
    }

    private func bind(_ group: MultiThreadedEventLoopGroup) async throws -> any Channel {
        let pages = pages
        // Counted and changed on the group's one loop alone.
        let connections = NIOLoopBoundBox.makeBoxSendingValue(0, eventLoop: group.any())
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard connections.value < Self.maxConnections else { throw TooManyConnections() }
                    connections.value += 1
                    channel.closeFuture.whenComplete { _ in connections.value -= 1 }
                    let limit = RequestLimit()
                    try channel.pipeline.syncOperations.addHandler(limit)
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(AdminConnection(pages: pages, limit: limit))
                }
            }
        switch configuration.address {
        case .tcp(let host, let port): return try await bootstrap.bind(host: host, port: port).get()
        case .unix(let path):
            try UnixSocketFile.prepare(path)
            return try await bootstrap.bind(unixDomainSocketPath: path).get()
        }
    }

    /// Thrown in a child's initializer, where NIO closes the child.
    private struct TooManyConnections: Error {}
}
