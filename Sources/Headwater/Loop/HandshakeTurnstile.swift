import NIOCore

/// Lets the steps of TLS handshakes through one at a time, with a look at everybody else's sockets between two.
///
/// A ClientHello costs as much as hundreds of messages; a client's Finished, with the CONNECT behind it, as much as tens. A
/// fleet that comes back at once would keep its loop busy for seconds; so both queue, and those who are connected wait for
/// one of them at most. While messages flow, handshakes have half of the loop's time: a thread that sleeps is woken sooner than one
/// that is always busy gets its processor back. Without messages nobody waits, and a few steps go at a time: a pause costs the
/// system two calls. Owned by one loop.
final class HandshakeTurnstile {
    /// Of the loop's clients, to and fro.
    var messages: () -> Int = { 0 }

    private let eventLoop: any EventLoop
    private var waiting: [Arrival] = []
    private var next = 0
    private var isScheduled = false
    /// What the last step took.
    private var cost = TimeAmount.zero
    private var seenMessages = 0
    private var lastMessage = NIODeadline.uptimeNanoseconds(0)

    /// Long enough for the event loop to look at its sockets first: a task that is due at once would run before them.
    private static let shortestPause = TimeAmount.microseconds(20)
    /// After that long without a message there is nobody to wait for handshakes.
    private static let quiet = TimeAmount.milliseconds(100)
    /// Steps begin within it, when it is quiet.
    private static let longestTurn = TimeAmount.milliseconds(2)

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// - Returns: `true`: its handshake may go on now; otherwise it is told (`Arrival.continueHandshake`).
    func enter(_ arrival: Arrival) -> Bool {
        // The first of a turn goes at once, if nobody waits: a single client pays nothing.
        if !isScheduled {
            schedule(now: .now())
            return true
        }
        waiting.append(arrival)
        return false
    }

    private func schedule(now: NIODeadline) {
        isScheduled = true
        let count = messages()
        if count != seenMessages {
            seenMessages = count
            lastMessage = now
        }
        let isQuiet = now - lastMessage >= Self.quiet
        let pause = isQuiet ? Self.shortestPause : max(Self.shortestPause, cost)
        eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: pause) { [self] in
            isScheduled = false
            let began = NIODeadline.now()
            var now = began
            while next < waiting.count {
                let arrival = waiting[next]
                next += 1
                guard arrival.continueHandshake() else { continue }  // it has gone meanwhile
                now = .now()
                guard isQuiet, now - began < Self.longestTurn else { break }
            }
            cost = now - began
            if next == waiting.count {
                waiting.removeAll(keepingCapacity: waiting.count <= 1024)
                next = 0
            } else {
                schedule(now: now)
            }
        }
    }
}
