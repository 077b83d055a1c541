import Synchronization

/// Whether a login may be tried now.
package enum LoginPermission: Hashable, Sendable {
    case yes
    /// Not before so many milliseconds. The caller holds CONNECT back for that long and asks again, or refuses it (0x97).
    case wait(milliseconds: Int64)
    /// Refuse without looking at the password, and close.
    case banned(untilMilliseconds: Int64)
}

/// Counts failed logins, makes guessing slow, and shuts addresses out for a while that go on.
///
/// Addresses are banned; users never are, or a stranger could lock anybody out. A user's failures count for the pair of
/// address and user, which waits longer after each, and, from many addresses together, make the first try of a new address
/// wait a little. All of it is bounded in memory and forgotten in time.
///
/// Time is an argument: milliseconds on any clock that doesn't go back. Every `.yes` is followed by exactly one of `failed`,
/// `succeeded` and `abandoned`.
package final class LoginGuard: Sendable {
    package struct Figures: Hashable, Sendable {
        package internal(set) var failures = 0
        package internal(set) var waits = 0
        package internal(set) var bans = 0
        /// Logins refused by a ban.
        package internal(set) var refused = 0
        /// Entries in the tables.
        package internal(set) var entries = 0
        /// Entries forgotten early, for want of room.
        package internal(set) var evicted = 0
    }

    /// After this long without an answer a login is no longer taken to be under way.
    private static let pendingMilliseconds: Int64 = 60_000

    private struct AddressRecord {
        var failures = FadingCount()
        var bannedUntil = Int64.min
        var bans = 0
        var pending = 0
        var lastGrant = Int64.min
    }

    private struct PairRecord {
        var failures = 0
        var notBefore: Int64
        var touched: Int64
    }

    private struct Pair: Hashable {
        let address: LoginAddress
        let user: UInt64
    }

    private struct State {
        var addresses: RecencyTable<LoginAddress, AddressRecord>
        var pairs: RecencyTable<Pair, PairRecord>
        var users: RecencyTable<UInt64, FadingCount>
        var figures = Figures()
    }

    package let limits: LoginLimits
    private let state: Mutex<State>

    package init(_ limits: LoginLimits = LoginLimits()) {
        self.limits = limits
        state = Mutex(
            State(
                addresses: RecencyTable(capacity: limits.maxEntries), pairs: RecencyTable(capacity: limits.maxEntries),
                users: RecencyTable(capacity: limits.maxEntries)))
    }

    /// Whether an address is shut out now: asked before anything is done for a connection.
    package func isBanned(_ address: LoginAddress, now: Int64) -> Bool {
        address.isLocal ? false : state.withLock { ($0.addresses[address]?.bannedUntil ?? .min) > now }
    }

    package func mayTry(address: LoginAddress, listener: String, user: [UInt8], now: Int64) -> LoginPermission {
        let pair = Self.pair(address, listener, user)
        return state.withLock { state in
            var record = state.addresses[address] ?? AddressRecord()
            if record.bannedUntil > now {
                state.figures.refused += 1
                state.addresses.set(record, for: address)  // who hammers on stays remembered
                return .banned(untilMilliseconds: record.bannedUntil)
            }
            if record.lastGrant != .min, now - record.lastGrant > Self.pendingMilliseconds { record.pending = 0 }
            if let wait = pairWait(pair, now: now, &state) {
                state.figures.waits += 1
                return .wait(milliseconds: wait)
            }
            if !address.isLocal {
                guard record.pending < limits.maxPending else {
                    state.figures.waits += 1
                    return .wait(milliseconds: Int64(limits.firstWaitMilliseconds))
                }
                record.pending += 1
                record.lastGrant = now
                state.addresses.set(record, for: address)
            }
            if var known = state.pairs[pair] {
                // Tries at once would otherwise all be let in before the first has failed.
                known.notBefore = now + limits.waitMilliseconds(failures: known.failures + 1)
                known.touched = now
                state.pairs.set(known, for: pair)
            }
            return .yes
        }
    }

    /// - Returns: The end of the ban, if this failure led to one.
    @discardableResult
    package func failed(address: LoginAddress, listener: String, user: [UInt8], now: Int64) -> Int64? {
        let pair = Self.pair(address, listener, user)
        return state.withLock { state in
            state.figures.failures += 1
            var known = fresh(state.pairs[pair], now: now) ?? PairRecord(notBefore: now, touched: now)
            known.failures += 1
            known.notBefore = now + limits.waitMilliseconds(failures: known.failures)
            known.touched = now
            state.pairs.set(known, for: pair)
            var count = state.users[pair.user] ?? FadingCount()
            count.add(now: now, full: limits.crowdAttempts, windowSeconds: limits.windowSeconds)
            state.users.set(count, for: pair.user)
            guard !address.isLocal else { return nil }
            var record = state.addresses[address] ?? AddressRecord()
            record.pending = max(0, record.pending - 1)
            let until = ban(&record, now: now)
            if until != nil { state.figures.bans += 1 }
            state.addresses.set(record, for: address)
            return until
        }
    }

    package func succeeded(address: LoginAddress, listener: String, user: [UInt8], now: Int64) {
        let pair = Self.pair(address, listener, user)
        state.withLock { state in
            state.pairs.remove(pair)
            state.users.remove(pair.user)
            answered(address, now: now, &state)
        }
    }

    /// The connection ended before its password was looked at, or nobody could look (the pool is overloaded).
    package func abandoned(address: LoginAddress, now: Int64) {
        state.withLock { state in answered(address, now: now, &state) }
    }

    /// Forgets what is held against an address.
    package func pardon(_ address: LoginAddress) { state.withLock { $0.addresses.remove(address) } }

    /// Addresses that are shut out, and until when.
    package func bans(now: Int64) -> [(address: LoginAddress, untilMilliseconds: Int64)] {
        state.withLock { state in
            var bans: [(address: LoginAddress, untilMilliseconds: Int64)] = []
            state.addresses.forEach { if $1.bannedUntil > now { bans.append(($0, $1.bannedUntil)) } }
            return bans
        }
    }

    package var figures: Figures {
        state.withLock { state in
            var figures = state.figures
            figures.entries = state.addresses.count + state.pairs.count + state.users.count
            figures.evicted = state.addresses.evicted + state.pairs.evicted + state.users.evicted
            return figures
        }
    }

    /// Milliseconds for which this pair has to wait; `nil` for none.
    private func pairWait(_ pair: Pair, now: Int64, _ state: inout State) -> Int64? {
        if let known = fresh(state.pairs[pair], now: now) { return known.notBefore > now ? known.notBefore - now : nil }
        state.pairs.remove(pair)
        guard limits.crowdWaitMilliseconds > 0, let count = state.users[pair.user],
            count.reaches(limits.crowdAttempts, now: now, full: limits.crowdAttempts, windowSeconds: limits.windowSeconds)
        else { return nil }
        let wait = Int64(limits.crowdWaitMilliseconds)
        state.pairs.set(PairRecord(notBefore: now + wait, touched: now), for: pair)
        return wait
    }

    private func fresh(_ record: PairRecord?, now: Int64) -> PairRecord? {
        guard let record, now - record.touched <= Int64(limits.windowSeconds) * 1_000 else { return nil }
        return record
    }

    private func ban(_ record: inout AddressRecord, now: Int64) -> Int64? {
        guard record.bannedUntil <= now else { return nil }  // a login that was under way when the ban came
        if record.bans > 0, now - record.bannedUntil > Int64(limits.maxBanSeconds) * 1_000 { record.bans = 0 }
        record.failures.add(now: now, full: limits.attemptsBeforeBan, windowSeconds: limits.windowSeconds)
        guard
            record.failures.reaches(
                limits.attemptsBeforeBan, now: now, full: limits.attemptsBeforeBan, windowSeconds: limits.windowSeconds)
        else { return nil }
        record.bannedUntil = now + limits.banMilliseconds(earlierBans: record.bans)
        record.bans += 1
        record.failures.clear()
        return record.bannedUntil
    }

    private func answered(_ address: LoginAddress, now: Int64, _ state: inout State) {
        guard var record = state.addresses[address] else { return }
        record.pending = max(0, record.pending - 1)
        let isBlank =
            record.pending == 0 && record.bans == 0
            && record.failures.isEmpty(now: now, full: limits.attemptsBeforeBan, windowSeconds: limits.windowSeconds)
        // Addresses that nothing is held against don't take the place of those that something is.
        if isBlank { state.addresses.remove(address) } else { state.addresses.set(record, for: address) }
    }

    /// A user is kept as a number, under a seed of this process: names come from strangers and may have 64 KiB. Two users with
    /// one number would share a wait, and nothing else.
    private static func pair(_ address: LoginAddress, _ listener: String, _ user: [UInt8]) -> Pair {
        var hasher = Hasher()
        hasher.combine(listener)
        hasher.combine(user)
        return Pair(address: address, user: UInt64(bitPattern: Int64(hasher.finalize())))
    }
}
