import Logging
import MQTTModel
import NIOCore
import NIOPosix
import PluginAPI
import ServiceLifecycle
import Storage
import Synchronization
import Transport

/// An MQTT broker in this process.
///
/// ```swift
/// let broker = Broker(configuration: BrokerConfiguration(listeners: [.loopback(port: 1883)]))
/// try await broker.start()
/// for await message in try await broker.subscribe(TopicFilter("plant/#")) { print(message.topic) }
/// ```
///
/// It is a `Service`: a `ServiceGroup` runs it beside others and shuts it down gracefully.
public final class Broker: Service, Sendable {
    public let configuration: BrokerConfiguration
    let logger: Logger
    let plugins: [any BrokerPlugin]
    let tenants = TenantDirectory()
    let state = Mutex(State())

    struct State {
        var phase = Phase.new
        var group: MultiThreadedEventLoopGroup?
        var nodes: [LoopNode] = []
        var listeners: [Listener] = []
        var bound: [BoundListener] = []
        var startedUnixMilliseconds: Int64 = 0
        var totals: BrokerTotals?
        var store: StoreService?
        var security: SecurityService?
        var halfOpen: HalfOpenConnections?
    }

    enum Phase { case new, starting, running, stopping, stopped }

    /// - Parameter plugins: In the order in which their hooks are called.
    public init(
        configuration: BrokerConfiguration = BrokerConfiguration(), plugins: [any BrokerPlugin] = [],
        logger: Logger = Logger(label: "headwater")
    ) {
        self.configuration = configuration
        self.logger = logger
        self.plugins = plugins
    }

    // MARK: The end (Broker+Start.swift has the beginning)

    /// Listeners with the addresses they are bound to (port 0 resolved). Empty before `start`.
    public var boundListeners: [BoundListener] { state.withLock { $0.bound } }

    /// Stops cleanly: listeners close, v5 clients get DISCONNECT 0x8B, wills are published as the specification has it,
    /// plugins flush within `Shutdown.flushSeconds`. Idempotent.
    public func stop() async {
        let (listeners, nodes, group, store): ([Listener], [LoopNode], MultiThreadedEventLoopGroup?, StoreService?) = state.withLock { state in
            guard state.phase == .starting || state.phase == .running else { return ([], [], nil, nil) }
            state.phase = .stopping
            return (state.listeners, state.nodes, state.group, state.store)
        }
        guard let group else { return }
        state.withLock { $0.security }?.end()
        for listener in listeners { await listener.close() }
        for node in nodes {
            try? await node.eventLoop.submit { node.bound.value?.disconnectAll() }.get()
        }
        // What the clients were told last is written, and they have a moment to hang up first.
        for _ in 0..<40 {
            var open = 0
            for node in nodes { open += (try? await node.eventLoop.submit { node.bound.value?.connections.count ?? 0 }.get()) ?? 0 }
            if open == 0 { break }
            try? await Task.sleep(for: .milliseconds(25))
        }
        await stopPlugins()
        if let store { await drain(store, nodes: nodes) }
        for node in nodes {
            try? await node.eventLoop.submit {
                node.bound.value?.shutDown()
                node.bound.value = nil
            }.get()
        }
        if let store, !(await store.store.close()) {
            logger.error("the store could not be written to the end: what was not acknowledged is not in it")
        }
        // From here on nobody asks the loops for anything: what is given to one that has ended is never answered.
        state.withLock { $0.nodes = [] }
        try? await group.shutdownGracefully()
        state.withLock { $0.phase = .stopped }
        logger.info("broker stopped")
    }

    /// What the loops have for the store goes into it; a disk that is full does not hold up the end.
    private func drain(_ store: StoreService, nodes: [LoopNode]) async {
        let left = Mutex(nodes.count)
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        for node in nodes {
            node.eventLoop.execute {
                guard let loop = node.bound.value else { return continuation.finish() }
                loop.drainStore { continuation.yield() }
            }
        }
        let deadline = Task {
            try? await Task.sleep(for: .seconds(configuration.shutdown.flushSeconds))
            continuation.finish()
        }
        for await _ in stream {
            let isDone = left.withLock { left in
                left -= 1
                return left == 0
            }
            if isDone { break }
        }
        deadline.cancel()
    }

    private func stopPlugins() async {
        let seconds = configuration.shutdown.flushSeconds
        await withTaskGroup(of: Void.self) { tasks in
            for plugin in plugins {
                tasks.addTask { [logger] in
                    await withTaskGroup(of: Bool.self) { race in
                        race.addTask {
                            await plugin.stop()
                            return true
                        }
                        race.addTask {
                            try? await Task.sleep(for: .seconds(seconds))
                            return false
                        }
                        if await race.next() == false {
                            logger.warning("plugin did not stop in time", metadata: ["plugin": "\(plugin.name)", "seconds": "\(seconds)"])
                        }
                        race.cancelAll()
                    }
                }
            }
        }
    }

    /// `start`, then serve until the task is cancelled or graceful shutdown begins, then `stop`.
    public func run() async throws {
        try await start()
        try? await gracefulShutdown()
        await stop()
    }

    // MARK: Certificates, passwords, rules

    /// Reads certificates, keys, authorities, revocation lists, passwords and rules again: all or nothing. Files that have changed
    /// are read by themselves; this is for those who don't want to wait, as on SIGHUP.
    ///
    /// - Throws: `BrokerError` with everything that is wrong; what was in force stays in force.
    public func reload() async throws {
        guard let security = state.withLock({ $0.security }) else { throw BrokerError("the broker is not running: call start() first") }
        try await security.reload(because: "asked")
    }

    /// Files and directories that `reload` reads.
    public var securityFiles: [String] { SecurityFiles.paths(of: configuration) }

    static func post(_ security: [ListenerSecurity], to nodes: [LoopNode]) {
        for node in nodes { node.eventLoop.execute { node.bound.value?.replaceSecurity(security) } }
    }

    // MARK: Messages of an embedding program

    /// Routes a message to all subscribers, as if a client of the broker's own had published it. Returns when it has
    /// been routed on one event loop, and at QoS 1 and 2 when everybody for whom the store keeps it has it there; a broker that is
    /// not running drops it.
    ///
    /// - Parameter tenant: Whose message it is, by name, empty for the default tenant; `nil`: its publisher's, the default
    ///   tenant's without one. A message of more tenants than a broker takes in its life (100,000) is dropped.
    public func publish(_ message: Message, tenant: String? = nil) async {
        guard let node = state.withLock({ $0.nodes.first }), let message = tenants.assign(message, to: tenant) else { return }
        await withCheckedContinuation { continuation in
            node.eventLoop.execute {
                guard let loop = node.bound.value else { return continuation.resume() }
                loop.publish(message) { continuation.resume() }
            }
        }
    }

    static func route(_ message: Message, on node: LoopNode) {
        node.eventLoop.execute { node.bound.value?.publish(message) }
    }

    /// Messages that match `filter` from now on, retained ones first. The subscription ends with the sequence's last
    /// iterator, and the sequence with the broker.
    ///
    /// - Parameters:
    ///   - tenant: Whose messages, by name, empty for the default tenant's.
    ///   - bufferedMessages: How many may wait for the program; when more come, the newest are dropped and counted as
    ///     `queue_full`.
    /// - Throws: `BrokerError` when the broker is not running, or the tenant would be one too many.
    public func subscribe(
        _ filter: TopicFilter, tenant: String = "", bufferedMessages: Int = 10_000
    ) async throws -> MessageSequence {
        guard let node = state.withLock({ $0.phase == .running ? $0.nodes.first : nil }) else {
            throw BrokerError("the broker is not running: call start() first")
        }
        guard let number = tenants.number(of: tenant) else { throw BrokerError("there is no room for another tenant") }
        let (stream, continuation) = AsyncStream.makeStream(of: Message.self, bufferingPolicy: .bufferingOldest(bufferedMessages))
        let sink = MessageSink(
            receive: { if case .enqueued = continuation.yield($0) { true } else { false } }, finish: { continuation.finish() })
        let reference = try await node.eventLoop.submit { () -> SessionReference? in
            node.bound.value?.subscribe(sink, to: filter, tenantNumber: number)
        }.get()
        guard let reference else { throw BrokerError("the broker is stopping") }
        continuation.onTermination = { _ in
            node.eventLoop.execute { node.bound.value?.unsubscribe(reference) }
        }
        return MessageSequence(stream: stream)
    }

    // MARK: Observation

    /// The sum of all loops' figures. Takes a turn of each event loop.
    public func statistics() async -> BrokerStatistics {
        let (nodes, started, totals, store) = state.withLock { ($0.nodes, $0.startedUnixMilliseconds, $0.totals, $0.store) }
        let (security, halfOpen) = state.withLock { ($0.security, $0.halfOpen) }
        var sum = BrokerStatistics()
        for node in nodes {
            if let part = try? await node.eventLoop.submit({ node.bound.value?.report() }).get() { sum.add(part) }
        }
        if !sum.tenants.isEmpty { sum.tenants[""] = TenantStatistics(restOf: sum, without: sum.tenants.values) }
        sum.startedUnixMilliseconds = started
        sum.store = store?.gauges.statistics
        security?.report(into: &sum)
        sum.handshakesUnderWay = halfOpen?.handshakesUnderWay ?? 0
        sum.connectionsTurnedAway = totals?.turnedAway.load(ordering: .relaxed) ?? 0
        return sum
    }

    /// Empty when the listeners are open and every plugin is ready; otherwise what is missing, in words.
    public func readiness() -> [String] {
        var missing: [String] = []
        if state.withLock({ $0.phase != .running }) { missing.append("the broker is not running") }
        if let failure = state.withLock({ $0.store })?.gauges.statistics.failure { missing.append("store: can't be written: \(failure)") }
        for plugin in plugins {
            if case .notReady(let why) = plugin.readiness { missing.append("plugin \(plugin.name): \(why)") }
        }
        return missing
    }

    /// What an operator must know although the broker works: damage that the store had at the start, or that it went back to its
    /// last synchronisation.
    public func alarms() -> [String] { state.withLock { $0.store }?.gauges.statistics.alarms ?? [] }

    /// Current figures of the plugins.
    public func pluginMetrics() -> [PluginMetric] { plugins.flatMap { $0.metrics() } }

    /// Asks a plugin what an operator wants to know of it or have it do.
    /// - Returns: `nil`: there is no plugin of that name.
    public func administer(plugin name: String, _ request: PluginRequest) async -> PluginResponse? {
        guard let plugin = plugins.first(where: { $0.name == name }) else { return nil }
        return await plugin.administer(request)
    }
}

/// A listener and the address that it is bound to, with the port that the system chose where 0 was asked for.
public struct BoundListener: Sendable, Equatable {
    public let name: String
    public let address: ListenerConfiguration.Address
}

/// Why a broker could not start or answer. The text says what to do.
public struct BrokerError: Error, Sendable, CustomStringConvertible {
    public let description: String
    /// Starting again can't help before somebody has looked.
    public let isFinal: Bool
    public init(_ description: String, isFinal: Bool = false) {
        self.description = description
        self.isFinal = isFinal
    }
}

/// The messages of one subscription in this process.
public struct MessageSequence: AsyncSequence, Sendable {
    public typealias Element = Message
    fileprivate let stream: AsyncStream<Message>

    public func makeAsyncIterator() -> AsyncStream<Message>.Iterator { stream.makeAsyncIterator() }
}
