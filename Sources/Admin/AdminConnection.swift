import NIOCore
import NIOHTTP1

/// One HTTP connection: hands requests to `AdminPages` one after another and ends whoever is slow.
///
/// The pipelining handler in front lets a second request through only after the first one's answer, so there is at most one.
final class AdminConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// For a request to arrive and its answer to leave, and for the pause between two.
    static let patience = TimeAmount.seconds(10)
    /// For the broker to answer; less than `patience`, so that the client is told.
    static let brokerPatience = TimeAmount.seconds(5)
    static let maxHeadBytes = 8_192

    private let pages: AdminPages
    private let limit: RequestLimit
    private var head: HTTPRequestHead?
    /// Counts requests, so that an answer that comes too late finds its request gone.
    private var serial = 0
    private var isAnswered = true
    private var deadline: Scheduled<Void>?
    private var overdue: Scheduled<Void>?

    init(pages: AdminPages, limit: RequestLimit) {
        self.pages = pages
        self.limit = limit
    }

    func channelActive(context: ChannelHandlerContext) {
        restartDeadline(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        overdue?.cancel()
        isAnswered = true
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            limit.headArrived()
        case .body:
            break
        case .end:
            guard let head else { return }
            self.head = nil
            received(head, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func received(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        serial += 1
        isAnswered = false
        let size = head.headers.reduce(head.uri.utf8.count) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 }
        guard size <= Self.maxHeadBytes else {
            return answer(
                AdminResponse(.requestHeaderFieldsTooLarge, "request head too large\n"), to: head, serial: serial, context, mayStay: false)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        let serial = serial
        let pages = pages
        Task {
            let response = await pages.response(method: head.method, target: head.uri)
            loop.execute {
                let (connection, context) = bound.value
                connection.answer(response, to: head, serial: serial, context, mayStay: true)
            }
        }
        overdue = loop.scheduleTask(in: Self.brokerPatience) {
            let (connection, context) = bound.value
            connection.answer(AdminPages.overdue, to: head, serial: serial, context, mayStay: false)
        }
    }

    private func answer(_ response: AdminResponse, to head: HTTPRequestHead, serial: Int, _ context: ChannelHandlerContext, mayStay: Bool) {
        guard serial == self.serial, !isAnswered else { return }
        isAnswered = true
        overdue?.cancel()
        let stays = mayStay && head.isKeepAlive
        var headers = response.headers
        if !stays {
            headers.add(name: "Connection", value: "close")
        } else if head.version == .http1_0 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: response.status, headers: headers))), promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(string: response.body)))), promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        written.futureResult.whenComplete { result in
            let (connection, context) = bound.value
            guard stays, case .success = result else { return context.close(promise: nil) }
            connection.restartDeadline(context)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }

    private func restartDeadline(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: Self.patience) { bound.value.close(promise: nil) }
    }
}
