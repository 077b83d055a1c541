import Logging
import MQTTModel
import PluginAPI
import Synchronization

/// An inbound route at work, as its thread, the event loops, the store and scrapes share it.
final class InboundRoute: Sendable {
    let configuration: KafkaInboundRoute
    let cluster: KafkaCluster
    let context: PluginContext
    let counters = InboundCounters()
    let control: RouteControl
    /// Name of this broker in hop lists.
    let brokerName: String
    private let logger: Logger
    private let logLimit = LogLimit(lines: 10, seconds: 10)
    private let state = Mutex(State())

    /// A record that everybody has.
    struct Completion: Sendable {
        /// Place in the thread's list of partitions.
        let partition: Int
        /// Of the partition's window; completions of an earlier one are nobody's any more.
        let generation: Int
        let offset: Int64
    }

    /// What has happened elsewhere since the thread last asked.
    struct News: Sendable {
        var completions: [Completion] = []
        /// The store has what it was given last.
        var isStored = false
    }

    private struct State {
        var news = News()
        var isRunning = false
        var isStopping = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    init(_ configuration: KafkaInboundRoute, cluster: KafkaCluster, context: PluginContext, brokerName: String, logger: Logger) {
        self.configuration = configuration
        self.cluster = cluster
        self.context = context
        self.brokerName = brokerName
        self.logger = logger
        control = RouteControl(route: "in/\(configuration.name)", store: context.store)
    }

    var store: (any PluginStore)? { context.store }

    var group: String {
        configuration.group ?? store.map { "headwater-\($0.identity)-\(configuration.name)" } ?? "headwater-\(configuration.name)"
    }

    /// Names a partition in the store: where reading goes on, and who has which record.
    func source(topic: String, partition: Int32) -> String { "kafka/in/\(configuration.name)/\(topic)/\(partition)" }

    // MARK: Between the thread and the others

    func completed(_ completion: Completion) { state.withLock { $0.news.completions.append(completion) } }
    func stored() { state.withLock { $0.news.isStored = true } }

    func takeNews() -> News {
        state.withLock { state in
            defer { state.news = News() }
            return state.news
        }
    }

    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// - Returns: `false`: it is running, or has been stopped already.
    func begins() -> Bool {
        state.withLock { state in
            guard !state.isRunning, !state.isStopping else { return false }
            state.isRunning = true
            return true
        }
    }

    func ended() {
        let waiters = state.withLock { state in
            state.isRunning = false
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Tells the thread to end, and waits for it.
    func stop() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                state.isStopping = true
                if state.isRunning { state.waiters.append(continuation) }
                return !state.isRunning
            }
            if isOver { continuation.resume() }
        }
    }

    // MARK: The log

    func log(_ level: Logger.Level, _ text: String, _ more: Logger.Metadata = [:]) {
        guard logger.logLevel <= level, let left = logLimit.admit() else { return }
        logger.log(
            level: level, "\(text)\(left > 0 ? " (\(left) lines were left out)" : "")",
            metadata: ["route": "\(configuration.name)", "cluster": "\(cluster.name)"].merging(more) { $1 })
    }

    func skipped(_ record: InboundRecord, _ refusal: InboundRefusal) {
        counters.update { $0.skipped[refusal, default: 0] += 1 }
        // Loops are ended as they should be; they are no news.
        log(
            refusal == .looped ? .debug : .warning, "Kafka record skipped: \(refusal.advice)",
            [
                "reason": "\(refusal.rawValue)", "topic": "\(record.topic)", "partition": "\(record.partition)", "offset": "\(record.offset)",
                "key": "\(LogLimit.quoted(String(decoding: (record.key ?? []).prefix(200), as: UTF8.self)))",
            ])
    }
}
