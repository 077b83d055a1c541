import NIOCore

/// Lets TLS handshakes through one at a time, with a look at everybody else's sockets between two.
///
/// A handshake costs as much as hundreds of messages. A fleet that comes back at once would keep its loop busy for
/// seconds; so its handshakes queue, and those who are connected wait for one of them at most. Owned by one loop.
final class HandshakeTurnstile {
    private let eventLoop: any EventLoop
    fileprivate let halfOpen: HalfOpenConnections
    private var waiting: [HandshakeGate] = []
    private var next = 0
    private var isScheduled = false

    /// Long enough for the event loop to look at its sockets first: a task that is due at once would run before them.
    private static let pause = TimeAmount.microseconds(20)

    init(eventLoop: any EventLoop, halfOpen: HalfOpenConnections) {
        self.eventLoop = eventLoop
        self.halfOpen = halfOpen
    }

    /// - Returns: `true`: it may go on now.
    fileprivate func enter(_ gate: HandshakeGate) -> Bool {
        // The first of a turn goes at once, if nobody waits: a single client pays nothing.
        if !isScheduled {
            schedule()
            return true
        }
        waiting.append(gate)
        return false
    }

    private func schedule() {
        isScheduled = true
        eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.pause) { [self] in
            isScheduled = false
            while next < waiting.count {
                let gate = waiting[next]
                next += 1
                guard gate.open() else { continue }  // it has gone meanwhile
                break
            }
            if next == waiting.count {
                waiting.removeAll(keepingCapacity: waiting.count <= 1024)
                next = 0
            } else {
                schedule()
            }
        }
    }
}

/// Keeps the first bytes of a connection until its handshake's turn has come, and goes.
final class HandshakeGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    /// Of 64 KiB at most, and 512 bytes mostly.
    private static let maxHeldReads = 64

    private let turnstile: HandshakeTurnstile
    private var held: [NIOAny] = []
    private var isWaiting = false
    private var context: ChannelHandlerContext?

    init(turnstile: HandshakeTurnstile) { self.turnstile = turnstile }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) {
        waitsNoMore()
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isWaiting else {
            held.append(data)
            // A ClientHello comes in one or two reads. Whoever sends more before it is answered can't fill memory.
            if held.count > Self.maxHeldReads { context.close(promise: nil) }
            return
        }
        if turnstile.enter(self) {
            context.fireChannelRead(data)
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        } else {
            isWaiting = true
            turnstile.halfOpen.handshakeWaits()
            held.append(data)
        }
    }

    private func waitsNoMore() {
        guard isWaiting else { return }
        isWaiting = false
        turnstile.halfOpen.handshakeWaitsNoMore()
    }

    func channelInactive(context: ChannelHandlerContext) {
        waitsNoMore()
        held = []
        context.fireChannelInactive()
    }

    /// - Returns: `false`: the connection is no more.
    fileprivate func open() -> Bool {
        guard let context, context.channel.isActive, !held.isEmpty else { return false }
        let bytes = held
        held = []
        for data in bytes { context.fireChannelRead(data) }
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
        return true
    }
}
