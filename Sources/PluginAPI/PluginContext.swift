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

    public init(
        logger: Logger, loopCount: Int, store: (any PluginStore)? = nil, publish: @escaping @Sendable (Message) -> Void
    ) {
        self.store = store
        self.logger = logger
        self.loopCount = loopCount
        self.publishMessage = publish
    }

    /// Routes a message of the plugin's own to subscribers of its publisher's tenant, the default tenant's without a publisher. It
    /// passes no publish hooks.
    public func publish(_ message: Message) { publishMessage(message) }
}
