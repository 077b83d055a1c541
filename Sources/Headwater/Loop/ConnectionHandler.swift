import MQTTModel
import MQTTSession
import MQTTWire
import NIOCore
import PluginAPI
import Transport

/// One network connection: takes bytes from its channel, gives packets to its loop, and gathers what the loop answers.
///
/// The narrow seam between I/O and broker: bytes in (`channelRead`), touched connections out (`flush`). Owned by one loop.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase: UInt8, Comparable {
        /// Nothing but CONNECT may come.
        case awaitingConnect
        /// An authenticator thinks; nothing is read.
        case authenticating
        /// Enhanced authentication before CONNACK: nothing but AUTH may come.
        case exchanging
        case connected
        /// Everything is said; waits for the peer to close, and discards what comes.
        case closing
        /// Moved to another loop or closed.
        case gone

        static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
    }

    /// What few connections have.
    final class Extras {
        @exclusivity(unchecked) var inboundAliases: InboundTopicAliases?
        @exclusivity(unchecked) var outboundAliases: OutboundTopicAliases?
        /// CONNECT and what is known of the client, while an authenticator decides.
        @exclusivity(unchecked) var connect: Connect?
        @exclusivity(unchecked) var admission: Admission?
        /// What the client was let in with, where that has to be looked up again; `nil`: nothing, or what `wire` knows.
        @exclusivity(unchecked) var credential: Credential?
        @exclusivity(unchecked) var authenticationMethod: String?
        @exclusivity(unchecked) var authenticationRounds = 0
        @exclusivity(unchecked) var isReauthenticating = false
        @exclusivity(unchecked) var transfer: ConnectionTransfer?
    }

    /// Kept by `owner`; unowned, because the hot path would count references for every packet.
    unowned(unsafe) let loop: BrokerLoop
    private let owner: BrokerLoop
    let listener: ListenerProfile
    let peer: PeerFacts
    /// `nil`: packets go to the socket as they are.
    let wire: Wire?

    @exclusivity(unchecked) var phase = Phase.awaitingConnect
    @exclusivity(unchecked) var version = ProtocolVersion.v3_1_1
    /// The session has a life of its own in the loop's tables; it is given up in `connectionEnded`. Unmanaged, because the
    /// hot path would count references for every packet.
    @exclusivity(unchecked) var sessionReference: Unmanaged<Session>?
    @exclusivity(unchecked) var client: ClientInfo?
    /// Where its figures are counted, since CONNACK; `nil`: it is of the default tenant. The loop keeps it.
    @exclusivity(unchecked) var tenant: Unmanaged<LoopTenant>?
    /// `nil`: it may publish as much as it can.
    @exclusivity(unchecked) var quota: ConnectionQuota?
    @exclusivity(unchecked) var extras: Extras?
    /// Its place among the connections without CONNACK, until it has one.
    @exclusivity(unchecked) var halfOpen: HalfOpenPlace?
    @exclusivity(unchecked) var gate = AckGate()
    /// Slot and generation in the loop's connection table.
    @exclusivity(unchecked) var slot: UInt32 = 0
    @exclusivity(unchecked) var generation: UInt32 = 0
    /// QoS 0 messages of this publisher that a plugin holds.
    @exclusivity(unchecked) var heldQoS0: Int32 = 0
    /// Bytes of all messages of this publisher that plugins hold.
    @exclusivity(unchecked) var heldBytes = 0
    /// Reasons not to read from the socket.
    @exclusivity(unchecked) var pauses: Int32 = 0
    /// The largest packet that the client takes [MQTT-3.1.2-24].
    @exclusivity(unchecked) var maxPacketBytes = Int.max
    @exclusivity(unchecked) var lastPacketMilliseconds: UInt64 = 0
    @exclusivity(unchecked) var keepAliveMilliseconds: UInt64 = 0
    /// `lastPacketMilliseconds` of the client that was too silent when its socket was to be read once more.
    @exclusivity(unchecked) var lastLookMilliseconds = UInt64.max
    @exclusivity(unchecked) var wantsProblemInformation = true
    @exclusivity(unchecked) var pausedForHolds = false
    @exclusivity(unchecked) var isTouched = false
    @exclusivity(unchecked) var isResumable = false
    /// Set while the loop must not be re-entered: the connection is closed at the end of the tick.
    @exclusivity(unchecked) var doom: DisconnectReason?

    @exclusivity(unchecked) var output = OutputBuffer()
    /// Where bytes begin that may not leave before a batch is stored, in order of both. Few: batches complete one after the other.
    @exclusivity(unchecked) private var marks: [(batch: UInt64, offset: Int)] = []
    /// The first mark's offset; `Int.max` without one.
    @exclusivity(unchecked) private var writableBytes = Int.max
    /// PUBLISH can't be taken now: it stays unread, and comes again.
    @exclusivity(unchecked) var mustComeAgain = false
    /// Bytes that NIO holds because the socket was full.
    @exclusivity(unchecked) var bytesInChannel = 0
    /// Writes that went through.
    @exclusivity(unchecked) var progress: UInt64 = 0
    /// The client sends and does not read: `pauses` counts it.
    @exclusivity(unchecked) var isPausedForOutput = false
    /// The socket takes nothing more.
    @exclusivity(unchecked) var hasFailed = false
    @exclusivity(unchecked) var unread: ByteBuffer?
    /// Bytes that `unread` needs before it is worth another look.
    @exclusivity(unchecked) private var unreadNeeded = 0
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    @exclusivity(unchecked) var descriptor: CInt = -1

    init(loop: BrokerLoop, listener: ListenerProfile, peer: PeerFacts, wire: Wire? = nil, transfer: ConnectionTransfer? = nil) {
        self.loop = loop
        owner = loop
        self.listener = listener
        self.peer = peer
        self.wire = wire
        if let transfer { withExtras { $0.transfer = transfer } }
    }

    var reference: ConnectionReference {
        ConnectionReference(loop: UInt16(loop.index), slot: slot, generation: generation)
    }

    var session: Session? {
        get { sessionReference?.takeUnretainedValue() }
        set { sessionReference = newValue.map { Unmanaged.passUnretained($0) } }
    }

    /// Identity in timers.
    var serial: UInt64 { UInt64(generation) }

    func withExtras<Result>(_ body: (Extras) -> Result) -> Result {
        if let extras { return body(extras) }
        let made = Extras()
        extras = made
        return body(made)
    }

    /// Bytes that a client may leave unread before it is read no more.
    private static let unreadAnswersLimit = 1 << 20

    /// Changes while the peer reads: tells a slow receiver from one that has stopped. Writes alone do not tell, for the
    /// system reports room in a socket only when much of it is free.
    var progressMark: UInt64 {
        progress &<< 32 | UInt64(descriptor >= 0 ? DirectSocket.bytesOnTheWay(descriptor) : 0)
    }

    /// Bytes not yet taken by the socket.
    var unsentBytes: Int { output.count &+ bytesInChannel }

    // MARK: Channel events, in the order in which they happen

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // Behind a handshake or an upgrade the channel is there long before.
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard descriptor < 0, phase == .awaitingConnect else { return }
        let handle = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
        descriptor = handle ?? -1
        loop.beginWork()
        loop.connectionBegan(self)
        if let transfer = extras?.transfer {
            extras?.transfer = nil
            if !transfer.unread.isEmpty { unread = ByteBuffer(bytes: transfer.unread) }
            loop.adopted(self, transfer)
            if canRead { readUnread() }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        loop.beginWork()
        loop.counters.statistics.bytesReceived &+= buffer.readableBytes
        if let tenant { tenant._withUnsafeGuaranteedRef { $0.figures.bytesReceived &+= buffer.readableBytes } }
        if let wire, wire.webSocket != nil {
            unframe(&buffer, wire)
            // Pings keep no MQTT connection alive [MQTT-3.1.2-24].
            guard buffer.readableBytes > 0 else { return }
        }
        lastPacketMilliseconds = loop.clock.monotonicMilliseconds
        guard phase < .closing else { return }
        if unread == nil, canRead {
            let consumed = buffer.withUnsafeReadableBytes { process($0) }
            if consumed < buffer.readableBytes, phase < .closing {
                buffer.moveReaderIndex(forwardBy: consumed)
                var rest = ByteBuffer()
                rest.reserveCapacity(max(buffer.readableBytes, min(unreadNeeded, 2 * buffer.readableBytes)))
                rest.writeBuffer(&buffer)
                unread = rest
            }
        } else {
            if unread == nil { unread = ByteBuffer() }
            unread!.writeBuffer(&buffer)  // set on the line before
            if canRead { readUnread() }
        }
        // Answers are not bounded by a queue, as messages are: a client that leaves them unread is not read either.
        if bytesInChannel > 0, unsentBytes > Self.unreadAnswersLimit, !isPausedForOutput, phase < .closing {
            isPausedForOutput = true
            pause()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        descriptor = -1
        loop.beginWork()
        // A write that failed may have closed the channel while a message is being routed: the end of the connection,
        // and with it its will, waits for the end of the tick.
        if phase < .closing { loop.doom(self, DisconnectReason(cause: .connectionLost, code: .success)) }
        loop.connectionGone(self)
        unread = nil
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    // MARK: Reading

    var canRead: Bool { pauses == 0 && phase != .authenticating && phase < .closing }

    /// Takes packets from the front of `bytes`.
    /// - Returns: How many bytes they were.
    private func process(_ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        let loop = loop
        while true {
            let limit = phase == .connected ? loop.maxPacketBytes : loop.maxConnectPacketBytes
            switch readFrame(bytes, at: offset, maxPacketBytes: limit) {
            case .frame(let frame):
                loop.received(frame, in: bytes, on: self)
                if mustComeAgain {
                    mustComeAgain = false
                    unreadNeeded = 0
                    return offset
                }
                offset = frame.end
                guard canRead else { return offset }
            case .needMore(let total):
                if phase == .awaitingConnect, offset < bytes.count, bytes[offset] >> 4 != 1 {
                    // The rest would change nothing: such as a PROXY header where none is expected, or an HTTP request.
                    loop.refuseSilently(self, "first packet is not CONNECT")
                    return bytes.count
                }
                unreadNeeded = total
                return offset
            case .malformed(let error):
                loop.malformed(error, on: self)
                return bytes.count
            }
        }
    }

    private func readUnread() {
        guard var buffer = unread, buffer.readableBytes >= unreadNeeded else { return }
        unread = nil
        unreadNeeded = 0
        let consumed = buffer.withUnsafeReadableBytes { process($0) }
        guard phase < .closing, consumed < buffer.readableBytes else { return }
        buffer.moveReaderIndex(forwardBy: consumed)
        if consumed > 0 { buffer.discardReadBytes() }
        unread = buffer
    }

    /// Bytes that wait to be read, for a connection that leaves for another loop.
    func takeUnread() -> [UInt8] {
        defer { unread = nil }
        return unread.map { Array($0.readableBytesView) } ?? []
    }

    /// Stops reading from the socket; one more reason.
    func pause() {
        pauses += 1
        if pauses == 1 {
            loop.counters.statistics.pausedPublishers += 1
            try? context?.channel.syncOptions?.setOption(.autoRead, value: false)
        }
    }

    /// One reason less. What was read already is handled at the end of the tick, never inside another packet.
    func unpause() {
        pauses -= 1
        guard pauses == 0 else { return }
        loop.counters.statistics.pausedPublishers -= 1
        loop.resumeLater(self)
    }

    /// Handles what waited, and reads on.
    func resumeReading() {
        guard phase < .closing else { return }
        if canRead, unread != nil { readUnread() }
        if canRead {
            try? context?.channel.syncOptions?.setOption(.autoRead, value: true)
            context?.read()
        }
    }

    // MARK: Writing

    @inline(__always)
    func touch() {
        if !isTouched { loop.touch(self) }
    }

    /// An answer that the client's Maximum Packet Size forbids can't be left out, or the client would wait for it: the
    /// connection ends with 0x95.
    func send(_ packet: Packet) {
        guard phase < .closing else { return }
        loop.scratch.removeAll(keepingCapacity: true)
        guard encodePacket(packet, version: version, into: &loop.scratch, maxPacketBytes: maxPacketBytes) else {
            // [MQTT-3.14.0-1] before CONNACK there is no DISCONNECT
            var cause = DisconnectReason.Cause.protocolError
            if case .connAck = packet { cause = .connectionLost }
            return loop.doom(self, DisconnectReason(cause: cause, code: .packetTooLarge))
        }
        loop.scratch.withUnsafeBytes { output.append($0, pool: loop.pool) }
        loop.counters.statistics.packetsSent &+= 1
        touch()
    }

    /// Writes what has gathered: one system call, and NIO takes over when the socket is full.
    ///
    /// Closes nothing, even if the socket fails: a message may be on its way through the loop, or the loop be flushing.
    func flush() {
        guard !output.isEmpty, bytesInChannel == 0 else { return }
        guard !hasFailed else { return dropOutput() }
        let count = min(output.count, writableBytes)
        guard count > 0 else { return }
        if let wire { return flush(count, through: wire) }
        var written = 0
        if descriptor >= 0 {
            switch output.withBytes({ DirectSocket.write(descriptor, $0.baseAddress.unsafelyUnwrapped, count: count) }) {
            case .wrote(let bytes): written = bytes
            case .wouldBlock: break
            case .failed:
                dropOutput()
                hasFailed = true
                return loop.doom(self, DisconnectReason(cause: .connectionLost, code: .success))
            }
        }
        if written > 0 { progress &+= 1 }
        loop.counters.statistics.bytesSent &+= count
        if let tenant { tenant._withUnsafeGuaranteedRef { $0.figures.bytesSent &+= count } }
        if written == count { return wrote(count) }
        writeThroughChannel(from: written, to: count)
    }

    /// The first `count` bytes of the output are gone.
    @inline(__always)
    func wrote(_ count: Int) {
        output.removeFirst(count, pool: loop.pool)
        guard !marks.isEmpty else { return }
        // A mark may stand at the very end, before anything has been written behind it.
        for index in marks.indices { marks[index].offset -= count }
        writableBytes = marks[0].offset
    }

    func dropOutput() {
        output.removeAll(pool: loop.pool)
        marks = []
        writableBytes = .max
    }

    private func writeThroughChannel(from start: Int, to end: Int) {
        guard let context else { return dropOutput() }
        var buffer = context.channel.allocator.buffer(capacity: end - start)
        output.withBytes { _ = buffer.writeBytes(UnsafeRawBufferPointer(rebasing: $0[start..<end])) }
        wrote(end)
        bytesInChannel = buffer.readableBytes
        watch(context.write(wrapOutboundOut(buffer)))
    }

    /// NIO has the rest of a write; what comes after it waits.
    func watch(_ write: EventLoopFuture<Void>) {
        write.assumeIsolated().whenComplete { [self] result in
            bytesInChannel = 0
            guard case .success = result else { return }
            progress &+= 1
            loop.beginWork()
            flush()
            if isPausedForOutput, unsentBytes <= Self.unreadAnswersLimit / 2, phase < .closing {
                isPausedForOutput = false
                unpause()
            }
            guard bytesInChannel == 0 else { return }
            if phase == .closing {
                if output.isEmpty { finishClosing() }
            } else if let session { loop.pump(session) }
        }
        // NIO closes a channel whose socket fails, at once: so not from here.
        loop.eventLoop.assumeIsolatedUnsafeUnchecked().execute { [self] in self.context?.flush() }
    }

    // MARK: What waits for the store

    /// What is written from now on leaves when `batch` is stored, with everything that it promises.
    /// - Returns: Whether the batch must tell (`stored(upTo:)`).
    func hold(until batch: UInt64) -> Bool {
        if let last = marks.last, last.batch >= batch { return false }
        if marks.isEmpty { writableBytes = output.count }
        marks.append((batch, output.count))
        return true
    }

    /// What waits for the store is not said.
    func dropHeld() {
        output.truncate(to: writableBytes)
        marks = []
        writableBytes = .max
    }

    /// All batches up to this one are stored.
    func stored(upTo batch: UInt64) {
        while let first = marks.first, first.batch <= batch { marks.removeFirst() }
        writableBytes = marks.first?.offset ?? .max
        if phase < .closing { return touch() }
        // It was to close after its last words.
        flush()
        if phase == .closing, bytesInChannel == 0, output.isEmpty { finishClosing() }
    }
}
