import MQTTModel
import PluginAPI

/// The bridge on one event loop: turns a PUBLISH into records and holds its acknowledgement until Kafka has them all.
final class KafkaLoopHooks: LoopHooks {
    let interests: HookInterests = [.publish]
    let publishFilters: [TopicFilter]
    private let routes: [Route]
    private var plans = TopicPlans()

    init(routes: [Route]) {
        self.routes = routes
        var filters: [TopicFilter] = []
        for filter in routes.flatMap(\.configuration.filters) where !filters.contains(filter) { filters.append(filter) }
        publishFilters = filters
    }

    /// QoS 0 is held too: nothing waits for it, but a publisher with many held messages is slowed, and so a Kafka cluster
    /// that hangs slows publishers instead of filling memory.
    func willPublish(_ message: Message, completion: PublishCompletion) -> PublishDecision {
        let plan = message.withParts { topic, _, _ in
            plans.plan(for: topic) { name in routes.filter { $0.matches(name) }.map(RoutePlan.init) }
        }
        switch plan.routes.count {
        case 0: return .proceed
        case 1:
            do {
                send(message, try plan.routes[0].bind(message), .alone(completion))
                return .hold
            } catch {
                plan.routes[0].route.refused(message, error)
                return .refuse(error.reasonCode)
            }
        default: return publishToSeveral(message, plan.routes, completion)
        }
    }

    /// All routes or none: a refusal by one leaves no record of the message anywhere.
    private func publishToSeveral(_ message: Message, _ plans: [RoutePlan], _ completion: PublishCompletion) -> PublishDecision {
        var bindings: [RouteBinding] = []
        for plan in plans {
            do {
                bindings.append(try plan.bind(message))
            } catch {
                plan.route.refused(message, error)
                return .refuse(error.reasonCode)
            }
        }
        let hold = PublishHold.shared(SharedHold(completion, records: bindings.count))
        for binding in bindings { send(message, binding, hold) }
        return .hold
    }

    private func send(_ message: Message, _ binding: RouteBinding, _ hold: PublishHold) {
        binding.route.counters.countReceived()
        binding.route.producer.produce(KafkaRecord(message: message, binding: binding, hold: hold))
    }
}
