import BrokerTestKit
import Foundation
import Headwater
import Logging
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

@testable import KafkaBridge

/// A broker with an inbound route; its store and Kafka outlive it.
final class InboundUnderTest {
    /// For records to arrive. The mock cluster gives a consumer its partitions after 3 s, and now and then only 9 s later, or twice that.
    static let patience = Duration.seconds(90)

    let topic = BridgeUnderTest.freshTopic()
    let kafka: DevelopmentKafka?
    let source: RecordSource
    let bootstrapServers: String
    private let directory: String
    private(set) var harness: BrokerHarness!
    private(set) var bridge: KafkaBridge!
    var loops = 1
    var hasStore = true
    var outbound: [KafkaRoute] = []
    var route: (inout KafkaInboundRoute) throws -> Void = { _ in }
    var brokerName: String?

    /// - Parameter process: The cluster, in place of a development one or of that which HEADWATER_TEST_KAFKA names.
    init(at process: KafkaProcess? = nil) throws {
        kafka = BridgeUnderTest.isEmbedded && process == nil ? try DevelopmentKafka.start(brokers: 1) : nil
        bootstrapServers = process?.bootstrapServers ?? BridgeUnderTest.externalKafka ?? kafka?.bootstrapServers ?? ""
        source = try RecordSource(bootstrapServers)
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("inbound-test-\(UUID().uuidString)").path
    }

    deinit {
        kafka?.stop()
        try? FileManager.default.removeItem(atPath: directory)
    }

    func start() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = ProcessInfo.processInfo.environment["HEADWATER_TEST_LOG"] == nil ? .critical : .debug
        var made = KafkaInboundRoute(name: "commands", cluster: "main", topics: [topic], topic: try InboundTemplate("commands/${key}"), start: .earliest)
        try route(&made)
        let properties = ["reconnect.backoff.max.ms": "200", "topic.metadata.refresh.interval.ms": "300", "statistics.interval.ms": "200"]
        let main = KafkaCluster(name: "main", bootstrapServers: bootstrapServers, properties: properties)
        var configuration = KafkaConfiguration(clusters: [main], routes: outbound, inbound: [made])
        configuration.brokerName = brokerName
        let bridge = try KafkaBridge(configuration: configuration, flushSeconds: 5, logger: logger)
        self.bridge = bridge
        let directory = hasStore ? directory : nil
        harness = try await BrokerHarness.start(eventLoops: loops, plugins: [bridge]) {
            $0.store.directory = directory
            $0.store.durability = .commit
        }
    }

    func stop() async {
        await harness.stop()
        harness = nil
        bridge = nil
    }

    var inbound: InboundRoute { bridge.inbound[0] }
    var figures: InboundCounters.Figures { inbound.counters.figures }

    func read(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await eventually("\(count) records are read: \(figures)", sourceLocation: sourceLocation) {
            figures.received >= count && figures.outstanding == 0
        }
        #expect(figures.received == figures.published + figures.skippedTotal, sourceLocation: sourceLocation)
    }

    /// A connected client whose session is kept, subscribed to `filter`.
    func receiver(_ id: String, _ filter: String = "commands/#", qos: QoS = .exactlyOnce) async throws -> ScriptedClient {
        let client = try await harness.open()
        try await client.connect(clientID: id, sessionExpirySeconds: 1000)
        try await client.subscribe(filter, qos: qos)
        return client
    }

    /// The session of an earlier `receiver`.
    func again(_ id: String) async throws -> ScriptedClient {
        let client = try await harness.open()
        let isPresent = try await client.connect(clientID: id, cleanStart: false, sessionExpirySeconds: 1000)
        #expect(isPresent)
        return client
    }

    static func texts(_ messages: [ReceivedMessage]) -> [String] { messages.map { String(decoding: $0.payload, as: UTF8.self) } }
}

/// Hands a plugin's context to a test.
final class ContextPlugin: BrokerPlugin {
    let name = "context"
    private let box = ContextBox()
    var context: PluginContext { box.context! }

    func start(_ context: PluginContext) async throws { box.context = context }
    func makeLoopHooks(loop: Int) -> any LoopHooks { NoHooks() }
    func stop() async { box.context = nil }  // it holds the store

    private final class NoHooks: LoopHooks {
        let interests: HookInterests = []
    }
    private final class ContextBox: @unchecked Sendable {
        // @unchecked: set while the broker starts and stops, read between.
        var context: PluginContext?
    }
}
