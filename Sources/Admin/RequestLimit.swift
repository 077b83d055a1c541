import NIOCore

/// Ends a connection that sends and sends without a request coming of it: an endless header, an endless body.
///
/// Stands before the HTTP decoder, counts bytes, and starts anew with every request head. Requests sent in one go are no
/// fault, and no more of them are read than one read brings while an answer is due.
final class RequestLimit: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    static let maxBytes = 16_384
    private var bytesSinceHead = 0

    /// A request head has been read whole.
    func headArrived() { bytesSinceHead = 0 }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytesSinceHead += unwrapInboundIn(data).readableBytes
        context.fireChannelRead(data)
        if bytesSinceHead > Self.maxBytes { context.close(promise: nil) }
    }
}
