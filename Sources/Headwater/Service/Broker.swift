import Logging
import MQTTModel
import PluginAPI
import ServiceLifecycle

/// An MQTT broker in this process.
public final class Broker: Service, Sendable {
    public let configuration: BrokerConfiguration
    private let logger: Logger

    /// - Parameter plugins: In the order in which their hooks are called.
    public init(configuration: BrokerConfiguration = BrokerConfiguration(), plugins: [any BrokerPlugin] = [], logger: Logger = Logger(label: "headwater")) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Starts the plugins and opens the listeners.
    /// - Throws: `BrokerError` when a listener can't be opened or a plugin fails to start; nothing stays open then.
    public func start() async throws {}

    /// Listeners with the addresses they are bound to (port 0 resolved). Empty before `start`.
    public var boundListeners: [BoundListener] { [] }

    /// Stops cleanly: listeners close, v5 clients get DISCONNECT 0x8B, plugins flush within their time. Idempotent.
    public func stop() async {}

    /// `start`, then serve until the task is cancelled or graceful shutdown begins, then `stop`.
    public func run() async throws {
        try await start()
        try? await gracefulShutdown()
        await stop()
    }

    /// Routes a message to all subscribers, as if a client of the broker's own had published it.
    public func publish(_ message: Message) async {}

    public func statistics() async -> BrokerStatistics { BrokerStatistics() }

    /// Whether the listeners are open and every plugin is ready; otherwise what is missing.
    public func readiness() -> [String] { [] }

    /// Current figures of the plugins.
    public func pluginMetrics() -> [PluginMetric] { [] }
}

public struct BoundListener: Sendable, Equatable {
    public let name: String
    /// With the port that the system chose, where 0 was asked for.
    public let address: ListenerConfiguration.Address
}

/// Why a broker could not start. The text says what to do.
public struct BrokerError: Error, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
