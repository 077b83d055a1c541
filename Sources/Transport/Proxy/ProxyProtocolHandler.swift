import NIOCore

/// First in the pipeline of a listener behind a proxy: reads one header, tells who the client is, and goes.
///
/// Exactly one: a second header is the next protocol's business, which takes it for the nonsense that it is.
package final class ProxyProtocolHandler: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer

    private let options: ProxyOptions
    private let peer: PeerAddress
    private let refused: (ProxyRefusal) -> Void
    private let identified: (any Channel, ProxyHeader) throws -> Void
    private var unread = ByteBuffer()
    private var deadline: Scheduled<Void>?
    private var isDone = false

    /// Adds the handler at the end of a channel's pipeline, on the channel's loop, before anything else that reads.
    ///
    /// - Parameters:
    ///   - refused: Called at most once, for counting and the log. The connection is closed without a word.
    ///   - identified: Adds the handlers that come next. They get `channelActive`, then what follows the header. Throwing closes the
    ///     channel.
    package static func install(
        on channel: any Channel, options: ProxyOptions, refused: @escaping (ProxyRefusal) -> Void = { _ in },
        identified: @escaping (any Channel, ProxyHeader) throws -> Void
    ) throws {
        try channel.pipeline.syncOperations.addHandler(
            ProxyProtocolHandler(
                options: options, peer: PeerAddress(of: channel), refused: refused, identified: identified))
    }

    /// - Parameter peer: Who is at the other end of the socket.
    init(
        options: ProxyOptions, peer: PeerAddress, refused: @escaping (ProxyRefusal) -> Void,
        identified: @escaping (any Channel, ProxyHeader) throws -> Void
    ) {
        self.options = options
        self.peer = peer
        self.refused = refused
        self.identified = identified
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { began(context) }
    }

    /// The handlers that come next are told when they are there.
    package func channelActive(context: ChannelHandlerContext) { began(context) }

    private func began(_ context: ChannelHandlerContext) {
        // A health check that has hung up before it was accepted is nobody who was refused.
        guard peer != .unknown else { return context.close(promise: nil) }
        guard options.trusted.trusts(peer) else { return refuse(.untrustedPeer, context) }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: .seconds(Int64(options.timeoutSeconds))) {
            let (handler, context) = bound.value
            handler.refuse(.timeout, context)
        }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return }
        var bytes = unwrapInboundIn(data)
        if unread.readableBytes == 0 { unread = bytes } else { unread.writeBuffer(&bytes) }
        let parsed = unread.withUnsafeReadableBytes {
            ProxyHeader.parse($0, accepting: options.versions, maxBytes: options.maxHeaderBytes)
        }
        switch parsed {
        case .needMore: break
        case .malformed(let why): refuse(.malformed(why), context)
        case .header(let header, let byteCount):
            guard !options.requiresTLS || header.tls != nil else { return refuse(.withoutTLS, context) }
            unread.moveReaderIndex(forwardBy: byteCount)
            pass(header, context)
        }
    }

    private func pass(_ header: ProxyHeader, _ context: ChannelHandlerContext) {
        end()
        do {
            try identified(context.channel, header)
        } catch {
            return context.close(promise: nil)
        }
        context.fireChannelActive()
        if unread.readableBytes > 0, context.channel.isActive { context.fireChannelRead(wrapInboundOut(unread)) }
        unread = ByteBuffer()
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    private func refuse(_ why: ProxyRefusal, _ context: ChannelHandlerContext) {
        guard !isDone else { return }
        end()
        unread = ByteBuffer()
        refused(why)
        context.close(promise: nil)
    }

    private func end() {
        isDone = true
        deadline?.cancel()
        deadline = nil
    }

    package func handlerRemoved(context: ChannelHandlerContext) { end() }

    package func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }
}
