import NIOCore

/// Stands before the HTTP decoder and lets one request head through, up to its empty line and not a byte more.
///
/// What comes behind is kept for the handlers after the upgrade. So the decoder never sees a body, a second request or a frame, and what
/// it makes of strange headers can't shift the place where WebSocket begins. It also counts, because the decoder's limits leave out what
/// is between the headers.
final class RequestHeadGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Bytes that may come between the request and our answer: a client that does not wait for it is rude, but works.
    static let maxEarlyBytes = 262_144

    enum Event {
        /// The empty line has been passed on.
        case headEnded
        case tooLarge
    }

    private let maxBytes: Int
    /// In the same pipeline, as long as there is one.
    private weak var handshake: WebSocketHandshake?
    private var count = 0
    /// Bytes of CR LF CR LF seen last.
    private var matched = 0
    private var early: ByteBuffer?
    private var isDiscarding = false

    var isAtEnd: Bool { matched == 4 }

    init(maxBytes: Int, handshake: WebSocketHandshake) {
        self.maxBytes = maxBytes
        self.handshake = handshake
    }

    /// The handlers behind the upgrade are told when they are there.
    func channelActive(context: ChannelHandlerContext) {}

    /// Before the decoder hears of it, which would call a request that ends early malformed: a peer may leave when it likes.
    func channelInactive(context: ChannelHandlerContext) {
        handshake?.ended()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDiscarding else { return }
        var bytes = unwrapInboundIn(data)
        if isAtEnd { return keep(&bytes) }
        let head = bytes.readSlice(length: headBytes(in: bytes))
        guard count <= maxBytes else {
            handshake?.received(.tooLarge)
            return
        }
        keep(&bytes)
        if let head { context.fireChannelRead(wrapInboundOut(head)) }
        if isAtEnd { handshake?.received(.headEnded) }
    }

    /// Counts to the end of the head.
    private func headBytes(in buffer: ByteBuffer) -> Int {
        buffer.withUnsafeReadableBytes { bytes in
            var index = 0
            while index < bytes.count, matched < 4, count <= maxBytes {
                switch (bytes[index], matched) {
                case (0x0A, 1), (0x0A, 3), (0x0D, 0), (0x0D, 2): matched += 1
                case (0x0D, _): matched = 1
                default: matched = 0
                }
                index += 1
                count += 1
            }
            return index
        }
    }

    private func keep(_ bytes: inout ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        guard (early?.readableBytes ?? 0) + bytes.readableBytes <= Self.maxEarlyBytes else {
            handshake?.received(.tooLarge)
            return
        }
        if early == nil { early = ByteBuffer() }
        early!.writeBuffer(&bytes)  // set on the line before
    }

    /// From now on whatever comes is for nobody.
    func discard() {
        isDiscarding = true
        early = nil
    }

    /// Makes way: what comes next begins with `channelActive`, and with the bytes that are here.
    func open(_ context: ChannelHandlerContext) {
        context.fireChannelActive()
        if let bytes = early, context.channel.isActive {
            context.fireChannelRead(wrapInboundOut(bytes))
            context.fireChannelReadComplete()
        }
        early = nil
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }
}
