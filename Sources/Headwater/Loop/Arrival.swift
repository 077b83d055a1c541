import Logging
import MQTTModel
import NIOCore
import Security
import TLS
import Synchronization
import Transport

/// The way of one accepted socket to a connection of its loop: PROXY header, TLS handshake, WebSocket upgrade, as its listener
/// has them, each in its time.
///
/// Owned by the loop, and by the handlers that it puts into the channel's pipeline: gone when those are.
final class Arrival {
    private unowned let loop: BrokerLoop
    private let channel: any Channel
    private let listener: ListenerProfile
    private let security: ListenerSecurity
    private var peer: PeerFacts
    private var halfOpen: HalfOpenPlace?
    private var tls: TLSHandler?
    private var applicationProtocol: String?
    private var handshakeTimeout: Scheduled<Void>?
    private var isHandshaking = false
    /// Bytes of its handshake wait for their turn.
    private var isWaiting = false

    init(_ channel: any Channel, on loop: BrokerLoop, listener: ListenerProfile) {
        self.loop = loop
        self.channel = channel
        self.listener = listener
        security = loop.security[listener.index]
        peer = PeerFacts(PeerAddress(of: channel))
    }

    private var pipeline: ChannelPipeline.SynchronousOperations { channel.pipeline.syncOperations }
    private var configuration: ListenerConfiguration { listener.configuration }

    /// - Throws: The channel is to be closed: its address is banned, or has as many connections without CONNACK as it may.
    func begin() throws {
        guard let options = security.proxyProtocol else {
            try takePlace()
            return try secure()
        }
        // The address that counts is in the proxy's header.
        try ProxyProtocolHandler.install(
            on: channel, options: options,
            refused: { [self] why in
                loop.counters.statistics.proxyFailures += 1
                loop.turnedAway(peer.address, listener: listener, why: "PROXY protocol: \(why.name)")
            },
            identified: { [self] _, header in
                if let source = header.source { peer = PeerFacts(source) }
                peer.proxied = header.tls
                peer.proxiedServerName = header.authority
                try takePlace()
                try secure()
            })
    }

    private func takePlace() throws {
        guard let place = loop.halfOpen.enter(peer.source.ip) else {
            throw turnAway("its address has as many connections without CONNACK as it may")
        }
        if loop.loginGuard.isBanned(LoginAddress(peer: peer.address), now: Int64(MessageClock.now.monotonicMilliseconds)) {
            throw turnAway("its address is banned after failed logins")
        }
        halfOpen = place
    }

    private func turnAway(_ why: String) -> TurnedAway {
        loop.totals.turnedAway.add(1, ordering: .relaxed)
        loop.turnedAway(peer.address, listener: listener, why: why)
        return TurnedAway()
    }

    private struct TurnedAway: Error {}

    // MARK: TLS

    private func secure() throws {
        guard let context = security.tls else { return try upgrade() }
        guard let engine = context.makeEngine() else { throw turnAway("no memory for TLS") }
        let handler = TLSHandler(engine: engine, scratch: loop.tlsScratch, observer: self)
        tls = handler
        isHandshaking = true
        loop.halfOpen.handshakeBegan()
        let seconds = configuration.tls?.handshakeTimeoutSeconds ?? 10
        handshakeTimeout = channel.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .seconds(Int64(seconds))) { [self] in
            handshakeFailed("timeout", "no complete handshake within \(seconds) s")
            channel.close(promise: nil)
        }
        try pipeline.addHandler(handler)
    }

    private func waitsNoMore() {
        guard isWaiting else { return }
        isWaiting = false
        loop.halfOpen.handshakeWaitsNoMore()
    }

    private func endHandshake() {
        handshakeTimeout?.cancel()
        handshakeTimeout = nil
        waitsNoMore()
        guard isHandshaking else { return }
        isHandshaking = false
        loop.halfOpen.handshakeEnded()
    }

    private func handshakeCompleted(_ identity: PeerIdentity) throws {
        endHandshake()
        applicationProtocol = identity.applicationProtocol
        loop.counters.statistics.handshakes.completed += 1
        if identity.isResumed { loop.counters.statistics.handshakes.resumed += 1 }
        try upgrade()
    }

    private func handshakeFailed(_ reason: String, _ why: String) {
        guard isHandshaking else { return }
        endHandshake()
        loop.counters.statistics.handshakes.failed[reason, default: 0] += 1
        loop.turnedAway(peer.address, listener: listener, why: "TLS handshake: \(why)")
    }

    // MARK: WebSocket

    private func upgrade() throws {
        switch (configuration.wireProtocol, applicationProtocol) {
        case (.mqtt, _), (.any, "mqtt"), (.any, "x-amzn-mqtt-ca"): try attach(webSocket: nil)
        case (.webSocket, _), (.any, "http/1.1"): try awaitUpgrade()
        case (.any, _):
            // CONNECT begins with 0x10, an HTTP request with a letter.
            try pipeline.addHandler(FirstByteHandler { [self] byte in
                if byte >= UInt8(ascii: "A"), byte <= UInt8(ascii: "Z") { try awaitUpgrade() } else { try attach(webSocket: nil) }
            })
        }
    }

    private func awaitUpgrade() throws {
        try WebSocketHandshake.install(
            on: channel, peer: peer.source, options: security.webSocket,
            refused: { [self] why in
                loop.counters.statistics.webSocketFailures += 1
                loop.turnedAway(peer.address, listener: listener, why: "WebSocket: \(why.rawValue)")
            },
            upgraded: { [self] _, facts in
                if let address = facts.forwardedAddress {
                    let proxied = peer.proxied
                    peer = PeerFacts(.ip(address, port: nil))
                    peer.proxied = proxied
                }
                try attach(webSocket: WebSocketCodec(maxFrameBytes: max(1 << 20, 4 * loop.maxPacketBytes)))
            })
    }

    // MARK: The connection

    private func attach(webSocket: WebSocketCodec?) throws {
        let wire = tls == nil && webSocket == nil ? nil : Wire(tls: tls, webSocket: webSocket)
        let connection = ConnectionHandler(loop: loop, listener: listener, peer: peer, wire: wire)
        connection.halfOpen = halfOpen
        halfOpen = nil
        try pipeline.addHandler(connection)
    }
}

extension Arrival: HandshakeTurnTaker {
    func continueHandshake() -> Bool {
        waitsNoMore()
        return tls?.continueHandshake() ?? false
    }

    func beginStep() -> HandshakeStep? {
        guard let step = tls?.beginStep() else {
            waitsNoMore()
            return nil
        }
        loop.counters.statistics.handshakes.stepsOnThreads += 1
        return step
    }

    func endStep(_ step: HandshakeStep) {
        waitsNoMore()
        tls?.endStep(step)
    }
}

extension Arrival: TLSHandshakeObserver {
    func mayContinueHandshake() -> Bool {
        if loop.turnstile.enter(self) { return true }
        isWaiting = true
        loop.halfOpen.handshakeWaits()
        return false
    }

    func handshakeEnded(_ event: TLSEvent) {
        switch event {
        case .handshakeCompleted(let identity):
            do {
                try handshakeCompleted(identity)
            } catch {
                channel.close(promise: nil)
            }
        case .handshakeFailed(let error), .failed(let error):
            handshakeFailed(error.reason.rawValue, error.description)
        }
    }
}

/// Waits for a first byte, and goes.
private final class FirstByteHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    private var decide: ((UInt8) throws -> Void)?

    init(_ decide: @escaping (UInt8) throws -> Void) { self.decide = decide }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        guard let decide, let byte = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) else { return context.fireChannelRead(data) }
        self.decide = nil
        do {
            try decide(byte)
        } catch {
            return context.close(promise: nil)
        }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
