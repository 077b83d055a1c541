import NIOCore
import NIOPosix

/// Makes a channel on `loop` from a connected descriptor that came from another loop.
package enum AdoptedSocket {
    /// Takes the descriptor over: it is closed if no channel can be made. To be called on `loop`.
    package static func open(
        descriptor: CInt, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        // Once there is a channel, NIO closes the descriptor; closing it here too might hit a stranger's.
        let isOwned = NIOLoopBoundBox(false, eventLoop: loop)
        let opened: EventLoopFuture<any Channel> = ClientBootstrap(group: loop)
            .channelOption(.recvAllocator, value: ReceiveAllocator())
            .channelOption(.maxMessagesPerRead, value: 4)
            .channelInitializer { channel in
                isOwned.value = true
                return channel.eventLoop.makeCompletedFuture { try initialize(channel) }
            }
            .withConnectedSocket(descriptor)
        opened.whenFailure { _ in if !isOwned.value { DirectSocket.close(descriptor) } }
        return opened
    }
}
