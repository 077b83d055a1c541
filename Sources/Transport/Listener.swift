import NIOCore
import NIOPosix

/// Where to listen.
package enum ListenAddress: Sendable {
    case tcp(host: String, port: Int)
    case unix(path: String)
}

/// An open listener: bound at once, and from `accept` on it hands each connection's channel, on its loop, to the initializer.
package struct Listener: Sendable {
    package let name: String
    /// Port that the system chose, `nil` for a Unix socket.
    package let port: Int?
    private let channel: any Channel
    private let socketFile: UnixSocketFile?

    /// - Parameters:
    ///   - acceptsPerRound: Connections at most before the loop looks at those who are connected: a crowd at the door must not keep
    ///     them waiting. More save calls for each connection.
    ///   - mayAccept: Asked before each round of accepting; `false` leaves those who come in the kernel's queue for a moment.
    ///   - initialize: Called on the accepted channel's loop; throwing closes the channel.
    /// - Throws: The system's error when the address can't be bound, `UnixSocketFile.Fault` when it is another's socket.
    package static func open(
        name: String, address: ListenAddress, group: any EventLoopGroup, acceptsPerRound: Int = 8, mayAccept: @escaping @Sendable () -> Bool = { true },
        initialize: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> Listener {
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.maxMessagesPerRead, value: UInt(acceptsPerRound))
            .serverChannelOption(.autoRead, value: false)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(AcceptBackoff(mayAccept: mayAccept)) }
            }
            .childChannelInitializer { channel in
                // Options set here cost a call each; given to the bootstrap, a chain of futures for each connection.
                channel.eventLoop.makeCompletedFuture {
                    try channel.syncOptions?.setOption(.recvAllocator, value: ReceiveAllocator())
                    try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 4)
                    try initialize(channel)
                }
            }
        switch address {
        case .tcp(let host, let port):
            bootstrap = bootstrap
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                // Sockets that are accepted have it from the one that listens.
                .serverChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            let channel = try await bootstrap.bind(host: host, port: port).get()
            return Listener(name: name, port: channel.localAddress?.port, channel: channel, socketFile: nil)
        case .unix(let path):
            try UnixSocketFile.prepare(path)
            let channel = try await bootstrap.bind(unixDomainSocketPath: path).get()
            return Listener(name: name, port: nil, channel: channel, socketFile: UnixSocketFile(bound: path))
        }
    }

    /// Lets those in who have connected meanwhile, and who come from now on.
    package func accept() async throws {
        try await channel.setOption(.autoRead, value: true).get()
        channel.read()
    }

    /// Accepts no more connections; those that are open stay. Removes the socket file.
    package func close() async {
        // Before the close, that is while nobody else can have bound the path.
        socketFile?.remove()
        try? await channel.close().get()
    }
}
