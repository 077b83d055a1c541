import Logging
import MQTTModel
import PluginAPI
import Synchronization

/// Writes MQTT messages to Kafka as they are published. A plugin of the broker that sees the plugin API alone.
///
/// A message that matches a route becomes a record; its PUBACK or PUBREC leaves when Kafka has acknowledged the records
/// of all its routes. While Kafka is away, acknowledgements wait and publishers are slowed; nothing is dropped.
/// docs/kafka.md is the operator's side of it.
public final class KafkaBridge: BrokerPlugin {
    public let name = "kafka"
    public let configuration: KafkaConfiguration
    private let logger: Logger
    private let flushSeconds: Int
    let producers: [String: KafkaProducer]
    let routes: [Route]
    private let state = Mutex(State())

    private struct State {
        var isStarted = false
        var bootstrapServers: [String: String] = [:]
        var embedded: [String: DevelopmentKafka] = [:]
    }

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
        routes = configuration.routes.compactMap { route in
            producers[route.cluster].map { Route(configuration: route, producer: $0, logger: logger) }
        }
    }

    /// Starts embedded clusters and the producers. Does not wait for Kafka: a broker whose Kafka is away still serves.
    /// - Throws: `KafkaBridgeError`; what has been started is stopped again.
    public func start(_ context: PluginContext) async throws {
        do {
            for cluster in configuration.clusters.values.sorted(by: { $0.name < $1.name }) { try start(cluster) }
        } catch {
            _ = await stop(flushSeconds: 0)
            throw error
        }
        state.withLock { $0.isStarted = true }
    }

    private func start(_ cluster: KafkaCluster) throws(KafkaBridgeError) {
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
        do { try producers[cluster.name]?.start(bootstrapServers: address) } catch {
            throw .producer(cluster: cluster.name, reason: error.reason)
        }
        state.withLock { $0.bootstrapServers[cluster.name] = address }
        logger.info("Kafka cluster configured: \(cluster)")
    }

    /// `host:port,…` of a cluster, an embedded one included; `nil` before `start` and for a name that is not configured.
    public func bootstrapServers(of cluster: String) -> String? { state.withLock { $0.bootstrapServers[cluster] } }

    /// The embedded cluster of that name while it runs, to make it fail in tests.
    public func embeddedKafka(of cluster: String) -> DevelopmentKafka? { state.withLock { $0.embedded[cluster] } }

    public func makeLoopHooks(loop: Int) -> any LoopHooks { KafkaLoopHooks(routes: routes) }

    /// Ready as soon as it has started, whether or not Kafka can be reached: a broker that answers "not ready" is taken
    /// out of its load balancer, and devices would lose MQTT because Kafka is away. `headwater_kafka_cluster_up` and the
    /// log tell of that instead.
    public var readiness: PluginReadiness {
        state.withLock { $0.isStarted } ? .ready : .notReady("the Kafka bridge has not started")
    }

    public func stop() async { _ = await stop(flushSeconds: flushSeconds) }

    /// Sends what is on its way, for at most `flushSeconds`, and ends. Idempotent.
    /// - Returns: Records that Kafka has not acknowledged. Their publishers have no acknowledgement and send again.
    @discardableResult
    public func stop(flushSeconds: Int) async -> Int {
        let unsent = await withTaskGroup(of: Int.self) { group in
            for producer in producers.values { group.addTask { await producer.stop(flushSeconds: flushSeconds) } }
            return await group.reduce(0, +)
        }
        let embedded = state.withLock { state in
            defer { state.embedded = [:] }
            return state.embedded
        }
        for (name, kafka) in embedded {
            if let path = configuration.clusters[name]?.bootstrapFile { BootstrapFile(path: path).remove() }
            kafka.stop()
        }
        if unsent > 0 {
            logger.warning("Kafka bridge stopped with records unsent; their publishers have no acknowledgement", metadata: ["records": "\(unsent)"])
        }
        return unsent
    }
}

/// Why the bridge could not start. The text says what to do.
public enum KafkaBridgeError: Error, Sendable, Equatable, CustomStringConvertible {
    case embeddedCluster(cluster: String, reason: String)
    case bootstrapFile(cluster: String, path: String, reason: String)
    case producer(cluster: String, reason: String)

    public var description: String {
        switch self {
        case .embeddedCluster(let cluster, let reason):
            "embedded Kafka cluster \"\(cluster)\" does not start: \(reason)"
        case .bootstrapFile(let cluster, let path, let reason):
            "the address of embedded Kafka cluster \"\(cluster)\" can't be written to \(path): \(reason); name a file in a directory that this user may write to"
        case .producer(let cluster, let reason):
            "Kafka cluster \"\(cluster)\": librdkafka does not start a producer: \(reason)"
        }
    }
}
