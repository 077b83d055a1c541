import MQTTModel
import Synchronization

/// Shows the records of a route's live messages to whoever watches, and costs one look at a flag while nobody does.
///
/// Sendable: event loops put in, a watcher's task takes out. A watcher that is full is left alone: no loop ever waits for it.
final class RouteTap: Sendable {
    /// What a message of the route becomes.
    struct Sample: Sendable {
        let mqttTopic: String
        let clientID: String?
        let outcome: Result<OutboxRecord, RecordRefusal>
        /// The length of the value, of which `outcome` has no more than `maxValueBytes`.
        let valueBytes: Int
    }

    static let maxWatchers = 4
    static let maxValueBytes = 256 << 10
    /// What one watcher may hold.
    static let maxBytes = 4 << 20

    private struct Watcher {
        let continuation: AsyncStream<Sample>.Continuation
        var samplesLeft: Int
        var bytesLeft = RouteTap.maxBytes
    }

    private struct State {
        var watchers: [Int: Watcher] = [:]
        var last = 0
    }

    private let isWatched = Atomic(false)
    private let state = Mutex(State())

    var watcherCount: Int { state.withLock { $0.watchers.count } }

    /// Called on an event loop for every message that takes the route.
    func published(_ message: Message, _ route: Route) {
        guard isWatched.load(ordering: .relaxed) else { return }
        show(sample(message, route))
    }

    private func sample(_ message: Message, _ route: Route) -> Sample {
        var length = message.payloadLength
        let outcome: Result<OutboxRecord, RecordRefusal>
        do throws(RecordRefusal) {
            var record = try route.preview(message)
            length = record.value.count
            if length > Self.maxValueBytes { record.value.removeLast(length - Self.maxValueBytes) }
            outcome = .success(record)
        } catch {
            outcome = .failure(error)
        }
        return Sample(mqttTopic: message.topic, clientID: message.publisher?.clientID, outcome: outcome, valueBytes: length)
    }

    private func show(_ sample: Sample) {
        let bytes = min(sample.valueBytes, Self.maxValueBytes) + 1_024
        state.withLock { state in
            for (number, watcher) in state.watchers {
                var watcher = watcher
                watcher.continuation.yield(sample)
                watcher.samplesLeft -= 1
                watcher.bytesLeft -= bytes
                if watcher.samplesLeft > 0, watcher.bytesLeft > 0 {
                    state.watchers[number] = watcher
                } else {
                    watcher.continuation.finish()
                    state.watchers[number] = nil
                }
            }
            isWatched.store(!state.watchers.isEmpty, ordering: .relaxed)
        }
    }

    /// The next `count` messages, fewer where they are large, or those of the next `seconds`. Ends early when its task is cancelled.
    /// - Returns: `nil`: as many watch as may.
    func watch(count: Int, seconds: Double) async -> [Sample]? {
        let (stream, continuation) = AsyncStream.makeStream(of: Sample.self)
        let number: Int? = state.withLock { state in
            guard state.watchers.count < Self.maxWatchers else { return nil }
            state.last += 1
            state.watchers[state.last] = Watcher(continuation: continuation, samplesLeft: count)
            isWatched.store(true, ordering: .relaxed)
            return state.last
        }
        guard let number else { return nil }
        let clock = Task {
            try? await Task.sleep(for: .seconds(seconds))
            continuation.finish()
        }
        var samples: [Sample] = []
        for await sample in stream { samples.append(sample) }
        clock.cancel()
        state.withLock { state in
            state.watchers[number] = nil
            isWatched.store(!state.watchers.isEmpty, ordering: .relaxed)
        }
        return samples
    }
}
