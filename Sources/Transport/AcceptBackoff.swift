import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Stops accepting for a moment when the system has no descriptor or memory for one more connection, or when the broker has
/// enough to do with those that it has accepted.
///
/// The connections that wait stay in the kernel's queue, so the listener is readable all the time: without the pause its
/// event loop would do nothing but fail, and those who are connected would wait.
final class AcceptBackoff: ChannelDuplexHandler {
    typealias InboundIn = Channel
    typealias OutboundIn = Channel

    static let pause = TimeAmount.milliseconds(200)
    /// While the broker is busy: short, as those who wait in the kernel's queue are let in when it is not.
    static let busyPause = TimeAmount.milliseconds(2)
    private var resumption: Scheduled<Void>?
    private let mayAccept: @Sendable () -> Bool

    init(mayAccept: @escaping @Sendable () -> Bool = { true }) { self.mayAccept = mayAccept }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode), resumption == nil {
            resume(in: Self.pause, context)
        }
        context.fireErrorCaught(error)
    }

    func read(context: ChannelHandlerContext) {
        guard resumption == nil else { return }
        if mayAccept() { context.read() } else { resume(in: Self.busyPause, context) }
    }

    private func resume(in pause: TimeAmount, _ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        resumption = context.eventLoop.scheduleTask(in: pause) {
            let (handler, context) = bound.value
            handler.resumption = nil
            handler.read(context: context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        resumption?.cancel()
        resumption = nil
    }
}
