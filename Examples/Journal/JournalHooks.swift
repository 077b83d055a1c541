import MQTTModel
import PluginAPI

/// Shows the journal each message on its event loop. The filters are the broker's work: it asks once per topic.
final class JournalHooks: LoopHooks {
    let interests: HookInterests = .publish
    let publishFilters: [TopicFilter]
    private let journal: Journal

    init(journal: Journal, publishFilters: [TopicFilter]) {
        self.journal = journal
        self.publishFilters = publishFilters
    }

    /// QoS 0 has no acknowledgement to hold back; holding it slows a publisher that is faster than the disk.
    func willPublish(_ message: Message, completion: PublishCompletion) -> PublishDecision {
        journal.append(Journal.Entry(message: message, completion: completion))
        return .hold
    }
}
