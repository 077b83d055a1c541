import Foundation
import Logging
import MQTTModel
import PluginAPI
import Synchronization
import Testing

@testable import KafkaBridge

/// The broker's side of completions: notes them in order.
final class Outcomes: PublishCompletionSink {
    struct Entry: Equatable {
        let token: UInt64
        let outcome: PublishOutcome
    }
    private let entries = Mutex<[Entry]>([])
    var all: [Entry] { entries.withLock { $0 } }
    var fulfilled: Int { all.count { $0.outcome == .fulfilled } }
    func complete(token: UInt64, outcome: PublishOutcome) { entries.withLock { $0.append(Entry(token: token, outcome: outcome)) } }
}

/// A started bridge with one loop, in the place of a broker.
///
/// Writes to a development cluster, or to the one that HEADWATER_TEST_KAFKA names; `kafka` is `nil` then.
final class BridgeUnderTest {
    let bridge: KafkaBridge
    let hooks: any LoopHooks
    let outcomes = Outcomes()
    let kafka: DevelopmentKafka?
    let bootstrapServers: String
    private(set) var published: UInt64 = 0

    static let externalKafka = ProcessInfo.processInfo.environment["HEADWATER_TEST_KAFKA"]
    /// Tests that make the cluster fail need one that can be told to.
    static let isEmbedded = externalKafka == nil

    init(properties: [String: String] = [:], brokers: Int = 1, maxTopics: Int = 10_000, routes: [KafkaRoute]) async throws {
        if let address = Self.externalKafka {
            kafka = nil
            bootstrapServers = address
        } else {
            let kafka = try DevelopmentKafka.start(brokers: brokers)
            self.kafka = kafka
            bootstrapServers = kafka.bootstrapServers
        }
        let properties = ["statistics.interval.ms": "200", "reconnect.backoff.max.ms": "200"].merging(properties) { $1 }
        let cluster = KafkaCluster(name: "main", bootstrapServers: bootstrapServers, properties: properties, maxTopics: maxTopics)
        var logger = Logger(label: "test")
        logger.logLevel = ProcessInfo.processInfo.environment["HEADWATER_TEST_LOG"] == nil ? .critical : .debug
        var configuration = KafkaConfiguration(clusters: [cluster], routes: routes)
        configuration.brokerName = "b-test"
        bridge = try KafkaBridge(configuration: configuration, logger: logger)
        hooks = bridge.makeLoopHooks(loop: 0)
        try await bridge.start(PluginContext(logger: logger, loopCount: 1) { _ in })
    }

    var producer: KafkaProducer { get throws { try #require(bridge.producers["main"]) } }
    var figures: RouteCounters.Figures { bridge.routes[0].counters.figures }

    @discardableResult
    func publish(
        _ topic: String, _ payload: String, qos: QoS = .atLeastOnce, isRetained: Bool = false, properties: PublishProperties = .init(),
        client: ClientInfo? = BridgeUnderTest.client("pump-7")
    ) throws -> PublishDecision {
        let message = Message(
            topic: try TopicName(topic), payload: Array(payload.utf8), qos: qos, isRetained: isRetained, properties: properties, publisher: client)
        published += 1
        return hooks.willPublish(message, completion: PublishCompletion(sink: outcomes, token: published), outbox: PublishOutbox())
    }

    static func client(_ id: String, username: String? = nil) -> ClientInfo {
        ClientInfo(tenant: "acme", clientID: id, username: username, protocolVersion: .v5, peerAddress: "192.0.2.1:1", listener: "l")
    }

    /// Waits until every publish is completed.
    func settle(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await eventually(
            "all \(published) publishes are completed, not \(outcomes.all.count); \(try producer.figures)", sourceLocation: sourceLocation
        ) {
            outcomes.all.count == Int(published)
        }
    }

    func stop() async {
        await bridge.stop(flushSeconds: 0)
        kafka?.stop()
    }

    /// A Kafka topic that no other test and no earlier run has used.
    static func freshTopic() -> String { "headwater-test-\(UInt64.random(in: .min ... .max))" }
}

/// Waits for a condition, for as long as the mock cluster may take.
func eventually(
    _ claim: @autoclosure () throws -> String, sourceLocation: SourceLocation = #_sourceLocation, isolation: isolated (any Actor)? = #isolation,
    _ condition: () throws -> Bool
) async throws {
    let start = ContinuousClock.now
    while try !condition() {
        if ContinuousClock.now - start > InboundUnderTest.patience {
            Issue.record("never came true: \(try claim())", sourceLocation: sourceLocation)
            throw CancellationError()
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// A record as kcat sees it.
struct ConsumedRecord: Equatable {
    var key: String?
    var payload: String
    var headers: [String]
    var partition: Int
    var timestamp: Int64

    func header(_ name: String) -> String? {
        stride(from: 0, to: headers.count, by: 2).first { headers[$0] == name }.map { headers[$0 + 1] }
    }
}

/// kcat, an independent consumer.
enum Kcat {
    /// Every record of a topic, in order per partition.
    static func consume(_ topic: String, from bootstrapServers: String, _ properties: [String: String] = [:]) throws -> [ConsumedRecord] {
        let paths = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/kcat" }
        let path = try #require(paths.first { FileManager.default.isExecutableFile(atPath: $0) }, "kcat is not in PATH: apt install kcat")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["-C", "-b", bootstrapServers, "-t", topic, "-o", "beginning", "-e", "-q", "-J"] + properties.flatMap { ["-X", "\($0)=\($1)"] }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "kcat failed")
        return try text.split(separator: UInt8(ascii: "\n")).map { line in
            let json = try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
            return ConsumedRecord(
                key: json["key"] as? String, payload: json["payload"] as? String ?? "(null)",
                headers: (json["headers"] as? [Any])?.map { $0 as? String ?? "(null)" } ?? [],
                partition: json["partition"] as? Int ?? -1, timestamp: (json["ts"] as? NSNumber)?.int64Value ?? 0)
        }
    }
}
