import PluginAPI
import Synchronization

/// The publisher's acknowledgement, waiting for one record or for those of several routes.
enum PublishHold: Sendable {
    /// Nobody waits.
    case none
    case alone(PublishCompletion)
    case shared(SharedHold)

    func recordEnded(_ outcome: PublishOutcome) {
        switch self {
        case .none: break
        case .alone(let completion): completion.complete(outcome)
        case .shared(let hold): hold.recordEnded(outcome)
        }
    }
}

/// Completes when the last of several records has ended; with the first failure, if there was one. The records may
/// belong to different clusters, so they end on different threads.
final class SharedHold: Sendable {
    private let completion: PublishCompletion
    private let state: Mutex<(open: Int, failure: PublishOutcome?)>

    init(_ completion: PublishCompletion, records: Int) {
        self.completion = completion
        self.state = Mutex((records, nil))
    }

    func recordEnded(_ outcome: PublishOutcome) {
        let result: PublishOutcome? = state.withLock { state in
            state.open -= 1
            if outcome != .fulfilled, state.failure == nil { state.failure = outcome }
            return state.open == 0 ? state.failure ?? .fulfilled : nil
        }
        if let result { completion.complete(result) }
    }
}
