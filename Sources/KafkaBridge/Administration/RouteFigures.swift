/// What became of a route's messages, in the same words with and without an outbox: `in = sent + outbox + dead + dropped`.
struct RouteFigures: Equatable {
    var received = 0
    var sent = 0
    var sentBytes = 0
    /// Stored and not in Kafka yet; without an outbox: in flight.
    var outbox = 0
    var dead: [String: Int] = [:]
    var dropped: [String: Int] = [:]
    /// Refused before they were taken: not in the sum.
    var refused: [String: Int] = [:]
    /// `nil`: counted for the cluster only.
    var retried: Int?

    var deadTotal: Int { dead.values.reduce(0, +) }
    var droppedTotal: Int { dropped.values.reduce(0, +) }
    var isBalanced: Bool { received == sent + outbox + deadTotal + droppedTotal }

    init(_ figures: RouteBalance.Figures) {
        received = figures.received
        sent = figures.sent
        sentBytes = figures.sentBytes
        outbox = figures.outbox
        dead = figures.dead
        dropped = Dictionary(uniqueKeysWithValues: figures.dropped.map { ($0.rawValue, $1) })
        refused = figures.refused
        retried = figures.retried
    }

    /// A route without an outbox keeps nothing: what fails or is refused is gone, and its publisher told.
    init(_ figures: RouteCounters.Figures) {
        received = figures.received
        sent = figures.acknowledged
        sentBytes = figures.acknowledgedBytes
        outbox = figures.inFlight
        for (reason, count) in figures.failed { dropped[reason.rawValue, default: 0] += count }
        for (reason, count) in figures.refused { dropped[reason.rawValue, default: 0] += count }
    }
}
