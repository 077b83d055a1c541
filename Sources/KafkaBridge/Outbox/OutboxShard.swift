import Logging
import PluginAPI
import Synchronization

/// One queue of a route, as event loops, the store and the thread that ships it share it.
final class OutboxShard: Sendable {
    let queue: any OutboxQueue
    let store: any PluginStore
    /// Entries below it are from an earlier life of the process.
    let firstOfThisLife: UInt64
    private let state = Mutex(State())
    /// The thread waits for librdkafka: it has to be woken for new entries.
    private let isAsleep = Atomic(false)

    private struct State {
        /// Publishers that wait for Kafka, by entry.
        var holds: [UInt64: PublishHold] = [:]
        var wake: (@Sendable () -> Void)?
        /// What the store has done for the thread.
        var done: [Done] = []
        var isStopping = false
        var isStopped = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    init(queue: any OutboxQueue, store: any PluginStore) {
        self.queue = queue
        self.store = store
        firstOfThisLife = queue.figures.nextSequence
        queue.onAppend { [weak self] in self?.wakeUp() }
    }

    // MARK: The store's side

    /// Publishers' acknowledgements that wait for Kafka, one by one.
    func ticket(for hold: PublishHold?, duplicate: @escaping @Sendable () -> Void) -> Ticket {
        Ticket(shard: self, hold: hold, duplicate: duplicate)
    }

    final class Ticket: OutboxEntryTicket {
        private let shard: OutboxShard
        private let hold: PublishHold?
        private let duplicate: @Sendable () -> Void

        init(shard: OutboxShard, hold: PublishHold?, duplicate: @escaping @Sendable () -> Void) {
            self.shard = shard
            self.hold = hold
            self.duplicate = duplicate
        }

        func stored(sequence: UInt64?) {
            guard let sequence else {
                duplicate()
                hold?.recordEnded(.fulfilled)
                return
            }
            if let hold { shard.state.withLock { $0.holds[sequence] = hold } }
        }
    }

    /// What the store has done, for the shipping thread.
    enum Done {
        /// Entries up to this one are removed.
        case removed(upTo: UInt64)
        /// The entry is among the local dead letters.
        case buried(UInt64, reason: String)
    }

    func tell(_ done: Done) {
        state.withLock { $0.done.append(done) }
        wakeUp()
    }

    private func wakeUp() {
        guard isAsleep.exchange(false, ordering: .acquiringAndReleasing) else { return }
        state.withLock { $0.wake?() }
    }

    // MARK: The thread's side

    /// How the thread is woken from its wait; `nil`: it does not wait in librdkafka.
    func wakes(by wake: (@Sendable () -> Void)?) { state.withLock { $0.wake = wake } }

    /// Announces that the thread is about to wait.
    /// - Returns: `false`: there is something to do already.
    func fallsAsleep(whenNothingFrom sequence: UInt64) -> Bool {
        isAsleep.store(true, ordering: .sequentiallyConsistent)
        let isIdle = queue.figures.nextSequence <= sequence && state.withLock { $0.done.isEmpty }
        if !isIdle { isAsleep.store(false, ordering: .sequentiallyConsistent) }
        return isIdle
    }

    func wokeUp() { isAsleep.store(false, ordering: .sequentiallyConsistent) }

    func takeDone() -> [Done] {
        state.withLock { state in
            defer { state.done = [] }
            return state.done
        }
    }

    /// The entry has left for good.
    func complete(_ sequence: UInt64, _ outcome: PublishOutcome) {
        guard let hold = state.withLock({ $0.holds.isEmpty ? nil : $0.holds.removeValue(forKey: sequence) }) else { return }
        hold.recordEnded(outcome)
    }

    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Tells the thread to end, and waits for it.
    func stop() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                state.isStopping = true
                if !state.isStopped { state.waiters.append(continuation) }
                return state.isStopped
            }
            if isOver { return continuation.resume() }
            isAsleep.store(false, ordering: .sequentiallyConsistent)
            state.withLock { $0.wake?() }
        }
    }

    /// The thread has ended.
    func ended() {
        let waiters = state.withLock { state in
            state.isStopped = true
            state.wake = nil
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
