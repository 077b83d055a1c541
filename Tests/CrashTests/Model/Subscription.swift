import MQTTModel

/// One life of a subscription: from SUBSCRIBE to UNSUBSCRIBE or the end of its session. Times are places in the history.
struct Subscription {
    let client: String
    let interest: Interest
    let qos: QoS
    let isPersistent: Bool
    let requested: Int
    var acknowledged: Int?
    var endRequested: Int?
    var ended: Int?
    /// It ended with its session: what was under way for it is nobody's any more.
    var endedWithSession = false

    /// Whether the broker has promised the message to the subscription.
    func isOwed(_ message: MessageRecord) -> Bool {
        guard let acknowledged, let promised = message.acknowledged, acknowledged < message.firstSent, !endedWithSession else {
            return false
        }
        return endRequested.map { promised < $0 } ?? true
    }

    /// Whether the broker may have given the message to the subscription.
    func mayReceive(_ message: MessageRecord) -> Bool {
        if let ended, ended < message.firstSent { return false }
        return message.completed.map { requested < $0 } ?? true
    }

    /// Whether the message, received at `place`, was sent in full sight of the subscription, so that it has to keep its order.
    func keepsOrder(of message: MessageRecord, receivedAt place: Int) -> Bool {
        guard let acknowledged, acknowledged < message.firstSent else { return false }
        return endRequested.map { place < $0 } ?? true
    }
}

/// The subscriptions of a history, in the order of their SUBSCRIBEs.
struct SubscriptionRegister {
    private(set) var all: [Subscription] = []
    /// The life that a filter of a client has now.
    private var current: [String: [String: Int]] = [:]

    mutating func take(_ what: Happening, at place: Int, isPersistent: (String) -> Bool) {
        switch what {
        case .subscribing(let client, let filter, let qos):
            // A repeated SUBSCRIBE of the same filter and QoS goes on with the life it finds.
            if let index = current[client]?[filter], all[index].endRequested == nil { return }
            current[client, default: [:]][filter] = all.count
            all.append(
                Subscription(client: client, interest: Interest(filter), qos: qos, isPersistent: isPersistent(client), requested: place))
        case .subscribed(let client, let filter):
            if let index = current[client]?[filter], all[index].acknowledged == nil { all[index].acknowledged = place }
        case .unsubscribing(let client, let filter):
            if let index = current[client]?[filter], all[index].endRequested == nil { all[index].endRequested = place }
        case .unsubscribed(let client, let filter):
            // Earlier lives of the filter whose UNSUBACK never came end here too.
            guard let index = current[client]?[filter], all[index].endRequested != nil else { return }
            for life in all.indices where all[life].client == client && all[life].interest == Interest(filter) && all[life].ended == nil {
                all[life].ended = place
            }
            current[client]?[filter] = nil
        case .connecting(let client, _, let cleanStart, _):
            if cleanStart { endSession(of: client, at: place) }
        case .connected(let client, let sessionPresent):
            guard !sessionPresent else { return }
            for life in all.indices where all[life].client == client && all[life].endedWithSession && all[life].ended == nil {
                all[life].ended = place
            }
            current[client] = current[client]?.filter { all[$0.value].ended == nil }
        case .connectionEnded(let client), .disconnecting(let client):
            // A clean session ends with its connection, at a time that the client can't see; the next CONNACK says that it has.
            if !isPersistent(client) { endSession(of: client, at: place) }
        default: break
        }
    }

    /// What waits in the queue goes with the session, for filters that were unsubscribed before as well.
    private mutating func endSession(of client: String, at place: Int) {
        for life in all.indices where all[life].client == client {
            if all[life].endRequested == nil { all[life].endRequested = place }
            all[life].endedWithSession = true
        }
    }
}
