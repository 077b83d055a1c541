import Logging
import MQTTModel
import PluginAPI
import Synchronization

/// Keeps every user inside its own part of the topic tree: an example of a plugin that says who may come in and what
/// they may do. docs/plugins.md walks through it.
///
/// A user publishes to topics and subscribes to filters that begin with its territory, and to no others. A client without
/// a user has no territory.
public final class TopicFence: BrokerPlugin {
    /// One user of the list.
    public struct User: Sendable {
        /// In the clear, as this is an example: a list that lives in a file holds salted hashes.
        public let password: String
        /// First levels of the user's topics, with the slash: `plant/4/`. Holds no wildcard.
        public let territory: String

        public init(password: String, territory: String) {
            self.password = password
            self.territory = territory
        }
    }

    public let name = "topic-fence"
    private let users: [String: User]
    /// What went wrong, summed over the loops; the one thing here that changes.
    let refusals = Refusals()

    public init(users: [String: User]) { self.users = users }

    public func start(_ context: PluginContext) async throws {
        for (name, user) in users where !user.territory.hasSuffix("/") || (try? TopicName(user.territory)) == nil {
            throw TerritoryError(user: name, territory: user.territory)
        }
        context.logger.info("topic fence", metadata: ["users": "\(users.count)"])
    }

    public var authenticator: (any Authenticator)? { UserList(users: users) }

    public func makeLoopHooks(loop: Int) -> any LoopHooks {
        FenceHooks(territories: users.mapValues { Array($0.territory.utf8) }, refusals: refusals)
    }

    public func metrics() -> [PluginMetric] {
        [
            PluginMetric(
                name: "headwater_topic_fence_refused_total", help: "Requests outside the user's territory", kind: .counter,
                labels: [("request", "publish")], value: Double(refusals.publish.load(ordering: .relaxed))),
            PluginMetric(
                name: "headwater_topic_fence_refused_total", help: "Requests outside the user's territory", kind: .counter,
                labels: [("request", "subscribe")], value: Double(refusals.subscribe.load(ordering: .relaxed))),
        ]
    }
}

/// Counted on the loops, read by whoever asks for metrics.
final class Refusals: Sendable {
    let publish = Atomic(0)
    let subscribe = Atomic(0)
}

/// A territory that could never fit. The operator's mistake: it stops the start of the broker.
public struct TerritoryError: Error, CustomStringConvertible {
    public let user: String
    public let territory: String

    public var description: String {
        "user \(user): territory \"\(territory)\" must be the first levels of a topic, without wildcards, and end in /"
    }
}
