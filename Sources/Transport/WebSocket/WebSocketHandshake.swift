import NIOCore
import NIOHTTP1
import NIOWebSocket

/// The opening handshake of a WebSocket connection: one HTTP request, one answer, and then the HTTP handlers go and MQTT's come.
///
/// NIO's decoder and encoder do HTTP, NIO's upgrader computes Sec-WebSocket-Accept; frames are the business of `WebSocketCodec`, in the
/// handler that comes next (docs/adr/0015). A request that is no upgrade gets its answer and the end of the connection.
package final class WebSocketHandshake: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = HTTPServerRequestPart
    package typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case awaitingHead
        case awaitingEnd(UpgradeRequest)
        case upgrading
        /// Answered with a refusal; waits for the peer to close.
        case refused
        case done
    }

    /// How long a client that was refused has to read why.
    private static let lingering = TimeAmount.seconds(2)
    private static let maxHeaderFields = 100
    private static let upgrader = NIOWebSocketServerUpgrader(
        shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture(HTTPHeaders()) },
        upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() })

    private let options: WebSocketOptions
    private let peer: PeerAddress
    private let refused: (WebSocketRefusal) -> Void
    private let upgraded: (any Channel, WebSocketFacts) throws -> Void
    private let decoder: ByteToMessageHandler<HTTPRequestDecoder>
    private let encoder = HTTPResponseEncoder()
    private var gate: RequestHeadGate?
    private var state = State.awaitingHead
    private var context: ChannelHandlerContext?
    private var deadline: Scheduled<Void>?

    /// Adds the handshake at the end of a channel's pipeline. To be called on the channel's loop, before the channel is active or after.
    ///
    /// - Parameters:
    ///   - peer: Who is at the other end as the PROXY protocol tells; `nil`: as the socket tells.
    ///   - refused: Called at most once, for counting. The connection is closed without further ado.
    ///   - upgraded: Adds the handlers that come next. They get `channelActive`, then everything behind the request, as bytes. The
    ///     answer has been written by then. Throwing closes the channel.
    package static func install(
        on channel: any Channel, peer: PeerAddress? = nil, options: WebSocketOptions,
        refused: @escaping (WebSocketRefusal) -> Void = { _ in },
        upgraded: @escaping (any Channel, WebSocketFacts) throws -> Void
    ) throws {
        let handshake = WebSocketHandshake(
            options: options, peer: peer ?? PeerAddress(of: channel), refused: refused, upgraded: upgraded)
        let gate = RequestHeadGate(maxBytes: options.maxRequestBytes, handshake: handshake)
        handshake.gate = gate
        try channel.pipeline.syncOperations.addHandlers([gate, handshake.encoder, handshake.decoder, handshake])
    }

    private init(
        options: WebSocketOptions, peer: PeerAddress, refused: @escaping (WebSocketRefusal) -> Void,
        upgraded: @escaping (any Channel, WebSocketFacts) throws -> Void
    ) {
        self.options = options
        self.peer = peer
        self.refused = refused
        self.upgraded = upgraded
        var limits = NIOHTTPDecoderLimitConfiguration()
        // Without these it would take 2 MiB of headers.
        limits.maxHeaderFieldSize = options.maxRequestBytes
        limits.maxHeaderListSize = options.maxRequestBytes
        limits.maxHeaderFieldCount = Self.maxHeaderFields
        // Behind the gate there is nothing that could be left over.
        decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .fireError, limitConfiguration: limits))
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: .seconds(Int64(options.timeoutSeconds))) { bound.value.refuse(.timeout) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { ended() }

    /// The connection, or the handshake's part of it.
    func ended() {
        state = .done
        deadline?.cancel()
        deadline = nil
        context = nil
        gate?.discard()
        gate = nil
    }

    // MARK: The request

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (_, .refused), (_, .done): break
        case (.head(let head), .awaitingHead):
            switch UpgradeRequest.check(head, peer: peer, options: options) {
            case .upgrade(let request): state = .awaitingEnd(request)
            case .refuse(let why): refuse(why)
            }
        case (.end(nil), .awaitingEnd(let request)):
            // The decoder may see an end where the gate, stricter, sees none.
            guard gate?.isAtEnd == true else { return refuse(.malformedRequest) }
            answer(request, context)
        default: refuse(.requestBody)
        }
    }

    func received(_ event: RequestHeadGate.Event) {
        switch (event, state) {
        case (.tooLarge, _): refuse(.requestTooLarge)
        // The decoder has had all that it will get.
        case (.headEnded, .awaitingHead): refuse(.malformedRequest)
        case (.headEnded, .awaitingEnd): refuse(.requestBody)
        case (.headEnded, _): break
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .done = state { return context.fireErrorCaught(error) }
        switch error {
        case HTTPParserError.headerOverflow: refuse(.requestTooLarge)
        case is HTTPParserError, is NIOHTTPDecoderError: refuse(.malformedRequest)
        default: context.close(promise: nil)
        }
    }

    // MARK: The answer

    private func answer(_ request: UpgradeRequest, _ context: ChannelHandlerContext) {
        state = .upgrading
        Self.upgrader.buildUpgradeResponse(channel: context.channel, upgradeRequest: request.head, initialResponseHeaders: HTTPHeaders())
            .assumeIsolated()
            .whenComplete { [self] result in
                guard case .upgrading = state, let context = self.context else { return }
                guard case .success(var headers) = result else { return refuse(.key) }
                headers.replaceOrAdd(name: "Sec-WebSocket-Protocol", value: request.facts.subprotocol)
                let head = HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: headers)
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                // What comes next writes past NIO's queue: so not before this is gone.
                context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenSuccess { [self] in removeHTTP(request.facts) }
            }
    }

    private func removeHTTP(_ facts: WebSocketFacts) {
        guard case .upgrading = state, let context else { return }
        let pipeline = context.pipeline.syncOperations
        // The decoder is at work just now, further up the stack, and goes when it is done.
        pipeline.removeHandler(decoder).assumeIsolated().whenComplete { [self] _ in
            guard case .upgrading = state, let context = self.context else { return }
            context.pipeline.syncOperations.removeHandler(encoder, promise: nil)
            finish(facts, context)
        }
    }

    private func finish(_ facts: WebSocketFacts, _ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        guard let gate, let entrance = try? pipeline.context(handler: gate) else { return }
        self.gate = nil
        state = .done
        do {
            try upgraded(context.channel, facts)
        } catch {
            return context.close(promise: nil)
        }
        pipeline.removeHandler(context: context, promise: nil)
        gate.open(entrance)
    }

    private func refuse(_ why: WebSocketRefusal) {
        switch state {
        case .refused, .done: return
        case .upgrading:
            // An answer is on its way, and no other can follow it.
            state = .refused
            refused(why)
            context?.close(promise: nil)
            return
        default: break
        }
        state = .refused
        refused(why)
        deadline?.cancel()
        gate?.discard()
        guard let context else { return }
        guard let answer = why.answer else { return context.close(promise: nil) }
        let text = answer.text + "\n"
        let headers = HTTPHeaders(
            answer.headers + [
                ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "\(text.utf8.count)"), ("Connection", "close"),
                ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
            ])
        context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        let written = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        // Closing at once would reset the connection if the peer has sent more, and the reset would eat the answer.
        written.futureResult.whenComplete { _ in bound.value.close(mode: .output, promise: nil) }
        deadline = context.eventLoop.scheduleTask(in: Self.lingering) { bound.value.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }
}
