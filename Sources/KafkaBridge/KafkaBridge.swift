import Logging
import MQTTModel
import PluginAPI
import SchemaRegistry
import Synchronization

/// Writes MQTT messages to Kafka as they are published, and publishes Kafka's records. A plugin of the broker that sees the plugin API alone.
///
/// A message that matches a route is stored in the route's outbox, in the transaction of the session state it came with, and is there
/// until Kafka has it; where the broker has no store its acknowledgement waits for Kafka instead. docs/kafka.md is the operator's
/// side of it.
public final class KafkaBridge: BrokerPlugin {
    public let name = "kafka"
    public let configuration: KafkaConfiguration
    private let logger: Logger
    let flushSeconds: Int
    /// For routes without an outbox, by cluster.
    let producers: [String: KafkaProducer]
    let routes: [Route]
    private let state = Mutex(State())

    private struct State {
        var isStarted = false
        var bootstrapServers: [String: String] = [:]
        var embedded: [String: DevelopmentKafka] = [:]
        var registries: [String: SchemaRegistryClient] = [:]
        var embeddedRegistries: [DevelopmentRegistry] = []
        var outboxes: [RunningOutbox] = []
        var inbound: [InboundRoute] = []
    }
    private let identity = BridgeIdentity()

    /// - Parameter flushSeconds: How long `stop` waits for Kafka to acknowledge what is on its way.
    /// - Throws: `InvalidKafkaConfiguration` with everything that `KafkaConfiguration.validate` finds.
    public init(
        configuration: KafkaConfiguration, flushSeconds: Int = 10, logger: Logger
    ) throws(InvalidKafkaConfiguration) {
        let errors = configuration.validate()
        if !errors.isEmpty { throw InvalidKafkaConfiguration(errors: errors) }
        self.configuration = configuration
        self.flushSeconds = flushSeconds
        self.logger = logger
        let producers = configuration.clusters.mapValues { KafkaProducer(cluster: $0, logger: logger) }
        self.producers = producers
        // validate() has made sure that every route's cluster is there.
        routes = configuration.routes.compactMap { [identity] route in
            producers[route.cluster].map { Route(configuration: route, producer: $0, identity: identity, logger: logger) }
        }
    }

    /// Starts embedded clusters, producers and outboxes. Does not wait for Kafka: a broker whose Kafka is away still serves.
    /// - Throws: `KafkaBridgeError`; what has been started is stopped again.
    public func start(_ context: PluginContext) async throws {
        // Without a store and a name, loops are recognised within one life of the process.
        let brokerName = configuration.brokerName ?? "headwater-\(context.store?.identity ?? String(UInt64.random(in: .min ... .max), radix: 36))"
        identity.set(brokerName)
        do {
            for cluster in configuration.clusters.values.sorted(by: { $0.name < $1.name }) {
                try start(cluster, hasProducer: needsProducer(cluster.name, store: context.store))
                if let registry = cluster.schemaRegistry { try await start(registry, of: cluster.name) }
            }
            for route in routes { try start(route, store: context.store, brokerName: brokerName) }
            if let store = context.store { warnOfOrphans(in: store) }
            for route in configuration.inbound { prepare(route, context, brokerName: brokerName) }
        } catch {
            _ = await stop(flushSeconds: 0)
            throw error
        }
        state.withLock { $0.isStarted = true }
    }

    /// Routes with an outbox have producers of their own.
    private func needsProducer(_ cluster: String, store: (any PluginStore)?) -> Bool {
        let routes = routes.filter { $0.configuration.cluster == cluster }
        return routes.isEmpty || store == nil || routes.contains { $0.configuration.delivery.level == .atMostOnce }
    }

    /// Records whose route has another name now, or is gone.
    private func warnOfOrphans(in store: any PluginStore) {
        let prefixes = routes.map { OutboxRoute.queuePrefix(route: $0.configuration.name) }
        for queue in store.queues where queue.name.hasPrefix(OutboxRoute.namePrefix) && queue.figures.entries > 0 {
            if prefixes.contains(where: { queue.name.hasPrefix($0) }) { continue }
            logger.warning(
                "records wait in the outbox of a route that is not configured any more: they are sent when a route has its name again",
                metadata: ["queue": "\(queue.name)", "records": "\(queue.figures.entries)"])
        }
    }

    private func start(_ cluster: KafkaCluster, hasProducer: Bool) throws(KafkaBridgeError) {
        var address = cluster.bootstrapServers ?? ""
        if cluster.isEmbedded {
            let kafka: DevelopmentKafka
            do { kafka = try DevelopmentKafka.start(brokers: cluster.embeddedBrokers) } catch {
                throw .embeddedCluster(cluster: cluster.name, reason: error.description)
            }
            address = kafka.bootstrapServers
            state.withLock { $0.embedded[cluster.name] = kafka }
            logger.warning(
                "embedded Kafka cluster for development: in memory, without isolation, gone when this process ends",
                metadata: ["cluster": "\(cluster.name)", "bootstrap": "\(address)"])
            if let path = cluster.bootstrapFile {
                do { try BootstrapFile(path: path).write(address) } catch {
                    throw .bootstrapFile(cluster: cluster.name, path: error.path, reason: error.reason)
                }
            }
        }
        if hasProducer {
            do { try producers[cluster.name]?.start(bootstrapServers: address) } catch {
                throw .producer(cluster: cluster.name, reason: error.reason)
            }
        }
        state.withLock { $0.bootstrapServers[cluster.name] = address }
        logger.info("Kafka cluster configured: \(cluster)")
    }

    private func start(_ registry: KafkaSchemaRegistry, of cluster: String) async throws {
        var embeddedURL: String?
        if registry.isEmbedded {
            let embedded = try await DevelopmentRegistry.start()
            state.withLock { $0.embeddedRegistries.append(embedded) }
            for (subject, path) in registry.schemaFiles.sorted(by: { $0.key < $1.key }) {
                let text: String
                do throws(FileText.Fault) { text = try FileText.read(path) } catch {
                    throw KafkaBridgeError.schemaFile(subject: subject, path: path, reason: error.reason)
                }
                embedded.register(subject: subject, format: path.hasSuffix(".avsc") ? .avro : .json, text: text)
            }
            embeddedURL = embedded.url
            logger.warning("embedded schema registry for development: in memory", metadata: ["cluster": "\(cluster)", "url": "\(embedded.url)"])
        }
        do throws(SchemaRegistryFailure) {
            let client = try SchemaRegistryClient(registry.options(embeddedURL: embeddedURL))
            state.withLock { $0.registries[cluster] = client }
        } catch {
            throw KafkaBridgeError.schema(reason: "registry of cluster \(cluster): \(error)")
        }
    }

    /// Where the embedded schema registries are.
    public var embeddedRegistryURLs: [String] { state.withLock { $0.embeddedRegistries.map(\.url) } }

    private func prepare(_ route: KafkaInboundRoute, _ context: PluginContext, brokerName: String) {
        guard let cluster = configuration.clusters[route.cluster] else { return }
        let made = InboundRoute(route, cluster: cluster, context: context, brokerName: brokerName, logger: logger)
        logger.info(
            "inbound Kafka route: \(Self.promise(of: route, hasStore: context.store != nil))",
            metadata: ["route": "\(route.name)", "cluster": "\(route.cluster)", "group": "\(made.group)"])
        state.withLock { $0.inbound.append(made) }
    }

    /// Inbound routes, after `start`.
    var inbound: [InboundRoute] { state.withLock { $0.inbound } }

    /// Those that have a cluster to read from, with its address; none when the bridge has not started.
    var startableInbound: [(route: InboundRoute, address: String)] {
        state.withLock { state in
            state.isStarted ? state.inbound.compactMap { route in state.bootstrapServers[route.cluster.name].map { (route, $0) } } : []
        }
    }

    private func start(_ route: Route, store: (any PluginStore)?, brokerName: String) throws(KafkaBridgeError) {
        let delivery = route.configuration.delivery
        let promise = RoutePromise.text(of: delivery, durability: store?.durability)
        logger.info(
            "Kafka route: \(promise)",
            metadata: ["route": "\(route.configuration.name)", "cluster": "\(route.configuration.cluster)", "delivery": "\(delivery.level.rawValue)"])
        guard delivery.level != .atMostOnce else { return }
        guard let store else {
            guard !delivery.needsStore else { throw .noStore(route: route.configuration.name) }
            if !delivery.properties.isEmpty {
                logger.warning(
                    "the route's properties have no effect without a store (store.directory): the cluster's producer is used",
                    metadata: ["route": "\(route.configuration.name)"])
            }
            return
        }
        guard let cluster = configuration.clusters[route.configuration.cluster] else { return }
        var conversion: SchemaConversion?
        if let schema = delivery.schema, let client = state.withLock({ $0.registries[cluster.name] }) {
            conversion = try SchemaConversion(schema, client: client)
        }
        let outbox = OutboxRoute(
            route, schema: conversion, cluster: cluster.with(delivery.properties), store: store, brokerName: brokerName,
            logger: logger)
        let running = RunningOutbox(
            outbox, bootstrapServers: bootstrapServers(of: cluster.name) ?? "", flushSeconds: flushSeconds)
        state.withLock { $0.outboxes.append(running) }
        running.start()
    }

    /// `host:port,…` of a cluster, an embedded one included; `nil` before `start` and for a name that is not configured.
    public func bootstrapServers(of cluster: String) -> String? { state.withLock { $0.bootstrapServers[cluster] } }

    /// The embedded cluster of that name while it runs, to make it fail in tests.
    public func embeddedKafka(of cluster: String) -> DevelopmentKafka? { state.withLock { $0.embedded[cluster] } }

    /// Routes that have an outbox, after `start`.
    var outboxes: [RunningOutbox] { state.withLock { $0.outboxes } }

    public func makeLoopHooks(loop: Int) -> any LoopHooks {
        let outboxes = Dictionary(uniqueKeysWithValues: outboxes.map { ($0.outbox.configuration.name, $0.outbox) })
        return KafkaLoopHooks(routes: routes.map { ActiveRoute(route: $0, outbox: outboxes[$0.configuration.name]) })
    }

    /// Ready as soon as it has started, whether or not Kafka can be reached: a broker that answers "not ready" is taken
    /// out of its load balancer, and devices would lose MQTT because Kafka is away. `headwater_kafka_cluster_up` and the
    /// log tell of that instead.
    public var readiness: PluginReadiness {
        state.withLock { $0.isStarted } ? .ready : .notReady("the Kafka bridge has not started")
    }

    public func stop() async { _ = await stop(flushSeconds: flushSeconds) }

    /// Sends what is on its way, for at most `flushSeconds`, and ends. Idempotent.
    /// - Returns: Records of routes without an outbox that Kafka has not acknowledged. Their publishers have no acknowledgement and
    ///   send again. What is in an outbox stays there.
    @discardableResult
    public func stop(flushSeconds: Int) async -> Int {
        // First, so that nothing is published while the rest ends.
        await withTaskGroup(of: Void.self) { group in for route in inbound { group.addTask { await route.stop() } } }
        let outboxes = outboxes
        let unsent = await withTaskGroup(of: Int.self) { group in
            for producer in producers.values { group.addTask { await producer.stop(flushSeconds: flushSeconds) } }
            for outbox in outboxes {
                group.addTask {
                    await outbox.stop()
                    return 0
                }
            }
            return await group.reduce(0, +)
        }
        let embedded = state.withLock { state in
            defer { state.embedded = [:] }
            for registry in state.embeddedRegistries { Task { await registry.stop() } }
            state.embeddedRegistries = []
            state.inbound = []
            state.outboxes = []  // they hold the store, which another broker of this process may want to open
            return state.embedded
        }
        for (name, kafka) in embedded {
            if let path = configuration.clusters[name]?.bootstrapFile { BootstrapFile(path: path).remove() }
            kafka.stop()
        }
        if unsent > 0 {
            logger.warning("Kafka bridge stopped with records unsent; their publishers have no acknowledgement", metadata: ["records": "\(unsent)"])
        }
        for outbox in outboxes where outbox.outbox.balance.figures.outbox > 0 {
            logger.notice(
                "records stay in the outbox until the next start",
                metadata: ["route": "\(outbox.outbox.configuration.name)", "records": "\(outbox.outbox.balance.figures.outbox)"])
        }
        return unsent
    }
}

/// Why the bridge could not start. The text says what to do.
public enum KafkaBridgeError: Error, Sendable, Equatable, CustomStringConvertible {
    case embeddedCluster(cluster: String, reason: String)
    case bootstrapFile(cluster: String, path: String, reason: String)
    case producer(cluster: String, reason: String)
    case noStore(route: String)
    case schema(reason: String)
    case schemaFile(subject: String, path: String, reason: String)

    public var description: String {
        switch self {
        case .embeddedCluster(let cluster, let reason):
            "embedded Kafka cluster \"\(cluster)\" does not start: \(reason)"
        case .bootstrapFile(let cluster, let path, let reason):
            "the address of embedded Kafka cluster \"\(cluster)\" can't be written to \(path): \(reason); name a file in a directory that this user may write to"
        case .producer(let cluster, let reason):
            "Kafka cluster \"\(cluster)\": librdkafka does not start a producer: \(reason)"
        case .schema(let reason): "schema: \(reason)"
        case .schemaFile(let subject, let path, let reason):
            "the schema of subject \"\(subject)\" can't be read from \(path): \(reason)"
        case .noStore(let route):
            "Kafka route \"\(route)\" promises what only a store can keep (delivery idempotent or exactly-once, acknowledge stored, a dead-letter "
                + "topic, deduplication or a schema): give the broker a store (store.directory), or the route delivery: at-least-once without these"
        }
    }
}
