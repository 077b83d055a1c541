import MQTTModel

/// A message of a crash run: who published it and its number, counted in the order of first sending.
struct MessageName: Hashable, Comparable, Sendable, CustomStringConvertible {
    let publisher: String
    let number: Int

    static func < (left: MessageName, right: MessageName) -> Bool {
        (left.publisher, left.number) < (right.publisher, right.number)
    }

    var description: String { "\(publisher) \(number)" }

    init(_ publisher: String, _ number: Int) {
        self.publisher = publisher
        self.number = number
    }

    /// Reads the front of a payload. `nil`: no message of a crash run.
    init?(payload: [UInt8]) {
        let words = payload.prefix(64).split(separator: UInt8(ascii: " "), maxSplits: 2).prefix(2)
        guard words.count == 2, let number = Int(String(decoding: words[words.startIndex + 1], as: UTF8.self)) else { return nil }
        self.init(String(decoding: words[words.startIndex], as: UTF8.self), number)
    }

    /// The name, and filling up to `bytes` that is checked when it arrives.
    func payload(bytes: Int) -> [UInt8] {
        var payload = Array("\(description) ".utf8)
        while payload.count < bytes { payload.append(UInt8(ascii: "a") + UInt8(truncatingIfNeeded: (payload.count &+ number) % 26)) }
        return payload
    }

    /// Whether a payload is what `payload(bytes:)` made.
    func isWhole(_ payload: [UInt8]) -> Bool { payload == self.payload(bytes: payload.count) }
}

/// One thing that a client of a crash run did or saw. What a client does is written down before it is done, what it sees
/// after it has come: of two happenings at different clients, the earlier one really was earlier wherever the model asks.
enum Happening: Sendable, Equatable {
    // Connections
    /// CONNECT is about to be sent.
    case connecting(client: String, isPersistent: Bool, cleanStart: Bool, will: WillPromise?)
    /// CONNACK has come.
    case connected(client: String, sessionPresent: Bool)
    /// DISCONNECT is about to be sent: the will is taken back.
    case disconnecting(client: String)
    /// The connection is about to be broken by the client, or was found broken.
    case connectionEnded(client: String)

    // Publishing
    case sending(MessageName, topic: String, qos: QoS, retain: Bool, isEmpty: Bool, isAgain: Bool, packetID: UInt16 = 0)
    /// PUBACK or PUBREC without an error: the broker's promise.
    case acknowledged(MessageName)
    /// The end of the exchange: PUBACK or PUBCOMP.
    case completed(MessageName)
    /// PUBACK or PUBREC with an error: the broker refuses the message.
    case refused(MessageName, ReasonCode)

    /// A step of a QoS 2 exchange, for readers; the model has no use for it.
    case step(client: String, String)

    // Subscriptions
    case subscribing(client: String, filter: String, qos: QoS)
    case subscribed(client: String, filter: String)
    /// SUBACK with an error.
    case subscriptionRefused(client: String, filter: String, ReasonCode)
    case unsubscribing(client: String, filter: String)
    case unsubscribed(client: String, filter: String)
    /// UNSUBACK with an error: the subscription stays.
    case unsubscriptionRefused(client: String, filter: String, ReasonCode)

    // Receiving
    /// A message that the client takes: a repetition of QoS 2 that its packet identifier gives away is none.
    case received(client: String, MessageName, topic: String, qos: QoS, isDuplicate: Bool, isRetained: Bool)
    /// A payload that nobody has published.
    case receivedNonsense(client: String, topic: String, bytes: Int)
    /// A fresh subscriber's view of the retained messages, by topic. `since` is the place in the history of its SUBSCRIBE.
    case retainedSeen(client: String, since: Int, [String: MessageName])

    // The broker
    /// SIGKILL is about to be sent, or (`isByItself`) the broker was found dead at a fault point.
    case killed(number: Int, how: String, isByItself: Bool)
    case restarted(number: Int)
    /// Calls on the store's files begin, or cease, to fail.
    case diskFails(Bool)
    /// Deliveries that the broker's own figures leave without a place.
    case balance(unaccounted: Int, when: String)
    /// The broker broke the protocol or its word in a way that the client noticed by itself.
    case misbehaved(client: String, String)
}

/// A will as CONNECT says it.
struct WillPromise: Sendable, Equatable {
    /// Publisher `will:CLIENT`, number of the connection.
    let name: MessageName
    let topic: String
    let qos: QoS
    let delaySeconds: Double
}
