import HeapModule

/// Deadlines of one loop. Timers are not cancelled: when one fires, its owner looks whether it still means something,
/// and keep alive deadlines, which move with every packet, are simply set again. Those that mean nothing any more are
/// swept out before they are most of the heap: a client that connects and leaves all day must not leave a day of timers.
struct TimerQueue {
    enum Purpose: UInt8 {
        case connectTimeout, keepAlive, closeLingering, sessionEnd, will, stalledReceiver, retainedSweep, commitWindow, readAgain
        case credentialEnd, quotaWait
    }

    struct Timer: Comparable {
        let deadlineMilliseconds: UInt64
        /// Serial of the connection or session.
        let serial: UInt64
        let slot: UInt32
        let purpose: Purpose

        static func < (left: Timer, right: Timer) -> Bool { left.deadlineMilliseconds < right.deadlineMilliseconds }
        static func == (left: Timer, right: Timer) -> Bool { left.deadlineMilliseconds == right.deadlineMilliseconds }
    }

    private var heap = Heap<Timer>()
    private static let smallestSweep = 4096
    private var sweepAt = smallestSweep

    var count: Int { heap.count }
    var isDueForSweep: Bool { heap.count >= sweepAt }

    /// Keeps those that still mean something. The next sweep is due when there are twice as many: O(1) for each timer.
    mutating func sweep(keeping means: (Timer) -> Bool) {
        heap = Heap(heap.unordered.filter(means))
        sweepAt = max(Self.smallestSweep, 2 * heap.count)
    }

    var nextDeadlineMilliseconds: UInt64? { heap.min?.deadlineMilliseconds }

    /// - Returns: Whether this is now the first one due.
    mutating func add(_ timer: Timer) -> Bool {
        let isFirst = heap.min.map { timer.deadlineMilliseconds < $0.deadlineMilliseconds } ?? true
        heap.insert(timer)
        return isFirst
    }

    mutating func popDue(atMilliseconds now: UInt64) -> Timer? {
        guard let next = heap.min, next.deadlineMilliseconds <= now else { return nil }
        return heap.removeMin()
    }
}
