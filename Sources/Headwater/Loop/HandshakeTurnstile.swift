import NIOCore

/// Lets TLS handshakes through one at a time, with a look at everybody else's sockets between two.
///
/// A handshake costs as much as hundreds of messages. A fleet that comes back at once would keep its loop busy for
/// seconds; so its handshakes queue, and those who are connected wait for one of them at most. Owned by one loop.
final class HandshakeTurnstile {
    private let eventLoop: any EventLoop
    private var waiting: [Arrival] = []
    private var next = 0
    private var isScheduled = false

    /// Long enough for the event loop to look at its sockets first: a task that is due at once would run before them.
    private static let pause = TimeAmount.microseconds(20)

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// - Returns: `true`: its handshake may begin now; otherwise it is told (`Arrival.beginHandshake`).
    func enter(_ arrival: Arrival) -> Bool {
        // The first of a turn goes at once, if nobody waits: a single client pays nothing.
        if !isScheduled {
            schedule()
            return true
        }
        waiting.append(arrival)
        return false
    }

    private func schedule() {
        isScheduled = true
        eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.pause) { [self] in
            isScheduled = false
            while next < waiting.count {
                let arrival = waiting[next]
                next += 1
                guard arrival.beginHandshake() else { continue }  // it has gone meanwhile
                break
            }
            if next == waiting.count {
                waiting.removeAll(keepingCapacity: waiting.count <= 1024)
                next = 0
            } else {
                schedule()
            }
        }
    }
}
