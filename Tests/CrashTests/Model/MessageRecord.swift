import MQTTModel

/// What the history says of one published message. Times are places in the history.
struct MessageRecord {
    let name: MessageName
    let topic: String
    let qos: QoS
    let isRetained: Bool
    let isEmpty: Bool
    let firstSent: Int
    var acknowledged: Int?
    var completed: Int?
    var refused: Int?
    /// It was sent more than once: what the last attempt was answered says nothing about the others.
    var isRepeated = false
}

/// One reception by one client, QoS 2 repetitions within an exchange left out.
struct Reception {
    let place: Int
    let qos: QoS
    let isDuplicate: Bool
    let isRetained: Bool
    let topic: String
}

/// What the model finds wrong.
struct Fault: Sendable, Equatable, CustomStringConvertible {
    enum Kind: String, Sendable {
        case lost, doubled, disordered, unexpected, invented, subscriptionLost, sessionLost, sessionRevived, retained, will, balance,
            misbehaved
    }

    let kind: Kind
    let text: String
    var message: MessageName?
    var client: String?

    var description: String { "\(kind.rawValue): \(text)" }
}

/// What the model looked at: the figures of a run's report.
struct Tally: Sendable, Equatable {
    var kills = 0
    var acknowledged = 0
    var refused = 0
    var deliveriesChecked = 0
    /// Receptions at QoS 1 beyond the first: allowed, and told.
    var duplicates = 0
    var retainedChecked = 0
    var willsChecked = 0
    var sessionsChecked = 0
    var lost = 0
    var doubled = 0

    static func += (left: inout Tally, right: Tally) {
        left.kills += right.kills
        left.acknowledged += right.acknowledged
        left.refused += right.refused
        left.deliveriesChecked += right.deliveriesChecked
        left.duplicates += right.duplicates
        left.retainedChecked += right.retainedChecked
        left.willsChecked += right.willsChecked
        left.sessionsChecked += right.sessionsChecked
        left.lost += right.lost
        left.doubled += right.doubled
    }
}

extension Tally: CustomStringConvertible {
    var description: String {
        "\(kills) kills, \(acknowledged) publishes acknowledged, \(refused) refused, \(deliveriesChecked) deliveries checked, "
            + "\(duplicates) duplicates (QoS 1), \(retainedChecked) retained topics, \(willsChecked) wills, "
            + "\(sessionsChecked) sessions found again, lost \(lost), doubled \(doubled)"
    }
}
