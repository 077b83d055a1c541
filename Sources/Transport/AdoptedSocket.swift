import NIOCore
import NIOPosix

/// Makes a channel on `loop` from a connected descriptor that came from another loop.
package enum AdoptedSocket {
    /// Takes the descriptor over: NIO closes it when the channel can't be set up. Closing it once more could hit another
    /// connection that has the number by then.
    package static func open(
        descriptor: CInt, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        let opened: EventLoopFuture<any Channel> = ClientBootstrap(group: loop)
            .channelOption(.recvAllocator, value: ReceiveAllocator())
            .channelOption(.maxMessagesPerRead, value: 4)
            .channelInitializer { channel in channel.eventLoop.makeCompletedFuture { try initialize(channel) } }
            .withConnectedSocket(descriptor)
        return opened
    }
}
