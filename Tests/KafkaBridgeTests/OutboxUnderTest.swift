import BrokerTestKit
import Foundation
import Headwater
import Logging
import MQTTModel
import MQTTWire
import Testing

@testable import KafkaBridge

/// A broker with a store and a Kafka route with an outbox; the store outlives the broker.
final class OutboxUnderTest {
    let topic = BridgeUnderTest.freshTopic()
    let kafka: DevelopmentKafka?
    let bootstrapServers: String
    /// The cluster's, also kcat's.
    var properties: [String: String] = [:]
    private let directory: String
    private(set) var harness: BrokerHarness!
    private(set) var bridge: KafkaBridge!
    var loops = 1
    /// Whose the clients are.
    var tenant: String?
    /// In place of the cluster's.
    var address: String?
    var delivery: RouteDelivery
    var moreRoutes: [KafkaRoute] = []
    var moreClusters: [KafkaCluster] = []
    var route: (inout KafkaRoute) throws -> Void = { _ in }

    /// - Parameter process: The cluster, in place of a development one or of that which HEADWATER_TEST_KAFKA names.
    init(_ delivery: RouteDelivery = RouteDelivery(), at process: KafkaProcess? = nil) throws {
        self.delivery = delivery
        kafka = BridgeUnderTest.isEmbedded && process == nil ? try DevelopmentKafka.start(brokers: 1) : nil
        bootstrapServers = process?.bootstrapServers ?? BridgeUnderTest.externalKafka ?? kafka?.bootstrapServers ?? ""
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("outbox-test-\(UUID().uuidString)").path
    }

    deinit {
        kafka?.stop()
        try? FileManager.default.removeItem(atPath: directory)
    }

    func start() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = ProcessInfo.processInfo.environment["HEADWATER_TEST_LOG"] == nil ? .critical : .debug
        var made = KafkaRoute(
            name: "telemetry", filters: [try TopicFilter("telemetry/#")], cluster: "main", topic: try RecordTemplate(topic),
            key: try RecordTemplate("${topic[2]}"))
        made.delivery = delivery
        try route(&made)
        let main = KafkaCluster(
            name: "main", bootstrapServers: address ?? bootstrapServers,
            properties: ["reconnect.backoff.max.ms": "200", "linger.ms": "2"].merging(properties) { $1 })
        let bridge = try KafkaBridge(
            configuration: KafkaConfiguration(clusters: [main] + moreClusters, routes: [made] + moreRoutes), flushSeconds: 5, logger: logger)
        self.bridge = bridge
        let (directory, tenant) = (directory, tenant)
        harness = try await BrokerHarness.start(eventLoops: loops, plugins: [bridge]) {
            if let tenant { $0.listeners[0].tenant = .listener(name: tenant) }
            $0.store.directory = directory
            $0.store.durability = .commit
        }
    }

    func stop() async {
        await harness.stop()
        harness = nil
        bridge = nil
    }

    var outbox: OutboxRoute { bridge.outboxes[0].outbox }
    var figures: RouteBalance.Figures { outbox.balance.figures }
    var queued: Int { outbox.shards.reduce(0) { $0 + $1.queue.figures.entries } }

    func device(_ id: String = "pump-7", version: ProtocolVersion = .v5) async throws -> ScriptedClient {
        let device = try await harness.open(version: version)
        try await device.connect(clientID: id, sessionExpirySeconds: version == .v5 ? 1000 : nil)
        return device
    }

    static func reading(
        _ number: Int, of device: String = "pump-7", qos: QoS = .atLeastOnce, id: UInt16? = nil, bytes: Int = 0, properties: [UserProperty] = []
    ) -> Publish {
        var publish = Publish(
            topic: "telemetry/\(device)/temperature", payload: Array("\(number)".utf8) + [UInt8](repeating: 0x20, count: bytes), qos: qos, retain: false,
            packetID: qos == .atMostOnce ? 0 : id ?? UInt16(number % 60_000 + 1))
        publish.properties.userProperties = properties
        return publish
    }

    /// Waits until everything that was taken has left, and checks the balance on the way.
    func drained(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await eventually("the outbox is empty, not \(figures), \(queued) stored", sourceLocation: sourceLocation) {
            #expect(figures.isBalanced, "\(figures)")
            return figures.outbox == 0 && queued == 0
        }
    }

    func records(of topic: String? = nil) throws -> [ConsumedRecord] { try Kcat.consume(topic ?? self.topic, from: bootstrapServers, properties) }

    /// In order, each at its first appearance: at least once is the promise.
    func payloads() throws -> [String] {
        var seen: Set<String> = []
        return try records().map { $0.payload.trimmingCharacters(in: .whitespaces) }.filter { seen.insert($0).inserted }
    }
}
