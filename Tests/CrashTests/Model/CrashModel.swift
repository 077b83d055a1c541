import MQTTModel

/// Says what is wrong with a history: the promises of MQTT and of an acknowledgement, checked by somebody who knows nothing
/// of the broker but what its clients sent and saw.
///
/// The history must be complete: everybody who may still be owed something was online at its end until nothing more came.
struct CrashModel {
    private(set) var faults: [Fault] = []
    private(set) var tally = Tally()

    private(set) var messages: [MessageName: MessageRecord] = [:]
    private var isPersistent: [String: Bool] = [:]
    /// Where each client's sessions began.
    private(set) var sessionStarts: [String: [Int]] = [:]
    private(set) var register = SubscriptionRegister()
    /// By client and message, in order.
    private var receptions: [String: [MessageName: [Reception]]] = [:]
    private let history: History
    /// From the first fault of the disk on, refusals are in order: what waited for it may be refused when it is well again.
    private var hasFailingDisk = false

    init(_ history: History) { self.history = history }

    static func check(_ history: History) -> CrashModel {
        var model = CrashModel(history)
        model.read()
        model.checkDeliveries()
        model.checkGroups()
        model.checkOrder()
        model.checkWills(history)
        model.checkRetained(history)
        model.checkSessions(history)
        model.tally.lost = model.faults.count { $0.kind == .lost }
        model.tally.doubled = model.faults.count { $0.kind == .doubled }
        return model
    }

    mutating func report(_ kind: Fault.Kind, _ text: String, message: MessageName? = nil, client: String? = nil) {
        faults.append(Fault(kind: kind, text: text, message: message, client: client))
    }

    mutating func count(_ change: (inout Tally) -> Void) { change(&tally) }

    func receptions(of message: MessageName, at client: String) -> [Reception] { receptions[client]?[message] ?? [] }

    func receivedNames(at client: String) -> [MessageName] { (receptions[client] ?? [:]).keys.sorted() }

    var receivers: [String] { receptions.keys.sorted() }

    // MARK: Reading

    mutating func read() {
        for (place, entry) in history.entries.enumerated() {
            if case .connecting(let client, let keepsSession, _, _) = entry.what { isPersistent[client] = keepsSession }
            if case .connected(let client, sessionPresent: false) = entry.what { sessionStarts[client, default: []].append(place) }
            register.take(entry.what, at: place) { isPersistent[$0] ?? false }
            readMessages(entry.what, place)
            switch entry.what {
            case .killed: tally.kills += 1
            case .balance(let unaccounted, let when):
                if unaccounted != 0 { report(.balance, "\(unaccounted) deliveries in no known place \(when)") }
            case .misbehaved(let client, let text): report(.misbehaved, "\(client): the broker \(text)", client: client)
            case .diskFails: hasFailingDisk = true
            case .refused(let name, let reason):
                if !hasFailingDisk { report(.misbehaved, "\(name) refused: \(reason)", message: name) }
            case .subscriptionRefused(let client, let filter, let reason):
                if !hasFailingDisk { report(.misbehaved, "\(client): SUBSCRIBE \(filter) refused: \(reason)", client: client) }
            case .unsubscriptionRefused(let client, let filter, let reason):
                if !hasFailingDisk {
                    report(.misbehaved, "\(client): UNSUBSCRIBE \(filter) refused: \(reason)", client: client)
                }
            case .receivedNonsense(let client, let topic, let bytes):
                report(.invented, "\(client) received \(bytes) bytes on \(topic) that nobody published", client: client)
            default: break
            }
        }
    }

    private mutating func readMessages(_ what: Happening, _ place: Int) {
        switch what {
        case .sending(let name, let topic, let qos, let retain, let isEmpty, _, _):
            if messages[name] != nil {
                messages[name]?.isRepeated = true
            } else {
                messages[name] = MessageRecord(
                    name: name, topic: topic, qos: qos, isRetained: retain, isEmpty: isEmpty, firstSent: place)
            }
        case .acknowledged(let name):
            if messages[name]?.acknowledged == nil {
                messages[name]?.acknowledged = place
                tally.acknowledged += 1
            }
        case .completed(let name): messages[name]?.completed = place
        case .refused(let name, _):
            messages[name]?.refused = place
            messages[name]?.completed = place
            tally.refused += 1
        case .received(let client, let name, let topic, let qos, let isDuplicate, let isRetained):
            receptions[client, default: [:]][name, default: []].append(
                Reception(place: place, qos: qos, isDuplicate: isDuplicate, isRetained: isRetained, topic: topic))
        default: break
        }
    }

    // MARK: Order

    /// The order of [MQTT-4.6.0-6]: by publisher, topic and QoS, first receptions come as they were first sent.
    private mutating func checkOrder() {
        struct Stream: Hashable {
            let publisher: String
            let topic: String
            let qos: QoS
        }
        for client in receivers {
            let own = register.all.filter { $0.client == client && $0.interest.group == nil }
            let shared = register.all.contains { $0.client == client && $0.interest.group != nil }
            // A member's own messages can't be told from the group's.
            guard !own.isEmpty, !shared else { continue }
            var firsts: [(place: Int, message: MessageRecord)] = []
            for (name, all) in receptions[client] ?? [:] {
                guard let message = messages[name], let first = all.first(where: { !$0.isRetained }) else { continue }
                let isBound = own.contains {
                    filter($0.interest.filter, selects: message.topic) && $0.keepsOrder(of: message, receivedAt: first.place)
                }
                if isBound { firsts.append((first.place, message)) }
            }
            var last: [Stream: MessageRecord] = [:]
            for (_, message) in firsts.sorted(by: { $0.place < $1.place }) {
                let stream = Stream(publisher: message.name.publisher, topic: message.topic, qos: message.qos)
                if let before = last[stream], before.name.number > message.name.number {
                    report(
                        .disordered,
                        "\(client) received \(before.name) before \(message.name), both on \(message.topic) at QoS \(message.qos)",
                        message: message.name, client: client)
                } else {
                    last[stream] = message
                }
            }
        }
    }
}
