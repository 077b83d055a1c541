import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Threads that compare passwords, so that no event loop does.
///
/// Bounded in every direction: so many threads, each with the memory of one hash; so many logins that wait; and no login is
/// worked on that has waited longer than its client is likely to. The last matters most: after an outage all clients come
/// back at once, and a pool that honoured every one in turn would for ever answer those that have gone.
package final class HashingPool: Sendable {
    package enum Answer: Hashable, Sendable {
        case right
        case wrong
        /// Too many logins at once, or no memory: the client may come back later (0x97).
        case overloaded
    }

    package struct Figures: Hashable, Sendable {
        /// Logins that wait for a thread.
        package internal(set) var waiting = 0
        /// Logins that threads are at.
        package internal(set) var running = 0
        package internal(set) var right = 0
        package internal(set) var wrong = 0
        /// Refused at once, since the queue was full.
        package internal(set) var refused = 0
        /// Refused after `maxWait`.
        package internal(set) var late = 0
        /// Refused for want of memory.
        package internal(set) var unable = 0
    }

    private struct Login {
        let hash: PasswordHash
        let password: [UInt8]
        let arrived: ContinuousClock.Instant
        let answer: @Sendable (Answer) -> Void
    }

    private struct State {
        /// First in, first out; `head` is the next one. Compacted when half of it is gone.
        var logins: [Login] = []
        var head = 0
        var figures = Figures()
        var isStopped = false
    }

    /// What the threads hold; the pool itself is let go by its last user, and stops them then.
    private final class Shared: Sendable {
        let state = Mutex(State())
        let signal = DispatchSemaphore(value: 0)
        let maxWait: Duration
        let maxWaiting: Int
        let verify: @Sendable (PasswordHash, [UInt8]) -> PasswordVerdict

        init(maxWaiting: Int, maxWait: Duration, verify: @escaping @Sendable (PasswordHash, [UInt8]) -> PasswordVerdict) {
            self.maxWaiting = maxWaiting
            self.maxWait = maxWait
            self.verify = verify
        }
    }

    private let shared: Shared
    package let threads: Int

    /// - Parameters:
    ///   - threads: By default half of the processors, at least 1.
    ///   - maxWaiting: Logins that wait; the next one is `.overloaded` at once.
    ///   - maxWait: A login that has waited longer is `.overloaded` without work.
    ///   - verify: For tests that count.
    package init(
        threads: Int? = nil, maxWaiting: Int = 1_000, maxWait: Duration = .seconds(10),
        verify: @escaping @Sendable (PasswordHash, [UInt8]) -> PasswordVerdict = { $0.verify($1) }
    ) {
        self.threads = max(1, threads ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) / 2)
        shared = Shared(maxWaiting: max(1, maxWaiting), maxWait: maxWait, verify: verify)
        for _ in 0..<self.threads {
            let shared = shared
            HashingThread(body: { Self.work(shared) }).start()
        }
    }

    deinit { stop() }

    package var figures: Figures { shared.state.withLock { $0.figures } }

    /// Answers all that wait with `.overloaded` and lets the threads end; what comes later is `.overloaded`.
    package func stop() {
        let waiting = shared.state.withLock { state in
            state.isStopped = true
            defer {
                state.logins = []
                state.head = 0
                state.figures.waiting = 0
            }
            return state.logins[state.head...]
        }
        for _ in 0..<threads { shared.signal.signal() }
        for login in waiting { login.answer(.overloaded) }
    }

    /// - Parameter answer: Called once, on a thread of the pool, or on this one when the queue is full.
    package func verify(_ password: [UInt8], against hash: PasswordHash, answer: @escaping @Sendable (Answer) -> Void) {
        let login = Login(hash: hash, password: password, arrived: .now, answer: answer)
        let isAdmitted = shared.state.withLock { state in
            guard !state.isStopped, state.figures.waiting < shared.maxWaiting else {
                state.figures.refused += 1
                return false
            }
            state.logins.append(login)
            state.figures.waiting += 1
            return true
        }
        if isAdmitted { shared.signal.signal() } else { answer(.overloaded) }
    }

    package func verify(_ password: [UInt8], against hash: PasswordHash) async -> Answer {
        await withCheckedContinuation { continuation in verify(password, against: hash) { continuation.resume(returning: $0) } }
    }

    /// A user that doesn't exist takes as long as one that does.
    package func verify(_ username: [UInt8], password: [UInt8], in table: PasswordTable) async -> Answer {
        await verify(password, against: table.challenge(for: username))
    }

    private static func work(_ shared: Shared) {
        while true {
            shared.signal.wait()
            let next = shared.state.withLock { state -> Login? in
                guard state.head < state.logins.count else { return nil }
                let login = state.logins[state.head]
                state.head += 1
                if state.head * 2 >= state.logins.count {
                    state.logins.removeFirst(state.head)
                    state.head = 0
                }
                state.figures.waiting -= 1
                state.figures.running += 1
                return login
            }
            guard let next else {
                if shared.state.withLock({ $0.isStopped }) { return }
                continue
            }
            let isLate = next.arrived.duration(to: .now) > shared.maxWait
            let verdict = isLate ? nil : shared.verify(next.hash, next.password)
            shared.state.withLock { state in
                state.figures.running -= 1
                switch verdict {
                case .right: state.figures.right += 1
                case .wrong: state.figures.wrong += 1
                case .unable: state.figures.unable += 1
                case nil: state.figures.late += 1
                }
            }
            next.answer(verdict == .right ? .right : verdict == .wrong ? .wrong : .overloaded)
        }
    }
}
