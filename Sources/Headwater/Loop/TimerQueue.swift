import HeapModule

/// Deadlines of one loop. Timers are not cancelled: when one fires, its owner looks whether it still means something,
/// and keep alive deadlines, which move with every packet, are simply set again.
struct TimerQueue {
    enum Purpose: UInt8 {
        case connectTimeout, keepAlive, closeLingering, sessionEnd, will, stalledReceiver, retainedSweep
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
