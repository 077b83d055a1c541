import NIOCore

/// Lets the steps of TLS handshakes through one at a time, with a look at everybody else's sockets between two.
///
/// A ClientHello costs as much as hundreds of messages; a client's Finished, with the CONNECT behind it, as much as tens. A
/// fleet that comes back at once would keep its loop busy for seconds; so both queue, and those who are connected wait for
/// one of them at most. Owned by one loop.
final class HandshakeTurnstile {
    private let eventLoop: any EventLoop
    private var waiting: [Arrival] = []
    private var next = 0
    private var isScheduled = false

    /// Long enough for the event loop to look at its sockets first: a task that is due at once would run before them.
    private static let pause = TimeAmount.microseconds(20)

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// - Returns: `true`: its handshake may go on now; otherwise it is told (`Arrival.continueHandshake`).
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
                guard arrival.continueHandshake() else { continue }  // it has gone meanwhile
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
