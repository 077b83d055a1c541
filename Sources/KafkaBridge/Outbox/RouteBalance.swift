import Synchronization

/// What became of the messages of one route: `in = sent + outbox + dead + dropped`, at every moment, because every change is one
/// step under one lock.
final class RouteBalance: Sendable {
    enum DropReason: String, Sendable, CaseIterable {
        /// The outbox was full.
        case full
        /// Older than the route allows.
        case expired
        /// The queue had an entry with the same deduplication key.
        case duplicate
        /// The route sends at most once and Kafka did not take it.
        case unsent
        /// The store could not read it any more.
        case damaged
    }

    struct Figures: Sendable, Equatable {
        /// Messages that took the route, with those found in the outbox at start and dead letters that were sent again.
        var received = 0
        /// Dead letters that an operator has put into the outbox again.
        var resent = 0
        var sent = 0
        var sentBytes = 0
        var outbox = 0
        var outboxBytes = 0
        /// In the dead-letter topic, or kept here.
        var dead: [String: Int] = [:]
        var dropped: [DropReason: Int] = [:]
        var retried = 0
        /// Refused before they were taken: not part of the balance.
        var refused: [String: Int] = [:]
        var latency = LatencyBuckets()

        var deadTotal: Int { dead.values.reduce(0, +) }
        var droppedTotal: Int { dropped.values.reduce(0, +) }
        var isBalanced: Bool { received == sent + outbox + deadTotal + droppedTotal }
    }

    private struct State {
        var figures = Figures()
        var tenantBytes: [String: Int] = [:]
    }

    private let state = Mutex(State())

    var figures: Figures { state.withLock { $0.figures } }
    var outboxCount: Int { state.withLock { $0.figures.outbox } }
    func outboxBytes(ofTenant tenant: String) -> Int { state.withLock { $0.tenantBytes[tenant] ?? 0 } }

    /// What the store had at the start.
    func recovered(entries: Int, bytes: Int, tenants: [String: Int]) {
        state.withLock {
            $0.figures.received += entries
            $0.figures.outbox += entries
            $0.figures.outboxBytes += bytes
            $0.tenantBytes.merge(tenants, uniquingKeysWith: +)
        }
    }

    /// Dead letters are put into the outbox again. They count as if they came in: what they ended as before may have been counted in an
    /// earlier life of the process, and a count never goes back. Called before the store is told, so that nobody ships what is not counted.
    func cameBack(entries: Int, bytes: Int) {
        state.withLock {
            $0.figures.received += entries
            $0.figures.resent += entries
            $0.figures.outbox += entries
            $0.figures.outboxBytes += bytes
        }
    }

    /// Takes a message, unless there is no room.
    /// - Returns: Whether a bound is reached.
    func admit(bytes: Int, tenant: String?, outbox: RouteOutbox) -> (isTaken: Bool, isFull: Bool) {
        state.withLock { state in
            var isFull = state.figures.outboxBytes >= outbox.maxBytes
            if let tenant, let limit = outbox.maxBytesPerTenant, (state.tenantBytes[tenant] ?? 0) >= limit { isFull = true }
            if isFull {
                switch outbox.overflow {
                case .slow, .dropOldest: break
                case .dropNewest:
                    state.figures.received += 1
                    state.figures.dropped[.full, default: 0] += 1
                    return (false, true)
                case .refuse:
                    state.figures.refused["outbox_full", default: 0] += 1
                    return (false, true)
                }
            }
            state.figures.received += 1
            state.figures.outbox += 1
            state.figures.outboxBytes += bytes
            if let tenant { state.tenantBytes[tenant, default: 0] += bytes }
            return (true, isFull)
        }
    }

    /// The broker did not store it after all: another plugin refused it, or the outbox has had it since before a crash.
    func takenBack(bytes: Int, tenant: String) {
        state.withLock { state in
            state.figures.received -= 1
            state.figures.outbox -= 1
            state.figures.outboxBytes -= bytes
            if let old = state.tenantBytes[tenant] { state.tenantBytes[tenant] = old > bytes ? old - bytes : nil }
        }
    }

    func refused(_ reason: String) { state.withLock { $0.figures.refused[reason, default: 0] += 1 } }
    func retried(_ count: Int) { state.withLock { $0.figures.retried += count } }

    enum Ending {
        case sent(nowUnixMilliseconds: Int64)
        case dead(String)
        case dropped(DropReason)
    }

    struct Ended {
        let bytes: Int
        let receivedUnixMilliseconds: Int64
        let tenant: String
    }

    /// These are not in the outbox any more, or will not be once it is told.
    func ended(_ entries: [Ended], _ ending: Ending) {
        guard !entries.isEmpty else { return }
        state.withLock { state in
            for entry in entries {
                state.figures.outbox -= 1
                state.figures.outboxBytes -= entry.bytes
                if !entry.tenant.isEmpty, let bytes = state.tenantBytes[entry.tenant] {
                    state.tenantBytes[entry.tenant] = bytes > entry.bytes ? bytes - entry.bytes : nil
                }
            }
            switch ending {
            case .sent(let now):
                state.figures.sent += entries.count
                for entry in entries {
                    state.figures.sentBytes += entry.bytes
                    state.figures.latency.record(milliseconds: now - entry.receivedUnixMilliseconds)
                }
            case .dead(let reason): state.figures.dead[reason, default: 0] += entries.count
            case .dropped(let reason): state.figures.dropped[reason, default: 0] += entries.count
            }
        }
    }

    func isBelow(_ share: Double, of outbox: RouteOutbox) -> Bool {
        state.withLock { Double($0.figures.outboxBytes) < Double(outbox.maxBytes) * share }
    }
}

/// From PUBLISH received to record acknowledged, in buckets whose bounds grow by about half: enough for a p99.
struct LatencyBuckets: Sendable, Equatable {
    /// Upper bounds in milliseconds; the last bucket has none.
    static let bounds: [Int64] = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000, 60_000, 600_000]
    private(set) var counts = [Int](repeating: 0, count: LatencyBuckets.bounds.count + 1)
    private(set) var sumMilliseconds: Int64 = 0

    mutating func record(milliseconds: Int64) {
        let value = max(milliseconds, 0)
        sumMilliseconds += value
        counts[Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count] += 1
    }

    var count: Int { counts.reduce(0, +) }

    /// The upper bound of the bucket that has the quantile; `nil` without measurements, or beyond the last bound.
    func quantile(_ share: Double) -> Int64? {
        let total = count
        guard total > 0 else { return nil }
        var seen = 0
        for (index, count) in counts.enumerated() {
            seen += count
            if Double(seen) >= Double(total) * share { return index < Self.bounds.count ? Self.bounds[index] : nil }
        }
        return nil
    }
}
