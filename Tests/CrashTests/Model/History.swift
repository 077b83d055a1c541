import MQTTModel
import Synchronization

/// What happened in a run, in one order.
struct History: Sendable {
    struct Entry: Sendable {
        /// Since the start of the run. The model uses it for will delays alone.
        let seconds: Double
        let what: Happening
    }

    private(set) var entries: [Entry] = []

    mutating func append(_ what: Happening, seconds: Double) { entries.append(Entry(seconds: seconds, what: what)) }

    /// The story of one message for a reader: its own happenings, and what its publisher and the client concerned did near
    /// them. Deaths of the broker are always told.
    func story(of message: MessageName?, at client: String?, limit: Int = 100) -> String {
        var told: [Int] = []
        var own: [Int] = []
        for (index, entry) in entries.enumerated() where concerns(entry.what, message, client) {
            told.append(index)
            if isOwn(entry.what, message) { own.append(index) }
        }
        if told.count > limit {
            // The nearest to the message's own happenings, or the last.
            let distance = { (index: Int) in own.map { abs($0 - index) }.min() ?? (self.entries.count - index) }
            let reach = told.map(distance).sorted()[limit]
            told = told.filter { distance($0) <= reach || isDeath(entries[$0].what) }
        }
        return told.map(line).joined(separator: "\n")
    }

    /// Everything, for a file.
    var text: String { entries.indices.map(line).joined(separator: "\n") }

    private func line(_ index: Int) -> String {
        let time = (entries[index].seconds * 1000).rounded() / 1000
        return "    #\(index) \(time) s  \(entries[index].what.text)"
    }

    private func isOwn(_ what: Happening, _ message: MessageName?) -> Bool {
        switch what {
        case .sending(let name, _, _, _, _, _, _), .acknowledged(let name), .completed(let name), .refused(let name, _),
            .received(_, let name, _, _, _, _):
            name == message
        default: false
        }
    }

    private func isDeath(_ what: Happening) -> Bool {
        switch what {
        case .killed, .restarted, .diskFails: true
        default: false
        }
    }

    private func concerns(_ what: Happening, _ message: MessageName?, _ client: String?) -> Bool {
        switch what {
        case .connecting(let who, _, _, _), .connected(let who, _), .disconnecting(let who), .connectionEnded(let who),
            .subscribing(let who, _, _), .subscribed(let who, _), .subscriptionRefused(let who, _, _), .unsubscriptionRefused(let who, _, _), .unsubscribing(let who, _),
            .unsubscribed(let who, _), .misbehaved(let who, _), .receivedNonsense(let who, _, _):
            who == client || who == message?.publisher
        case .sending(let name, _, _, _, _, _, _), .acknowledged(let name), .completed(let name), .refused(let name, _): name == message
        case .received(let who, let name, _, _, _, _):
            name == message && (client == nil || who == client || name.publisher.hasPrefix("will:"))
        case .retainedSeen(let who, _, _), .step(let who, _): who == client
        case .killed, .restarted, .diskFails: true
        case .balance: false
        }
    }
}

/// Takes down what the clients of a run do and see. The lock makes the one order.
final class Journal: Sendable {
    private let state: Mutex<History>
    private let start = ContinuousClock.now

    init() { state = Mutex(History()) }

    /// - Returns: The happening's place in the history.
    @discardableResult
    func note(_ what: Happening) -> Int {
        state.withLock {
            // Under the lock, so that times rise with places.
            $0.append(what, seconds: (ContinuousClock.now - start).seconds)
            return $0.entries.count - 1
        }
    }

    var history: History { state.withLock { $0 } }
    var count: Int { state.withLock { $0.entries.count } }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

extension Happening {
    var text: String {
        switch self {
        case .connecting(let client, let isPersistent, let cleanStart, let will):
            "\(client): CONNECT\(isPersistent ? ", session kept" : "")\(cleanStart ? ", clean start" : "")"
                + (will.map { ", will \($0.name) at QoS \($0.qos) after \($0.delaySeconds) s" } ?? "")
        case .connected(let client, let sessionPresent): "\(client): CONNACK, session present \(sessionPresent ? 1 : 0)"
        case .disconnecting(let client): "\(client): DISCONNECT"
        case .connectionEnded(let client): "\(client): connection lost"
        case .step(let client, let text): "\(client): \(text)"
        case .sending(let name, let topic, let qos, let retain, let isEmpty, let isAgain, let packetID):
            "\(name.publisher): PUBLISH \(name.number) id \(packetID) \(topic) QoS \(qos)\(retain ? " retain" : "")\(isEmpty ? " empty" : "")\(isAgain ? " DUP" : "")"
        case .acknowledged(let name): "\(name.publisher): \(name.number) acknowledged"
        case .completed(let name): "\(name.publisher): \(name.number) completed"
        case .refused(let name, let reason): "\(name.publisher): \(name.number) refused, \(reason)"
        case .subscribing(let client, let filter, let qos): "\(client): SUBSCRIBE \(filter) QoS \(qos)"
        case .subscribed(let client, let filter): "\(client): SUBACK \(filter)"
        case .subscriptionRefused(let client, let filter, let reason): "\(client): SUBACK \(filter) \(reason)"
        case .unsubscribing(let client, let filter): "\(client): UNSUBSCRIBE \(filter)"
        case .unsubscriptionRefused(let client, let filter, let reason): "\(client): UNSUBACK \(filter) \(reason)"
        case .unsubscribed(let client, let filter): "\(client): UNSUBACK \(filter)"
        case .received(let client, let name, let topic, let qos, let isDuplicate, let isRetained):
            "\(client): received \(name) \(topic) QoS \(qos)\(isDuplicate ? " DUP" : "")\(isRetained ? " retained" : "")"
        case .receivedNonsense(let client, let topic, let bytes): "\(client): received \(bytes) bytes of nonsense on \(topic)"
        case .retainedSeen(let client, let since, let topics): "\(client): sees \(topics.count) retained topics since #\(since)"
        case .killed(let number, let how, _): "-- kill \(number): \(how)"
        case .restarted(let number): "-- restarted after kill \(number)"
        case .diskFails(let fails): fails ? "-- the disk fails" : "-- the disk is well again"
        case .balance(let unaccounted, let when): "-- balance \(when): \(unaccounted) unaccounted"
        case .misbehaved(let client, let text): "\(client): the broker \(text)"
        }
    }
}
