import MQTTModel
import PluginAPI
import Synchronization

/// A plugin that does what its test says, and remembers what it was told.
final class ScriptedPlugin: BrokerPlugin {
    let name = "scripted"

    struct Script: Sendable {
        var interests: HookInterests = []
        var publishFilters: [TopicFilter] = []
        var connecting: @Sendable (ClientInfo) -> ConnectDecision = { _ in .proceed }
        var mayPublish: @Sendable (String) -> AccessDecision = { _ in .allow }
        var maySubscribe: @Sendable (TopicFilter, QoS) -> SubscribeDecision = { .grant($1) }
        var mayReceive: @Sendable (Message) -> Bool = { _ in true }
        var willPublish: @Sendable (Message) -> PublishDecision = { _ in .proceed }
    }

    private let script: Script
    private let record = Mutex(Record())

    struct Record: Sendable {
        /// One line for each hook that was called, in order.
        var events: [String] = []
        /// Completions of `willPublish`, oldest first.
        var completions: [PublishCompletion] = []
        var isStarted = false
        var isStopped = false
        var context: PluginContext?
    }

    init(_ script: Script) { self.script = script }

    var recorded: Record { record.withLock { $0 } }

    fileprivate func note(_ event: String) { record.withLock { $0.events.append(event) } }
    fileprivate func keep(_ completion: PublishCompletion) { record.withLock { $0.completions.append(completion) } }

    func start(_ context: PluginContext) async throws {
        record.withLock {
            $0.isStarted = true
            $0.context = context
        }
    }

    func makeLoopHooks(loop: Int) -> any LoopHooks { ScriptedHooks(plugin: self, script: script) }

    func stop() async { record.withLock { $0.isStopped = true } }
}

private final class ScriptedHooks: LoopHooks {
    private let plugin: ScriptedPlugin
    private let script: ScriptedPlugin.Script

    init(plugin: ScriptedPlugin, script: ScriptedPlugin.Script) {
        self.plugin = plugin
        self.script = script
    }

    var interests: HookInterests { script.interests }
    var publishFilters: [TopicFilter] { script.publishFilters }

    func clientConnecting(_ client: ClientInfo) -> ConnectDecision { script.connecting(client) }
    func clientConnected(_ client: ClientInfo, sessionPresent: Bool) { plugin.note("connected \(client.clientID) \(sessionPresent)") }
    func clientDisconnected(_ client: ClientInfo, reason: DisconnectReason) {
        plugin.note("disconnected \(client.clientID) \(reason.cause.rawValue)")
    }
    func mayPublish(_ client: ClientInfo, topic: UnsafeRawBufferPointer, qos: QoS, isRetained: Bool) -> AccessDecision {
        script.mayPublish(String(decoding: topic, as: UTF8.self))
    }
    func maySubscribe(_ client: ClientInfo, filter: TopicFilter, qos: QoS) -> SubscribeDecision { script.maySubscribe(filter, qos) }
    func mayReceive(_ client: ClientInfo, message: Message) -> Bool { script.mayReceive(message) }
    func subscribed(_ client: ClientInfo, filter: TopicFilter, qos: QoS) { plugin.note("subscribed \(client.clientID) \(filter) \(qos)") }
    func unsubscribed(_ client: ClientInfo, filter: TopicFilter) { plugin.note("unsubscribed \(client.clientID) \(filter)") }
    func willPublish(_ message: Message, completion: PublishCompletion) -> PublishDecision {
        let decision = script.willPublish(message)
        if case .hold = decision { plugin.keep(completion) }
        return decision
    }
    func delivered(_ client: ClientInfo, message: Message) { plugin.note("delivered \(client.clientID) \(message.topic)") }
}
