import MQTTModel
import NIOCore
import PluginAPI
import Synchronization

/// Completions come from a plugin's threads, many at a time: they gather, and the loop is woken once.
extension LoopNode: PublishCompletionSink {
    func complete(token: UInt64, outcome: PublishOutcome) {
        let wasEmpty = completions.withLock { completions in
            completions.append((token, outcome))
            return completions.count == 1
        }
        guard wasEmpty else { return }
        eventLoop.execute { [self] in
            let batch = completions.withLock { completions in
                let taken = completions
                completions = []
                return taken
            }
            for (token, outcome) in batch { bound.value?.completed(token, outcome) }
        }
    }
}
