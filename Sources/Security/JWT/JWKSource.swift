import Synchronization

/// Keys that somebody else publishes at a URL: fetched now and then, and when a token names a key that isn't known.
///
/// A fetch that fails changes nothing: the last good set stays in force, and `status` says how old it is. How bytes are fetched
/// is the caller's affair; a closure keeps this target free of the network.
package final class JWKSource: Sendable {
    /// - Returns: The document.
    /// - Throws: An error whose description tells an operator why.
    package typealias Fetch = @Sendable () async throws -> [UInt8]

    package struct Status: Hashable, Sendable {
        package internal(set) var keys = 0
        /// On the clock that the caller counts on; `nil` before the first success.
        package internal(set) var lastSuccessMilliseconds: Int64?
        package internal(set) var lastAttemptMilliseconds: Int64?
        /// Why the last attempt failed; `nil` when it didn't.
        package internal(set) var lastError: String?
        package internal(set) var successes = 0
        package internal(set) var failures = 0
        /// Keys of the document that can't be used, and why.
        package internal(set) var unusable: [String] = []

        /// Age of the keys in force; `nil` where there are none yet.
        package func ageMilliseconds(now: Int64) -> Int64? { lastSuccessMilliseconds.map { now - $0 } }
    }

    private struct State {
        var keys = JWTKeySet()
        var status = Status()
        /// Callers that wait for the fetch under way; `nil` when there is none.
        var waiting: [CheckedContinuation<Bool, Never>]?
    }

    private let state = Mutex(State())
    private let fetch: Fetch
    private let algorithms: Set<JWTAlgorithm>?
    package let refreshMilliseconds: Int64
    package let leastMilliseconds: Int64
    private let changed: @Sendable (JWTKeySet) -> Void

    /// - Parameters:
    ///   - refreshMilliseconds: A set older than this is fetched again.
    ///   - leastMilliseconds: No two fetches follow each other faster, whatever tokens say: the other end is somebody's server.
    ///   - changed: Called with each new set, in no particular thread.
    package init(
        refreshMilliseconds: Int64 = 15 * 60_000, leastMilliseconds: Int64 = 30_000, algorithms: Set<JWTAlgorithm>? = nil,
        fetch: @escaping Fetch, changed: @escaping @Sendable (JWTKeySet) -> Void = { _ in }
    ) {
        self.refreshMilliseconds = refreshMilliseconds
        self.leastMilliseconds = leastMilliseconds
        self.algorithms = algorithms
        self.fetch = fetch
        self.changed = changed
    }

    /// Those in force; empty before the first success.
    package var keys: JWTKeySet { state.withLock { $0.keys } }
    package var status: Status { state.withLock { $0.status } }

    /// Milliseconds until `refresh` is due: after the refresh time, or sooner after a failure.
    package func dueIn(now: Int64) -> Int64 {
        let status = status
        guard let attempt = status.lastAttemptMilliseconds else { return 0 }
        let wait = status.lastError == nil ? refreshMilliseconds : min(refreshMilliseconds, max(leastMilliseconds, 10_000))
        return max(0, attempt + wait - now)
    }

    /// A token names a key that isn't known. Fetches, unless that was done a moment ago; callers at once share one fetch.
    /// - Parameter now: Milliseconds, on any clock that doesn't go back.
    /// - Returns: Whether keys were fetched, so that the token is worth another look.
    package func refreshForUnknownKey(now: Int64) async -> Bool { await refresh(now: now, isForced: false) }

    /// - Returns: Whether keys were fetched.
    @discardableResult
    package func refresh(now: Int64) async -> Bool { await refresh(now: now, isForced: true) }

    /// Refreshes when it is due, until the task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            let wait = dueIn(now: Self.milliseconds())
            if wait > 0 { try? await Task.sleep(for: .milliseconds(wait)) } else { await refresh(now: Self.milliseconds()) }
        }
    }

    /// Milliseconds of the monotonic clock, for callers that have no clock of their own.
    package static func milliseconds() -> Int64 {
        let (seconds, attoseconds) = origin.duration(to: .now).components
        return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }
    private static let origin = ContinuousClock.now

    private func refresh(now: Int64, isForced: Bool) async -> Bool {
        enum Turn { case mine, shared, tooSoon }
        return await withCheckedContinuation { continuation in
            let turn = state.withLock { state -> Turn in
                if state.waiting != nil {
                    state.waiting?.append(continuation)
                    return .shared
                }
                if !isForced, let last = state.status.lastAttemptMilliseconds, now - last < leastMilliseconds { return .tooSoon }
                state.status.lastAttemptMilliseconds = now
                state.waiting = [continuation]
                return .mine
            }
            switch turn {
            case .shared: break
            case .tooSoon: continuation.resume(returning: false)
            // A task of its own: that one caller gives up must not end what others wait for. The fetch is bounded in time.
            case .mine: Task { await self.attempt(now: now) }
            }
        }
    }

    private func attempt(now: Int64) async {
        var document: JWKSDocument?
        var reason: String?
        do {
            document = try JWKSDocument(try await fetch(), allowsSecrets: false, algorithms: algorithms)
        } catch {
            reason = "\(error)"
        }
        let waiting = state.withLock { state in
            if let document {
                state.keys = document.keys
                state.status.keys = document.keys.keys.count
                state.status.unusable = document.unusable
                state.status.lastSuccessMilliseconds = now
                state.status.successes += 1
            } else {
                state.status.failures += 1
            }
            state.status.lastError = reason
            defer { state.waiting = nil }
            return state.waiting ?? []
        }
        if let document { changed(document.keys) }
        for continuation in waiting { continuation.resume(returning: document != nil) }
    }
}
