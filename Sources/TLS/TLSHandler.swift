import NIOCore

/// What happens to the TLS of a channel, as a user inbound event.
package enum TLSEvent: Sendable {
    /// Before the first plaintext is read.
    case handshakeCompleted(PeerIdentity)
    /// The channel closes by itself.
    case handshakeFailed(TLSError)
    /// After the handshake: what came can't be decrypted, or breaks the protocol. The channel closes by itself.
    case failed(TLSError)
}

/// Follows the handshake of one channel, in place of `TLSEvent`s: without a handler of its own, which each connection would have to
/// add and remove.
package protocol TLSHandshakeObserver: AnyObject {
    /// Bytes of the handshake are here. `false`: they wait for `TLSHandler.continueHandshake`, or `beginStep`.
    func mayContinueHandshake() -> Bool
    func handshakeEnded(_ event: TLSEvent)
}

/// Drives a `TLSEngine` on a channel.
///
/// Handlers above see plaintext. One that writes to the socket itself, past NIO, seals with `seal` and must not do so while
/// `hasBytesInChannel`; what the socket doesn't take goes through `writeSealed`.
package final class TLSHandler: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// `nil` after `detach`, and while a `HandshakeStep` has it.
    @exclusivity(unchecked) package private(set) var engine: TLSEngine?
    /// A `HandshakeStep` has the engine.
    @exclusivity(unchecked) private var isAway = false
    private let scratch: TLSScratch
    @exclusivity(unchecked) private var context: ChannelHandlerContext?
    @exclusivity(unchecked) private var bytesInChannel = 0
    /// Written by the handlers above before the handshake was complete.
    @exclusivity(unchecked) private var early: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    @exclusivity(unchecked) private var hasReportedFailure = false
    /// Until the handshake has ended.
    @exclusivity(unchecked) private var observer: (any TLSHandshakeObserver)?
    /// What has come of the handshake and waits for its turn; `nil` after the handshake.
    @exclusivity(unchecked) private var held: [ByteBuffer]?

    /// Reads that wait: a flight comes in one or two. Whoever sends more before it is answered can't fill memory.
    private static let maxHeldReads = 64
    /// The peer has this long to read an alert before the channel closes.
    private static let alertLingering = TimeAmount.seconds(1)

    /// - Parameters:
    ///   - engine: New, or one that another loop has detached. The handler is its only user.
    ///   - scratch: The event loop's. `nil`: one of its own.
    ///   - observer: Held until the handshake has ended.
    package init(engine: TLSEngine, scratch: TLSScratch? = nil, observer: (any TLSHandshakeObserver)? = nil) {
        self.engine = engine
        self.observer = observer
        held = observer == nil ? nil : []
        self.scratch = scratch ?? TLSScratch()
    }

    /// NIO holds bytes that the socket has not taken.
    package var hasBytesInChannel: Bool { bytesInChannel > 0 }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { began(context) }
    }

    package func channelActive(context: ChannelHandlerContext) {
        began(context)
        context.fireChannelActive()
    }

    private func began(_ context: ChannelHandlerContext) {
        guard let engine, engine.phase == .handshaking else { return }
        engine.start()
        sendOutput(context)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let ciphertext = unwrapInboundIn(data)
        if held != nil, mustWait(ciphertext, context) { return }
        received(ciphertext, context)
    }

    /// - Returns: `true`: the bytes are kept.
    private func mustWait(_ ciphertext: ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        if !isAway, held?.isEmpty == true, observer?.mayContinueHandshake() != false { return false }
        held?.append(ciphertext)
        if held?.count ?? 0 > Self.maxHeldReads { context.close(promise: nil) }
        return true
    }

    /// The turn of a handshake that was kept waiting has come.
    /// - Returns: `false`: the connection is no more.
    package func continueHandshake() -> Bool {
        guard let context, context.channel.isActive, let bytes = held, !bytes.isEmpty else { return false }
        held = []
        for ciphertext in bytes { received(ciphertext, context) }
        context.fireChannelReadComplete()
        return true
    }

    /// The turn of a handshake that was kept waiting has come, on another thread. Until `endStep` nothing is done for the connection, and
    /// what comes is kept.
    /// - Returns: `nil`: the connection is no more.
    package func beginStep() -> HandshakeStep? {
        guard let context, context.channel.isActive, let engine, let bytes = held, !bytes.isEmpty else { return nil }
        held = []
        self.engine = nil
        isAway = true
        return HandshakeStep(engine, ciphertext: bytes)
    }

    /// The step has been run.
    package func endStep(_ step: HandshakeStep) {
        guard isAway else { return }
        isAway = false
        guard let context, context.channel.isActive else { return }
        engine = step.engine
        let later = held ?? []
        held = []
        follow(step.progress, step.plaintext, step.identity, step.engine, context)
        if held == nil {
            for ciphertext in later { received(ciphertext, context) }
        } else if !later.isEmpty {
            held = later
            if observer?.mayContinueHandshake() != false { _ = continueHandshake() }
        }
        context.fireChannelReadComplete()
    }

    private func received(_ ciphertext: ByteBuffer, _ context: ChannelHandlerContext) {
        guard let engine, engine.phase <= .open else { return }
        var plaintext = scratch.take()
        let progress = ciphertext.withUnsafeReadableBytes { engine.receive($0, plaintext: &plaintext) }
        follow(progress, plaintext, nil, engine, context)
        scratch.give(plaintext)
    }

    /// What has come has been decrypted.
    @inline(__always)
    private func follow(
        _ progress: TLSEngine.Progress, _ plaintext: ByteBuffer, _ identity: PeerIdentity?, _ engine: TLSEngine, _ context: ChannelHandlerContext
    ) {
        // In TLS 1.3 what a server has left to say is a session ticket. If the client's first request has come along, it goes with the answer.
        let isTicket = progress == .handshakeCompleted && engine.isServer && engine.version >= .v1_3
        if engine.hasOutput, !isTicket { sendOutput(context) }
        if progress == .handshakeCompleted { completed(identity ?? engine.peerIdentity(), engine, context) }
        if plaintext.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(plaintext)) }
        if isTicket {
            context.eventLoop.assumeIsolated().execute { [self] in if let context = self.context { sendOutput(context) } }
        }
        // After `detach` another loop has the engine.
        guard self.engine != nil, engine.phase > .open else { return }
        if let failure = engine.failure { return failed(failure, context) }
        // The peer is done: so are we.
        context.channel.close(mode: .all, promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if let engine {
            engine.connectionLost()
            if let failure = engine.failure { report(failure, engine, context) }
        }
        // Whoever closed it did not wait for the handshake.
        if observer != nil { tell(.handshakeFailed(TLSError(.closedEarly)), context) }
        held = nil
        dropEarly(ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        observer = nil
        dropEarly(ChannelError.ioOnClosedChannel)
        self.context = nil
    }

    private func completed(_ identity: PeerIdentity, _ engine: TLSEngine, _ context: ChannelHandlerContext) {
        held = nil
        tell(.handshakeCompleted(identity), context)
        let waiting = early
        early = []
        for (buffer, promise) in waiting { sealAndWrite(buffer, engine, context, promise) }
        if !waiting.isEmpty { context.flush() }
    }

    /// Tells the peer why, and gives it a moment to read that: closing at once with unread bytes would reset the connection.
    private func failed(_ error: TLSError, _ context: ChannelHandlerContext) {
        report(error, engine, context)
        dropEarly(error)
        guard error.reason != .plainText else { return context.close(promise: nil) }
        context.close(mode: .output, promise: nil)
        let channel = context.channel
        context.eventLoop.scheduleTask(in: Self.alertLingering) { channel.close(promise: nil) }
    }

    private func report(_ error: TLSError, _ engine: TLSEngine?, _ context: ChannelHandlerContext) {
        guard !hasReportedFailure else { return }
        hasReportedFailure = true
        tell(engine?.hasOpened ?? false ? .failed(error) : .handshakeFailed(error), context)
    }

    private func tell(_ event: TLSEvent, _ context: ChannelHandlerContext) {
        guard let observer else { return context.fireUserInboundEventTriggered(event) }
        self.observer = nil
        observer.handshakeEnded(event)
    }

    private func dropEarly(_ error: any Error) {
        let dropped = early
        early = []
        for (_, promise) in dropped { promise?.fail(error) }
    }

    // MARK: Writing

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let buffer = unwrapOutboundIn(data)
        if isAway { return early.append((buffer, promise)) }
        guard let engine else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        if engine.phase == .handshaking { return early.append((buffer, promise)) }
        sealAndWrite(buffer, engine, context, promise)
    }

    private func sealAndWrite(
        _ buffer: ByteBuffer, _ engine: TLSEngine, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?
    ) {
        sendOutput(context)
        var sealed = context.channel.allocator.buffer(capacity: engine.sealedCapacity(buffer.readableBytes))
        guard buffer.withUnsafeReadableBytes({ engine.seal($0, into: &sealed) }) else {
            promise?.fail(engine.failure ?? ChannelError.outputClosed)
            return
        }
        writeCounted(sealed, context, promise)
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input, let engine {
            engine.shutdown()
            sendOutput(context)
        }
        context.close(mode: mode, promise: promise)
    }

    /// What the engine has to say itself.
    private func sendOutput(_ context: ChannelHandlerContext) {
        guard let engine, engine.hasOutput else { return }
        var buffer = ByteBuffer()
        engine.takeOutput(into: &buffer)
        writeCounted(buffer, context, nil)
        context.flush()
    }

    private func writeCounted(_ buffer: ByteBuffer, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        let count = buffer.readableBytes
        bytesInChannel += count
        let written = context.eventLoop.makePromise(of: Void.self)
        if let promise { written.futureResult.cascade(to: promise) }  // it may belong to another loop
        written.futureResult.assumeIsolated().whenComplete { [self] _ in bytesInChannel -= count }
        context.write(wrapOutboundOut(buffer), promise: written)
    }

    // MARK: Past NIO

    /// Encrypts for a caller that writes to the socket itself. See `TLSEngine.seal`.
    @inline(__always)
    package func seal(_ plaintext: UnsafeRawBufferPointer, into block: UnsafeMutableRawBufferPointer) -> Int? {
        engine?.seal(plaintext, into: block)
    }

    /// Writes what was sealed already, below this handler; the caller flushes, from outside of whatever it is doing.
    package func writeSealed(_ buffer: ByteBuffer) -> EventLoopFuture<Void>? {
        guard let context else { return nil }
        let promise = context.eventLoop.makePromise(of: Void.self)
        writeCounted(buffer, context, promise)
        return promise.futureResult
    }

    /// Writes close_notify, for a caller that then ends the socket's writing itself: bytes to put behind its last.
    package func takeCloseNotify() -> ByteBuffer {
        var buffer = ByteBuffer()
        engine?.shutdown()
        engine?.takeOutput(into: &buffer)
        return buffer
    }

    /// For a connection that goes on, by its descriptor, in a handler of another event loop. This handler does nothing any more, not
    /// even say close_notify. Not while `hasBytesInChannel`: they would be lost.
    package func detach() -> DetachedTLSEngine? {
        if let context { sendOutput(context) }
        guard let engine, engine.phase == .open, !hasBytesInChannel, !engine.hasOutput else { return nil }
        self.engine = nil
        return DetachedTLSEngine(owned: engine)
    }
}
