/// What a route promises, in the words of the log at start: the combination of QoS, durability and level.
enum RoutePromise {
    /// - Parameter durability: The store's; `nil`: the route has no outbox.
    static func text(of delivery: RouteDelivery, durability: String?) -> String {
        guard let durability, delivery.level != .atMostOnce else {
            guard delivery.level != .atMostOnce else {
                return "at most once: nothing is stored, nobody waits for Kafka; messages are lost when Kafka is away for long or the broker ends"
            }
            return "at least once for QoS 1 and 2, whose acknowledgement waits for Kafka; QoS 0 as long as the broker runs; nothing is stored, "
                + "since the broker has no store"
        }
        let survives =
            switch durability {
            case "sync": "survives a crash and a power cut"
            case "commit": "survives a crash (kill -9), but the last moments before a power cut may be lost"
            default: "acknowledged on receipt: a crash may lose the last moments"
            }
        let acknowledged =
            delivery.acknowledgement == .kafka
            ? "PUBACK and PUBREC leave when Kafka has the record" : "PUBACK and PUBREC leave when the outbox has the message, which \(survives)"
        let until = "every stored message goes to Kafka or to the dead letters" + (delivery.outbox.dropsSome ? ", or is dropped by the route's own bounds" : "")
        let twice =
            switch delivery.level {
            case .exactlyOnce:
                "a read_committed consumer sees a QoS 2 message once; QoS 1 once for each time its publisher sends it"
                    + (delivery.deduplication == nil ? "" : ", repeated deduplication keys aside")
            case .idempotent: "twice only after a crash of the broker or the loss of a producer, or when a QoS 1 publisher sends again"
            case .atLeastOnce, .atMostOnce: "a record may be in Kafka twice"
            }
        return "\(acknowledged); \(until); \(twice); QoS 0 is stored too, but what is lost before it is here, its publisher never learns"
    }
}

extension RouteOutbox {
    /// Whether something that was stored may be given up.
    var dropsSome: Bool { overflow == .dropOldest || maxAgeSeconds != nil }
}
