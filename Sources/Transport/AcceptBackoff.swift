import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Stops accepting for a moment when the system has no descriptor or memory for one more connection.
///
/// The connections that wait stay in the kernel's queue, so the listener is readable all the time: without the pause its
/// event loop would do nothing but fail, and those who are connected would wait.
final class AcceptBackoff: ChannelDuplexHandler {
    typealias InboundIn = Channel
    typealias OutboundIn = Channel

    static let pause = TimeAmount.milliseconds(200)
    private var resumption: Scheduled<Void>?

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode), resumption == nil {
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            resumption = context.eventLoop.scheduleTask(in: Self.pause) {
                let (handler, context) = bound.value
                handler.resumption = nil
                context.read()
            }
        }
        context.fireErrorCaught(error)
    }

    func read(context: ChannelHandlerContext) {
        if resumption == nil { context.read() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        resumption?.cancel()
        resumption = nil
    }
}
