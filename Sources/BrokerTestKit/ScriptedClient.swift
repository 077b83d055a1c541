import MQTTModel
import MQTTWire
import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An MQTT client for tests that does exactly what it is told: it answers nothing by itself, sends bytes that are no
/// packet as willingly as others, and waits for nothing longer than its deadline.
///
/// ```swift
/// let client = try await ScriptedClient.open(.tcp(host: "127.0.0.1", port: port))
/// try await client.connect(clientID: "probe")
/// client.send(bytes: [0x00, 0x00])
/// try await client.expectClose()
/// ```
///
/// Packets that nobody has asked for wait in order. Usable from any task; waits of several tasks share one inbox.
public final class ScriptedClient: Sendable {
    /// Where a broker listens.
    public enum Address: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// How long every wait lasts that is given no other time.
    public static let patience = Duration.seconds(15)

    /// Version that packets are read and written in; what CONNECT says is up to the test.
    public let version: ProtocolVersion
    private let channel: any Channel
    private let inbox: NIOLoopBound<PacketInbox>

    private init(version: ProtocolVersion, channel: any Channel, inbox: NIOLoopBound<PacketInbox>) {
        self.version = version
        self.channel = channel
        self.inbox = inbox
    }

    // MARK: The connection

    /// Opens a network connection and sends nothing.
    ///
    /// - Parameters:
    ///   - receiveBufferBytes: Size of the socket's receive buffer, for tests of receivers that read slowly; `nil`: the
    ///     system's choice.
    ///   - host: Address of this machine to connect from, for tests of limits by address; `nil`: the system's choice.
    ///   - group: Threads for the client, for tests that measure; `nil`: those that all clients share.
    ///   - addLayers: Puts handlers between the client and the socket, such as TLS. Called on the channel's loop.
    /// - Throws: The system's error when the connection can't be opened within five seconds, and what `addLayers` throws.
    public static func open(
        _ address: Address, version: ProtocolVersion = .v5, receiveBufferBytes: Int? = nil, from host: String? = nil,
        group: (any EventLoopGroup)? = nil, addLayers: @escaping @Sendable (any Channel) throws -> Void = { _ in }
    ) async throws -> ScriptedClient {
        var bootstrap = ClientBootstrap(group: group ?? MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(5))
        if let host { bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: host, port: 0)) }
        if let receiveBufferBytes {
            bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: .init(receiveBufferBytes))
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: receiveBufferBytes))
                .channelOption(.maxMessagesPerRead, value: 1)
        }
        // Made with the channel, not looked up afterwards: the broker may have closed the connection by then.
        let makeClient: @Sendable (any Channel) -> EventLoopFuture<ScriptedClient> = { channel in
            channel.eventLoop.makeCompletedFuture {
                try addLayers(channel)
                let inbox = PacketInbox(version: version)
                try channel.pipeline.syncOperations.addHandler(inbox)
                return ScriptedClient(version: version, channel: channel, inbox: NIOLoopBound(inbox, eventLoop: channel.eventLoop))
            }
        }
        switch address {
        case .tcp(let host, let port):
            return try await bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: host, port: port, channelInitializer: makeClient)
        case .unix(let path): return try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: makeClient)
        }
    }

    /// Leaves the socket unread from now on, so that the broker's writes pile up.
    public func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }

    /// Reads again.
    public func resumeReading() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// Reads once what the socket has, after `stopReading`.
    public func readOnce() { channel.read() }

    /// Closes the connection without DISCONNECT. Returns when it is closed here.
    public func close() async { try? await channel.close().get() }

    /// Says that nothing more comes (FIN), and goes on reading.
    public func finishSending() async { try? await channel.close(mode: .output).get() }

    /// Breaks the connection (RST), as a device does that loses power.
    public func reset() async {
        if let socket = channel as? any SocketOptionProvider {
            try? await socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        }
        await close()
    }

    // MARK: Bytes

    /// Sends bytes as they are, behind everything sent before, and waits for nothing.
    public func send(bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }

    /// Sends bytes and waits until the system has taken them all.
    ///
    /// - Returns: `false`: it has not, because the broker does not read, or the connection is closed.
    public func sendAndWait(bytes: [UInt8], within time: Duration = patience) async -> Bool {
        let promise = channel.eventLoop.makePromise(of: Bool.self)
        channel.eventLoop.scheduleTask(in: TimeAmount(time)) { promise.succeed(false) }
        channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { result in
            if case .success = result { promise.succeed(true) } else { promise.succeed(false) }
        }
        return (try? await promise.futureResult.get()) ?? false
    }

    /// Bytes received so far, taken or not.
    public func receivedBytes() async throws -> Int {
        try await channel.eventLoop.submit { [inbox] in inbox.value.receivedBytes }.get()
    }

    // MARK: Waiting

    /// Waits until the broker closes the connection.
    ///
    /// - Parameter discardingPackets: Whether packets that come before are allowed.
    /// - Throws: `ScriptedClientError` if it does not, or sends something first.
    public func expectClose(
        discardingPackets: Bool = false, within time: Duration = patience, file: String = #fileID, line: Int = #line
    ) async throws {
        switch try await reception(within: time, where: { _ in !discardingPackets }) {
        case .closed: return
        case .packet(let packet): throw ScriptedClientError("expected a close, received \(packet)", file: file, line: line)
        case .silence: throw ScriptedClientError("expected a close, the connection is open after \(time)", file: file, line: line)
        case .damaged(let what): throw ScriptedClientError("expected a close, received \(what)", file: file, line: line)
        }
    }

    /// Waits a short time in which nothing may come and the connection must stay open.
    ///
    /// - Throws: `ScriptedClientError` if something comes, or the connection is closed.
    public func expectNothing(
        for time: Duration = .milliseconds(150), file: String = #fileID, line: Int = #line
    ) async throws {
        switch try await reception(within: time, where: { _ in true }) {
        case .silence: return
        case .packet(let packet): throw ScriptedClientError("expected nothing, received \(packet)", file: file, line: line)
        case .closed: throw ScriptedClientError("expected nothing, the connection was closed", file: file, line: line)
        case .damaged(let what): throw ScriptedClientError("expected nothing, received \(what)", file: file, line: line)
        }
    }

    func reception(within time: Duration, where predicate: @escaping @Sendable (Packet) -> Bool) async throws -> PacketInbox.Reception {
        let loop = channel.eventLoop
        return try await loop.flatSubmit { [inbox] in
            inbox.value.take(where: predicate, within: TimeAmount(time), on: loop)
        }.get()
    }
}

/// What a test expected of the broker, what came instead, and where the test says so.
public struct ScriptedClientError: Error, CustomStringConvertible {
    public let description: String

    public init(_ text: String, file: String, line: Int) { description = "\(file):\(line): \(text)" }
}
