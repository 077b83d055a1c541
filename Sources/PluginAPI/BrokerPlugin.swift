import MQTTModel

/// A plugin: code that runs inside the broker and sees this target alone.
///
/// One object for the whole broker, and from it one `LoopHooks` object per event loop. Hooks are called synchronously on
/// their loop and need no locks; whatever waits belongs into `start`, `stop`, an authenticator or a thread of the
/// plugin's own, which answers through `PublishCompletion` or `PluginContext`. docs/plugins.md walks through an example.
public protocol BrokerPlugin: Sendable {
    /// Short name for logs and metrics: letters, digits, `-`.
    var name: String { get }

    /// Called once before the first listener opens. Throwing stops the start of the broker.
    func start(_ context: PluginContext) async throws

    /// Called once, when stored sessions are there and listeners accept connections: what the plugin publishes from now on reaches
    /// everybody. What it publishes before may reach nobody.
    func brokerStarted()

    /// Called once for each event loop, on any thread, before the first connection.
    func makeLoopHooks(loop: Int) -> any LoopHooks

    /// The plugin's authenticator. The first plugin that has one decides.
    var authenticator: (any Authenticator)? { get }

    /// Whether the plugin can do its work now; `/readyz` says no while a plugin is not ready.
    var readiness: PluginReadiness { get }

    /// Current figures for `/metrics`, called about once per scrape, on any thread.
    func metrics() -> [PluginMetric]

    /// Answers an operator: what the broker's HTTP has under `/plugins/NAME/`. Several may run at a time. Cancelled when the operator
    /// has gone; the server waits for at most 65 seconds.
    func administer(_ request: PluginRequest) async -> PluginResponse

    /// Called once, after the listeners have closed and before the loops stop. The broker gives it the configured time.
    func stop() async
}

extension BrokerPlugin {
    public func start(_ context: PluginContext) async throws {}
    public func brokerStarted() {}
    public var authenticator: (any Authenticator)? { nil }
    public var readiness: PluginReadiness { .ready }
    public func metrics() -> [PluginMetric] { [] }
    public func administer(_ request: PluginRequest) async -> PluginResponse { .notFound }
    public func stop() async {}
}

/// What `/readyz` reports of a plugin.
public enum PluginReadiness: Sendable, Equatable {
    case ready
    /// Not able to work now; the text says why, for an operator.
    case notReady(String)
}
