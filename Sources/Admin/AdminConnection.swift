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
    /// The same for a plugin, which may watch something for a minute before it tells.
    static let pluginPatience = TimeAmount.seconds(65)
    static let maxHeadBytes = 8_192

    private let pages: AdminPages
    private let limit: RequestLimit
    private var head: HTTPRequestHead?
    /// Of a request to a plugin; `nil`: nobody wants it.
    private var body: [UInt8]?
    /// Counts requests, so that an answer that comes too late finds its request gone.
    private var serial = 0
    private var isAnswered = true
    private var deadline: Scheduled<Void>?
    private var overdue: Scheduled<Void>?
    private var answering: Task<Void, Never>?

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
        answering?.cancel()
        isAnswered = true
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = AdminRequest.isForPlugin(head.uri) ? [] : nil
            limit.headArrived()
            // Said at once: nobody has to send it in vain.
            if body != nil, let length = head.headers.first(name: "Content-Length"), Int(length) ?? .max > PluginPages.maxBodyBytes {
                refuseBody(of: head, context)
            }
        case .body(let part):
            guard let head, body != nil else { break }
            body?.append(contentsOf: part.readableBytesView)
            if body?.count ?? 0 > PluginPages.maxBodyBytes { refuseBody(of: head, context) }
        case .end:
            guard let head else { return }
            self.head = nil
            received(head, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func refuseBody(of head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        self.head = nil
        body = nil
        serial += 1
        isAnswered = false
        answer(PluginPages.tooLarge, to: head, serial: serial, context, mayStay: false)
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
        let request = AdminRequest(
            method: head.method, target: head.uri, headers: head.headers, body: body ?? [],
            isFromHere: AdminRequest.isFromHere(remote: context.remoteAddress, local: context.localAddress))
        let (isForPlugin, patience) = body == nil ? (false, Self.brokerPatience) : (true, Self.pluginPatience)
        body = nil
        if isForPlugin { restartDeadline(context, patience: patience + Self.patience) }
        answering = Task {
            let response = await pages.response(to: request)
            loop.execute {
                let (connection, context) = bound.value
                connection.answer(response, to: head, serial: serial, context, mayStay: true)
            }
        }
        overdue = loop.scheduleTask(in: patience) {
            let (connection, context) = bound.value
            connection.answer(isForPlugin ? PluginPages.overdue : AdminPages.overdue, to: head, serial: serial, context, mayStay: false)
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

    private func restartDeadline(_ context: ChannelHandlerContext, patience: TimeAmount = AdminConnection.patience) {
        deadline?.cancel()
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: patience) { bound.value.close(promise: nil) }
    }
}
