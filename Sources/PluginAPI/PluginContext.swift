import Logging
import MQTTModel

/// What the broker gives a plugin at start. Usable from any thread.
public struct PluginContext: Sendable {
    public let logger: Logger
    /// Number of event loops, fixed for the broker's life.
    public let loopCount: Int
    /// `nil`: the broker keeps everything in memory.
    public let store: (any PluginStore)?
    private let publishMessage: @Sendable (Message) -> Void
    private let publishFromSource: @Sendable (Message, _ source: String, _ number: UInt64, _ completion: @escaping @Sendable () -> Void) -> Void

    public init(
        logger: Logger, loopCount: Int, store: (any PluginStore)? = nil,
        publishFromSource: @escaping @Sendable (Message, String, UInt64, @escaping @Sendable () -> Void) -> Void = { _, _, _, completion in completion() },
        publish: @escaping @Sendable (Message) -> Void
    ) {
        self.publishFromSource = publishFromSource
        self.store = store
        self.logger = logger
        self.loopCount = loopCount
        self.publishMessage = publish
    }

    /// Routes a message of the plugin's own to subscribers of its publisher's tenant, the default tenant's without a publisher. It
    /// passes no publish hooks.
    public func publish(_ message: Message) { publishMessage(message) }

    /// Routes a message that comes from somewhere with numbers of its own, so that each stored session gets it once, however often it is
    /// published again after a crash: until `StoreChange.forget`, the store remembers who has it.
    ///
    /// - Parameters:
    ///   - source: Where it comes from, such as a partition of a Kafka topic.
    ///   - number: Its place there. Of one source, fewer than 65,536 consecutive numbers may be unforgotten at a time.
    ///   - completion: Called on an event loop when everybody for whom the store keeps it has it there.
    public func publish(_ message: Message, from source: String, number: UInt64, completion: @escaping @Sendable () -> Void) {
        publishFromSource(message, source, number, completion)
    }
}
