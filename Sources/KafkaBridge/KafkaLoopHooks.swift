import MQTTModel
import PluginAPI

/// The bridge on one event loop: turns a PUBLISH into records, into the outbox or straight to a producer, and holds its
/// acknowledgement where a route waits for Kafka.
final class KafkaLoopHooks: LoopHooks {
    let interests: HookInterests = [.publish]
    let publishFilters: [TopicFilter]
    let storesEntries: Bool
    private let routes: [ActiveRoute]
    private var plans = TopicPlans()

    init(routes: [ActiveRoute]) {
        self.routes = routes
        var filters: [TopicFilter] = []
        for filter in routes.flatMap(\.route.configuration.filters) where !filters.contains(filter) { filters.append(filter) }
        publishFilters = filters
        storesEntries = routes.contains { $0.outbox != nil }
    }

    /// QoS 0 is held too where records are in memory: nothing waits for it, but a publisher with many held messages is slowed, and
    /// so a Kafka cluster that hangs slows publishers instead of filling memory.
    func willPublish(_ message: Message, completion: PublishCompletion, outbox: PublishOutbox) -> PublishDecision {
        let plan = message.withParts { topic, _, _ in
            plans.plan(for: topic) { name in routes.filter { $0.route.matches(name) }.map { RoutePlan(route: $0.route, outbox: $0.outbox) } }
        }
        switch plan.routes.count {
        case 0: return .proceed
        case 1: return publish(message, plan.routes[0], completion, outbox)
        default: return publishToSeveral(message, plan.routes, completion, outbox)
        }
    }

    private func publish(_ message: Message, _ plan: RoutePlan, _ completion: PublishCompletion, _ publishOutbox: PublishOutbox) -> PublishDecision {
        plan.route.tap.published(message, plan.route)
        if let outbox = plan.outbox {
            let hold: PublishHold? = awaitsKafka(plan, message) ? .alone(completion) : nil
            switch outbox.admit(message, plan, hold: hold, into: publishOutbox) {
            case .stored, .dropped: return .proceed
            case .awaited: return .hold
            case .refused: return .refuse(.quotaExceeded)
            case .unfit: return .refuse(.payloadFormatInvalid)
            }
        }
        do {
            let binding = try plan.bind(message)
            let isAwaited = plan.route.configuration.delivery.level != .atMostOnce
            send(message, binding, isAwaited ? .alone(completion) : .none)
            return isAwaited ? .hold : .proceed
        } catch {
            plan.route.refused(message, error)
            return .refuse(error.reasonCode)
        }
    }

    private func awaitsKafka(_ plan: RoutePlan, _ message: Message) -> Bool {
        plan.route.configuration.delivery.acknowledgement == .kafka && message.qos != .atMostOnce
    }

    /// All routes or none: a refusal by one leaves no record of the message anywhere.
    private func publishToSeveral(
        _ message: Message, _ plans: [RoutePlan], _ completion: PublishCompletion, _ publishOutbox: PublishOutbox
    ) -> PublishDecision {
        for plan in plans { plan.route.tap.published(message, plan.route) }
        var bindings: [RouteBinding] = []
        for plan in plans where plan.outbox == nil {
            do {
                bindings.append(try plan.bind(message))
            } catch {
                plan.route.refused(message, error)
                return .refuse(error.reasonCode)
            }
        }
        let held = bindings.count { $0.route.configuration.delivery.level != .atMostOnce }
        let awaited = held + plans.count { $0.outbox != nil && awaitsKafka($0, message) }
        // One record more than there are: it ends here, when all are under way.
        let shared = SharedHold(completion, records: awaited + 1)
        for plan in plans {
            guard let outbox = plan.outbox else { continue }
            let waits = awaitsKafka(plan, message)
            switch outbox.admit(message, plan, hold: waits ? .shared(shared) : nil, into: publishOutbox) {
            case .stored, .awaited: break
            case .dropped: if waits { shared.recordEnded(.fulfilled) }
            case .refused: return .refuse(.quotaExceeded)
            case .unfit: return .refuse(.payloadFormatInvalid)
            }
        }
        for binding in bindings {
            send(message, binding, binding.route.configuration.delivery.level == .atMostOnce ? .none : .shared(shared))
        }
        guard awaited > 0 else { return .proceed }
        shared.recordEnded(.fulfilled)
        return .hold
    }

    private func send(_ message: Message, _ binding: RouteBinding, _ hold: PublishHold) {
        binding.route.counters.countReceived()
        binding.route.producer.produce(KafkaRecord(message: message, binding: binding, hold: hold))
    }
}

/// A route, and its outbox if its records are stored.
struct ActiveRoute: Sendable {
    let route: Route
    let outbox: OutboxRoute?
}
