import Foundation
import Headwater
import Logging
import MQTTModel
import PluginAPI
import Synchronization

/// A broker in the test's own process, on a free port of the loopback address.
///
/// ```swift
/// let harness = try await BrokerHarness.start(eventLoops: 3) { $0.sessions.maxQueuedMessages = 10 }
/// let client = try await harness.connect("probe")
/// …
/// await harness.stop()
/// ```
///
/// Few run at once in one process, however many tests the runner starts: a crowd of brokers on two processors would turn
/// every deadline into a matter of luck.
public final class BrokerHarness: Sendable {
    public let broker: Broker
    /// Where the broker listens on TCP.
    public let address: ScriptedClient.Address
    public let port: Int
    private let places: Int
    /// A store made for this harness alone, removed at its end.
    private let temporaryStore: String?
    private let clients = Mutex<[ScriptedClient]>([])

    private init(broker: Broker, port: Int, places: Int, temporaryStore: String?) {
        self.temporaryStore = temporaryStore
        self.broker = broker
        self.port = port
        self.places = places
        address = .tcp(host: "127.0.0.1", port: port)
    }

    /// `HEADWATER_TEST_STORE=commit` (or `sync`, `relaxed`) gives every harness a store, so that the same scenarios run with one.
    private static let wantsStore = ProcessInfo.processInfo.environment["HEADWATER_TEST_STORE"].flatMap {
        BrokerConfiguration.Durability(rawValue: $0)
    }

    /// Starts a broker, after waiting for its turn.
    ///
    /// - Parameters:
    ///   - isAlone: Whether no other harness may run meanwhile: for tests that measure.
    ///   - configure: Changes the configuration. Its first listener is the harness' own; more may be added.
    /// - Throws: What `Broker.start` throws.
    public static func start(
        eventLoops: Int = 1, plugins: [any BrokerPlugin] = [], isAlone: Bool = false,
        logger: Logger = Logger(label: "broker", factory: { _ in SwiftLogNoOpLogHandler() }),
        configure: (inout BrokerConfiguration) -> Void = { _ in }
    ) async throws -> BrokerHarness {
        let places = isAlone ? TestPlaces.all : 1
        await TestPlaces.shared.take(places)
        let temporaryStore = Self.wantsStore.map { _ in
            FileManager.default.temporaryDirectory.appendingPathComponent("headwater-\(UUID().uuidString)").path
        }
        var attempt = 0
        while true {
            let port = FreePort.next()
            var configuration = BrokerConfiguration(listeners: [.loopback(port: port)])
            configuration.eventLoops = eventLoops
            if let temporaryStore, let durability = Self.wantsStore {
                configuration.store.directory = temporaryStore
                configuration.store.durability = durability
            }
            configure(&configuration)
            let broker = Broker(configuration: configuration, plugins: plugins, logger: logger)
            do {
                try await broker.start()
                return BrokerHarness(broker: broker, port: port, places: places, temporaryStore: temporaryStore)
            } catch {
                attempt += 1
                guard error is BrokerError, attempt < 20 else {
                    await TestPlaces.shared.give(places)
                    throw error
                }
            }
        }
    }

    /// Closes the clients that the harness opened, and stops the broker.
    public func stop() async {
        for client in clients.withLock({ $0 }) { await client.close() }
        await broker.stop()
        if let temporaryStore { try? FileManager.default.removeItem(atPath: temporaryStore) }
        await TestPlaces.shared.give(places)
    }

    // MARK: Clients

    /// A client that has sent nothing.
    public func open(version: ProtocolVersion = .v5, receiveBufferBytes: Int? = nil) async throws -> ScriptedClient {
        let client = try await ScriptedClient.open(address, version: version, receiveBufferBytes: receiveBufferBytes)
        clients.withLock { $0.append(client) }
        return client
    }

    // MARK: Figures

    /// The broker's figures when `condition` holds.
    ///
    /// - Parameter claim: What is waited for, in words, for the error.
    /// - Throws: `ScriptedClientError` when it does not within the time.
    @discardableResult
    public func wait(
        for claim: String, within time: Duration = ScriptedClient.patience, file: String = #fileID, line: Int = #line,
        until condition: (BrokerStatistics) -> Bool
    ) async throws -> BrokerStatistics {
        let deadline = ContinuousClock.now + time
        while true {
            let statistics = await broker.statistics()
            if condition(statistics) { return statistics }
            guard ContinuousClock.now < deadline else {
                throw ScriptedClientError("\(claim) did not come true within \(time): \(statistics)", file: file, line: line)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

extension BrokerStatistics {
    /// What of `deliveriesDue` is in no known place: 0, or the broker has lost a message or counted one twice.
    public var unaccountedDeliveries: Int {
        deliveriesDue - delivered - queuedMessages - expired - dropped.values.reduce(0, +)
    }
}
