import DequeModule
import NIOCore
import TLS

/// A connection whose handshake has steps to take.
protocol HandshakeTurnTaker: AnyObject {
    /// - Returns: `false`: the connection is no more.
    func continueHandshake() -> Bool
    /// The next step, to be taken elsewhere and brought back. `nil`: the connection is no more.
    func beginStep() -> HandshakeStep?
    func endStep(_ step: HandshakeStep)
}

/// Decides where and when the steps of TLS handshakes are run, so that nobody who is connected waits for them.
///
/// A ClientHello costs as much as hundreds of messages; a client's Finished, with the CONNECT behind it, as much as tens. A
/// fleet that comes back at once would keep its loop busy for seconds. So while messages flow, steps go to threads that give way to
/// the loops; steps that have waited there for too long, since everything else keeps the processors busy, the loop runs itself, and
/// they have half of its time at most. Without messages nobody waits: then the loop runs them, a few at a time, with a look at
/// its sockets in between, which is cheaper than threads. Owned by one loop.
final class HandshakeTurnstile {
    /// Of the loop's clients, to and fro.
    var messages: () -> Int = { 0 }

    private let node: LoopNode
    private let threads: HandshakeThreads
    private var waiting: [any HandshakeTurnTaker] = []
    private var next = 0
    private var isScheduled = false
    private var seenMessages = 0
    /// In the order in which they were given to the threads.
    private var outside: Deque<Outside> = []
    private var isWatching = false

    /// A step that the threads have.
    private final class Outside {
        let taker: any HandshakeTurnTaker
        let step: HandshakeStep
        let since: NIODeadline
        var isBack = false

        init(_ taker: any HandshakeTurnTaker, _ step: HandshakeStep, since: NIODeadline) {
            self.taker = taker
            self.step = step
            self.since = since
        }
    }

    /// Long enough for the event loop to look at its sockets first: a task that is due at once would run before them.
    private static let shortestPause = TimeAmount.microseconds(20)
    /// After that long without a message there is nobody to wait for handshakes.
    private static let quiet = TimeAmount.milliseconds(100)
    /// Steps begin within it, when it is quiet.
    private static let longestTurn = TimeAmount.milliseconds(2)
    /// A step has been with the threads for too long. A busy broker's queue (`limits.max_handshakes`) takes a fraction of it.
    private static let patience = TimeAmount.milliseconds(250)
    private static let watchInterval = TimeAmount.milliseconds(50)

    init(node: LoopNode, threads: HandshakeThreads) {
        self.node = node
        self.threads = threads
    }

    private var isQuiet: Bool {
        let now = NIODeadline.now()
        let count = messages()
        if count != seenMessages {
            seenMessages = count
            threads.messagesSeen(nowNanoseconds: now.uptimeNanoseconds)
        }
        return now - .uptimeNanoseconds(threads.lastMessageNanoseconds) >= Self.quiet
    }

    /// - Returns: `true`: its handshake may go on now; otherwise it is told (`HandshakeTurnTaker`).
    func enter(_ taker: any HandshakeTurnTaker) -> Bool {
        if !isScheduled {
            let isQuiet = isQuiet
            schedule(isQuiet: isQuiet)
            // The first of a turn goes at once, if nobody waits: a single client pays nothing.
            if isQuiet { return true }
        }
        waiting.append(taker)
        return false
    }

    private func schedule(isQuiet: Bool) {
        isScheduled = true
        guard isQuiet else {
            // Its bytes are not with those that wait before this turn is over.
            return node.eventLoop.assumeIsolatedUnsafeUnchecked().execute { [self] in
                isScheduled = false
                giveToThreads()
            }
        }
        node.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.shortestPause) { [self] in
            isScheduled = false
            takeTurn()
        }
    }

    private func takeTurn() {
        let began = NIODeadline.now()
        while next < waiting.count {
            let taker = waiting[next]
            next += 1
            guard taker.continueHandshake() else { continue }  // it has gone meanwhile
            guard NIODeadline.now() - began < Self.longestTurn else { break }
        }
        if next == waiting.count { clearWaiting() } else { schedule(isQuiet: isQuiet) }
    }

    private func clearWaiting() {
        waiting.removeAll(keepingCapacity: waiting.count <= 1024)
        next = 0
    }

    // MARK: With the threads

    private func giveToThreads() {
        let now = NIODeadline.now()
        for taker in waiting[next...] {
            guard let step = taker.beginStep() else { continue }  // it has gone meanwhile
            let entry = Outside(taker, step, since: now)
            outside.append(entry)
            let bound = NIOLoopBound(entry, eventLoop: node.eventLoop)
            threads.run { [node] in
                guard step.claim() else { return }
                step.run()
                node.eventLoop.execute { node.bound.value?.turnstile.ended(bound.value) }
            }
        }
        clearWaiting()
        if !isWatching, !outside.isEmpty { watch(after: Self.watchInterval) }
    }

    private func ended(_ entry: Outside) {
        entry.isBack = true
        entry.taker.endStep(entry.step)
    }

    private func watch(after pause: TimeAmount) {
        isWatching = true
        node.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: pause) { [self] in
            isWatching = false
            helpOut()
        }
    }

    /// Runs the step that has waited for too long, if there is one.
    private func helpOut() {
        while outside.first?.isBack == true { outside.removeFirst() }
        guard let first = outside.first else { return }
        let began = NIODeadline.now()
        var pause = Self.watchInterval
        if began - first.since >= Self.patience,
            let late = outside.first(where: { !$0.isBack && began - $0.since >= Self.patience && $0.step.claim() })
        {
            late.step.run()
            ended(late)
            pause = max(Self.shortestPause, NIODeadline.now() - began)
        }
        watch(after: pause)
    }
}
