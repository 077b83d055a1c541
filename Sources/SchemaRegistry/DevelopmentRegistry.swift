import Encodings
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A schema registry inside the process, for development and tests: on 127.0.0.1, in memory, open to everybody there.
///
/// It checks that a schema is one, not that it is compatible with the version before. Protobuf schemas are registered
/// compiled: a `FileDescriptorProto` in base 64.
package final class DevelopmentRegistry: Sendable {
    package let port: Int
    private let listener: any Channel
    private let connections: Connections
    private let schemas: SharedSchemas

    package var url: String { "http://127.0.0.1:\(port)" }

    /// - Parameter port: `nil` for a free one below 32768, where the system takes none for itself.
    /// - Throws: The system's error when the address can't be bound.
    package static func start(
        port: Int? = nil, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) async throws -> DevelopmentRegistry {
        let connections = Connections()
        let schemas = SharedSchemas()
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard connections.add(channel) else { throw ChannelError.ioOnClosedChannel }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(RegistryExchange(schemas: schemas))
                }
            }
        var attempts = 50
        while true {
            do {
                let listener = try await bootstrap.bind(host: "127.0.0.1", port: port ?? Int.random(in: 12_000..<32_000)).get()
                return DevelopmentRegistry(listener, connections, schemas)
            } catch {
                attempts -= 1
                guard port == nil, attempts > 0 else { throw error }
            }
        }
    }

    private init(_ listener: any Channel, _ connections: Connections, _ schemas: SharedSchemas) {
        self.listener = listener
        self.connections = connections
        self.schemas = schemas
        port = listener.localAddress?.port ?? 0
    }

    /// Without HTTP, and without looking whether the schema is one.
    @discardableResult
    package func register(subject: String, format: SchemaFormat, text: String, references: [SchemaReference] = []) -> Int32 {
        schemas.value.withLock { $0.register(subject, format, text, references) }
    }

    /// Requests answered since the start.
    package var requests: Int { schemas.requests.load(ordering: .relaxed) }

    /// Returns when nothing listens any more and every connection is closed. What was registered is gone.
    package func stop() async {
        try? await listener.close().get()
        for channel in connections.end() { try? await channel.close().get() }
    }
}

final class SharedSchemas: Sendable {
    let value = Mutex(DevelopmentSchemas())
    let requests = Atomic(0)
}

/// Who is connected, so that stopping leaves nobody behind.
private final class Connections: Sendable {
    /// `nil` after the end.
    private let open = Mutex<[ObjectIdentifier: any Channel]?>([:])

    func add(_ channel: any Channel) -> Bool {
        let key = ObjectIdentifier(channel)
        let isTaken = open.withLock { open in
            guard open != nil else { return false }
            open?[key] = channel
            return true
        }
        channel.closeFuture.whenComplete { _ in self.open.withLock { $0?[key] = nil } }
        return isTaken
    }

    func end() -> [any Channel] {
        open.withLock { open in
            defer { open = nil }
            return Array((open ?? [:]).values)
        }
    }
}

/// One request after another of one connection.
private final class RegistryExchange: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let schemas: SharedSchemas
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private static let maxBody = 1 << 20

    init(schemas: SharedSchemas) { self.schemas = schemas }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): (self.head, body) = (head, [])
        case .body(let part):
            guard body.count + part.readableBytes <= Self.maxBody else { return context.close(promise: nil) }
            body.append(contentsOf: part.readableBytesView)
        case .end:
            guard let head else { return }
            schemas.requests.wrappingAdd(1, ordering: .relaxed)
            let answer = schemas.value.withLock { $0.answer(head.method.rawValue, head.uri, body) }
            respond(answer, to: head, context)
        }
    }

    private func respond(_ answer: DevelopmentSchemas.Answer, to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let text = ByteBuffer(string: JSONWriter.text(answer.body))
        let headers: HTTPHeaders = [
            "Content-Type": "application/vnd.schemaregistry.v1+json", "Content-Length": String(text.readableBytes),
            "Connection": head.isKeepAlive ? "keep-alive" : "close",
        ]
        context.write(
            wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: answer.status), headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(text))), promise: nil)
        let end = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        if !head.isKeepAlive {
            let channel = context.channel
            end.whenComplete { _ in channel.close(promise: nil) }
        }
    }
}
