import MQTTModel
import PluginAPI
import Synchronization

/// The fence on one event loop. Runs for each PUBLISH and SUBSCRIBE, so it compares bytes and makes no text.
final class FenceHooks: LoopHooks {
    let interests: HookInterests = [.authorizePublish, .authorizeSubscribe]
    private let territories: [String: [UInt8]]
    private let refusals: Refusals

    init(territories: [String: [UInt8]], refusals: Refusals) {
        self.territories = territories
        self.refusals = refusals
    }

    func mayPublish(_ client: ClientInfo, topic: UnsafeRawBufferPointer, qos: QoS, isRetained: Bool) -> AccessDecision {
        if let territory = territory(of: client), topic.starts(with: territory) { return .allow }
        refusals.publish.wrappingAdd(1, ordering: .relaxed)
        return .deny(.notAuthorized)
    }

    /// A filter that begins with the territory, letter by letter, has no wildcard there: all that it matches is inside.
    func maySubscribe(_ client: ClientInfo, filter: TopicFilter, qos: QoS) -> SubscribeDecision {
        if let territory = territory(of: client), filter.pattern.utf8.starts(with: territory) { return .grant(qos) }
        refusals.subscribe.wrappingAdd(1, ordering: .relaxed)
        return .refuse(.notAuthorized)
    }

    private func territory(of client: ClientInfo) -> [UInt8]? { client.username.flatMap { territories[$0] } }
}
