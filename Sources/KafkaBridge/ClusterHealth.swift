/// Whether a cluster can be reached and does its work, as far as a producer can tell. A change is one line in the log.
struct ClusterHealth: Equatable {
    enum Condition: String, Sendable, Equatable {
        /// Nothing is known yet.
        case connecting
        case up
        /// No broker can be reached.
        case down
        /// Brokers are connected, but nothing has been acknowledged for `stallSeconds`.
        case stalled
    }

    /// A change of condition, for the log.
    enum Transition: Equatable {
        case up(afterSeconds: UInt64)
        case down
        case stalled(unacknowledged: Int)
    }

    /// Without an acknowledgement for that long, with records in flight, a cluster counts as stalled.
    static let stallSeconds: UInt64 = 10

    private(set) var condition = Condition.connecting
    private(set) var connectedBrokers = 0
    private var changed: UInt64
    /// Time of the last acknowledgement, or since when there is something to acknowledge.
    private var progress: UInt64?

    init(now: UInt64) { changed = now }

    /// How long it has been so.
    func conditionMilliseconds(now: UInt64) -> UInt64 { now > changed ? now - changed : 0 }

    /// Milliseconds without progress while records wait for it.
    func stalledMilliseconds(now: UInt64) -> UInt64 { progress.map { now > $0 ? now - $0 : 0 } ?? 0 }

    mutating func acknowledged(now: UInt64) -> Transition? {
        if progress != nil { progress = now }
        return become(.up, now: now)
    }

    /// librdkafka has lost the last broker.
    mutating func allBrokersDown(now: UInt64) -> Transition? {
        connectedBrokers = 0
        return become(.down, now: now)
    }

    mutating func counted(connectedBrokers count: Int, now: UInt64) -> Transition? {
        connectedBrokers = count
        return count > 0 && condition != .stalled ? become(.up, now: now) : nil
    }

    mutating func ticked(unacknowledged: Int, now: UInt64) -> Transition? {
        guard unacknowledged > 0 else {
            progress = nil
            return nil
        }
        if progress == nil { progress = now }
        guard condition == .up || condition == .connecting, stalledMilliseconds(now: now) >= Self.stallSeconds * 1000 else { return nil }
        _ = become(.stalled, now: now)
        return .stalled(unacknowledged: unacknowledged)
    }

    private mutating func become(_ next: Condition, now: UInt64) -> Transition? {
        guard next != condition else { return nil }
        let seconds = (now - min(now, changed)) / 1000
        condition = next
        changed = now
        switch next {
        case .up: return .up(afterSeconds: seconds)
        case .down: return .down
        default: return nil
        }
    }
}
