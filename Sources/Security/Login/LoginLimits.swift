/// How many failed logins are borne, and what follows.
package struct LoginLimits: Hashable, Sendable {
    /// Failures of one address within `windowSeconds` that lead to a ban. Fewer than that are forgotten evenly over the window.
    package var attemptsBeforeBan: Int
    package var windowSeconds: Int
    /// The first ban; each further one is twice as long, up to `maxBanSeconds`.
    package var banSeconds: Int
    package var maxBanSeconds: Int
    /// Failures of one user from one address that cost no wait.
    package var freeAttempts: Int
    /// The first wait; each further one is twice as long, up to `maxWaitMilliseconds`.
    package var firstWaitMilliseconds: Int
    package var maxWaitMilliseconds: Int
    /// Failures of one user from all addresses within the window, from which on every address waits `crowdWaitMilliseconds`
    /// before its first try. That slows a guess from many addresses, and locks nobody out.
    package var crowdAttempts: Int
    package var crowdWaitMilliseconds: Int
    /// Logins of one address whose answers are still to come.
    package var maxPending: Int
    /// Entries of each of the three tables, about 100 bytes each. Beyond it the one touched longest ago is forgotten.
    package var maxEntries: Int

    package init(
        attemptsBeforeBan: Int = 10, windowSeconds: Int = 600, banSeconds: Int = 600, maxBanSeconds: Int = 86_400, freeAttempts: Int = 2,
        firstWaitMilliseconds: Int = 250, maxWaitMilliseconds: Int = 30_000, crowdAttempts: Int = 50, crowdWaitMilliseconds: Int = 2_000,
        maxPending: Int = 64, maxEntries: Int = 100_000
    ) {
        self.attemptsBeforeBan = max(1, attemptsBeforeBan)
        self.windowSeconds = max(1, windowSeconds)
        self.banSeconds = max(1, banSeconds)
        self.maxBanSeconds = max(banSeconds, maxBanSeconds)
        self.freeAttempts = max(0, freeAttempts)
        self.firstWaitMilliseconds = max(1, firstWaitMilliseconds)
        self.maxWaitMilliseconds = max(firstWaitMilliseconds, maxWaitMilliseconds)
        self.crowdAttempts = max(1, crowdAttempts)
        self.crowdWaitMilliseconds = max(0, crowdWaitMilliseconds)
        self.maxPending = max(1, maxPending)
        self.maxEntries = max(1, maxEntries)
    }

    /// The wait after so many failures of one user from one address.
    func waitMilliseconds(failures: Int) -> Int64 {
        guard failures > freeAttempts else { return 0 }
        let doublings = min(failures - freeAttempts - 1, 24)
        return min(Int64(maxWaitMilliseconds), Int64(firstWaitMilliseconds) << Int64(doublings))
    }

    /// The ban after so many earlier ones.
    func banMilliseconds(earlierBans: Int) -> Int64 {
        min(Int64(maxBanSeconds), Int64(banSeconds) << Int64(min(earlierBans, 24))) * 1_000
    }
}

/// Failures that are forgotten evenly: after a window, a full measure of them. In thousandths, so that many small steps of time
/// forget as much as one large.
struct FadingCount: Hashable, Sendable {
    private var thousandths: Int64 = 0
    private var asOf: Int64 = 0

    mutating func add(now: Int64, full: Int, windowSeconds: Int) {
        thousandths = level(now: now, full: full, windowSeconds: windowSeconds) + 1_000
        asOf = now
    }

    mutating func clear() { thousandths = 0 }

    /// Whole failures that are not forgotten yet.
    func reaches(_ failures: Int, now: Int64, full: Int, windowSeconds: Int) -> Bool {
        level(now: now, full: full, windowSeconds: windowSeconds) > Int64(failures) * 1_000 - 1_000
    }

    func isEmpty(now: Int64, full: Int, windowSeconds: Int) -> Bool { level(now: now, full: full, windowSeconds: windowSeconds) == 0 }

    private func level(now: Int64, full: Int, windowSeconds: Int) -> Int64 {
        // A second is 1,000 ms and a failure 1,000 thousandths: `full` failures in `windowSeconds` are `full / windowSeconds` per ms.
        let elapsed = min(max(0, now - asOf), Int64(windowSeconds) * 1_000)
        return max(0, thousandths - elapsed * Int64(full) / Int64(windowSeconds))
    }
}
