import Admin
import Headwater
import KafkaBridge

/// All that the program `headwater` can be told: the broker's configuration and that of what stands around it.
///
/// Read with `load`; written back, defaults included, with `effectiveYAML`. Every option is optional, and an empty file is
/// the default configuration.
public struct HeadwaterConfiguration: Sendable, Equatable {
    public var broker: BrokerConfiguration
    /// `nil`: no bridge.
    public var kafka: KafkaConfiguration?
    /// `nil`: no HTTP.
    public var http: AdminConfiguration?
    public var log = LogConfiguration()
    /// The user that the program goes on as when its listeners are open, if it was started as root; `nil`: as it was started.
    public var user: String?
    /// Whether a crash may leave an image of the memory, with keys and passwords in it.
    public var allowsCoreDumps = false
    /// Whether `broker.listeners` are the loopback ones that stand in for none named.
    public internal(set) var listensByDefault = true
    /// Kafka properties, as `cluster/property`, whose value came through a `SecretReference` and is never printed.
    var secretProperties: Set<String> = []

    /// The configuration without a file: loopback listeners, anonymous clients allowed on them.
    public init(listeners: [ListenerConfiguration] = LoopbackListeners.listeners()) {
        broker = BrokerConfiguration(listeners: listeners)
    }

    /// Replaces default listeners by loopback ones at `port`.
    /// - Returns: `false`, and nothing changes, when the configuration names listeners of its own.
    public mutating func listenOnLoopback(port: Int) -> Bool {
        guard listensByDefault else { return false }
        broker.listeners = LoopbackListeners.listeners(port: port)
        return true
    }
}

/// What the program logs, and how.
public struct LogConfiguration: Sendable, Equatable {
    public enum Level: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }
    public enum Format: String, Sendable, CaseIterable {
        /// One line for people.
        case text
        /// One JSON object per line.
        case json
    }
    public var level = Level.info
    public var format = Format.text

    public init() {}
}
