import ConfigFile
import Foundation
import MQTTModel
import MQTTWire
import NIOCore
import NIOPosix
import Synchronization
import UnixSignals

/// One connection from CONNECT to DISCONNECT. Keeps it alive, ends it on a signal or when time is over, and leaves what is
/// said on it to two closures.
struct ClientSession: Sendable {
    typealias Writer = NIOAsyncChannelOutboundWriter<Packet>

    enum Ending: Sendable {
        case finished, signal, timeIsOver
    }

    let options: ClientOptions
    let connect: Connect
    /// Sent at the end.
    let disconnect: Disconnect
    /// How long the whole session may last; `nil`: without end.
    let secondsAllowed: Double?

    private static let connectSeconds: Int64 = 30

    /// When something came last, and what CONNACK said.
    private final class Progress: Sendable {
        private let state = Mutex<(lastInbound: ContinuousClock.Instant, connAck: ConnAck?)>((.now, nil))
        func inbound() { state.withLock { $0.lastInbound = .now } }
        func connected(_ connAck: ConnAck) { state.withLock { $0.connAck = connAck } }
        var silence: Duration { state.withLock { $0.lastInbound.duration(to: .now) } }
        var connAck: ConnAck? { state.withLock { $0.connAck } }
    }

    /// - Parameters:
    ///   - work: Called after CONNACK; the session ends when it returns.
    ///   - receive: Called for each packet after CONNACK but PINGRESP and DISCONNECT; the session ends when it returns `false`.
    /// - Throws: `ClientFault`, an error of the network, or what the closures throw.
    func run(
        work: @escaping @Sendable (Writer, ConnAck) async throws -> Void,
        receive: @escaping @Sendable (Packet, Writer) async throws -> Bool
    ) async throws -> Ending {
        let channel = try await open()
        let progress = Progress()
        let (connAcks, connAckSource) = AsyncStream.makeStream(of: ConnAck.self)
        return try await channel.executeThenClose { inbound, outbound in
            try await send(.connect(connect), outbound)
            let ending = try await withThrowingTaskGroup(of: Ending.self) { group in
                defer { group.cancelAll() }
                group.addTask {
                    try await read(inbound, outbound, progress: progress, connAcks: connAckSource, receive: receive)
                    return .finished
                }
                group.addTask {
                    for await connAck in connAcks {
                        try await work(outbound, connAck)
                        return .finished
                    }
                    // The reader has failed; its error is the one to tell.
                    try await Task.sleep(for: .seconds(3_600))
                    return .finished
                }
                group.addTask { try await keepAlive(outbound, progress) }
                group.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { return .signal }
                    try await Task.sleep(for: .seconds(Double(Int32.max)))
                    return .signal
                }
                if let secondsAllowed {
                    group.addTask {
                        try await Task.sleep(for: .seconds(secondsAllowed))
                        return .timeIsOver
                    }
                }
                return try await group.next() ?? .finished
            }
            if progress.connAck != nil { try await send(.disconnect(disconnect), outbound) }
            return ending
        }
    }

    func send(_ packet: Packet, _ writer: Writer) async throws {
        trace("sends", packet)
        try await writer.write(packet)
    }

    private func open() async throws -> NIOAsyncChannel<Packet, Packet> {
        let version = connect.protocolVersion
        let maxPacketBytes = connect.maximumPacketSize.map { Int(clamping: $0) } ?? 268_435_460
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connectTimeout(.seconds(Self.connectSeconds))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
        let initialize: @Sendable (any Channel) -> EventLoopFuture<NIOAsyncChannel<Packet, Packet>> = { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    ByteToMessageHandler(PacketFraming(version: version, maxPacketBytes: maxPacketBytes)))
                try channel.pipeline.syncOperations.addHandler(MessageToByteHandler(PacketBytes(version: version)))
                return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
            }
        }
        if let path = options.unix {
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(
                unixDomainSocketPath: path, channelInitializer: initialize)
        }
        return try await bootstrap.connect(host: options.host, port: options.port, channelInitializer: initialize)
    }

    private func read(
        _ inbound: NIOAsyncChannelInboundStream<Packet>, _ outbound: Writer, progress: Progress,
        connAcks: AsyncStream<ConnAck>.Continuation, receive: @Sendable (Packet, Writer) async throws -> Bool
    ) async throws {
        defer { connAcks.finish() }
        for try await packet in inbound {
            progress.inbound()
            trace("receives", packet)
            switch packet {
            case .connAck(let connAck) where progress.connAck == nil:
                guard connAck.reason == .success else {
                    let code = connect.protocolVersion == .v5 ? connAck.reason.rawValue : connAck.reason.connectReturnCode
                    throw ClientFault.refused(connAck.reason, connAck.reasonString, exitCode: code)
                }
                progress.connected(connAck)
                connAcks.yield(connAck)
            case .disconnect(let disconnect):
                throw ClientFault.disconnected(disconnect.reason, disconnect.reasonString)
            case .pingResp: break
            case _ where progress.connAck == nil, .connAck:
                throw ClientFault.unexpected(packet.type)
            default:
                guard try await receive(packet, outbound) else { return }
            }
        }
        throw progress.connAck == nil ? ClientFault.noConnAck : ClientFault.connectionLost
    }

    /// PINGREQ after half of the keep alive, and an end when nothing comes for one and a half of it.
    private func keepAlive(_ outbound: Writer, _ progress: Progress) async throws -> Ending {
        try await Task.sleep(for: .seconds(Self.connectSeconds), unless: { progress.connAck != nil })
        guard let connAck = progress.connAck else { throw ClientFault.noConnAck }
        let seconds = Double(connAck.serverKeepAliveSeconds ?? connect.keepAliveSeconds)
        guard seconds > 0 else {
            try await Task.sleep(for: .seconds(Double(Int32.max)))
            return .finished
        }
        while true {
            try await Task.sleep(for: .seconds(seconds / 2))
            if progress.silence > .seconds(seconds * 1.5) { throw ClientFault.silent }
            try await send(.pingReq, outbound)
        }
    }

    private func trace(_ verb: String, _ packet: Packet) {
        guard options.debug else { return }
        let detail =
            switch packet {
            case .publish(let publish):
                " \"\(publish.topic)\" (q\(publish.qos), r\(publish.retain ? 1 : 0), m\(publish.packetID), \(publish.payload.count) bytes)"
            case .pubAck(let ack), .pubRec(let ack), .pubRel(let ack), .pubComp(let ack): " m\(ack.packetID) \(ack.reason)"
            case .connAck(let connAck): " \(connAck.reason)"
            default: ""
            }
        StandardStreams.complain("\(verb) \(packet.type)\(detail)")
    }
}

extension Task where Success == Never, Failure == Never {
    /// Sleeps, looking every 50 ms whether it is still worth it.
    fileprivate static func sleep(for duration: Duration, unless isDone: () -> Bool) async throws {
        let end = ContinuousClock.now + duration
        while !isDone(), ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(50)) }
    }
}
