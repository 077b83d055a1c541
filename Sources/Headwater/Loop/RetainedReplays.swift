import Encodings
import DequeModule
import MQTTModel

/// Retained messages on their way to one new subscription, page by page as the client takes them.
struct RetainedReplay {
    /// Tells it from others of the same session.
    let number: UInt32
    let pattern: String
    let qos: QoS
    let subscriptionID: UInt32
    /// Shards that have not answered to the end, the one that is asked now first.
    fileprivate(set) var shards: [Int]
    fileprivate(set) var cursor: Int?
    /// A page has been asked for and has not come.
    fileprivate var isWaiting = false
    /// Messages that have come, and how many of them were sent.
    fileprivate var page: [Message] = []
    fileprivate var sent = 0
    /// Whose page it is.
    fileprivate(set) var pageShard = 0
}

/// The replays of one session, one after the other.
///
/// A client may subscribe to a hundred thousand filters, take them back and subscribe again before one message is sent, so
/// every event here is O(1), and what is remembered is bounded by the filters that it has.
struct RetainedReplays {
    enum Step {
        case send(Message, RetainedReplay)
        /// `take` brings the answer.
        case ask(RetainedReplay, shard: Int)
    }

    /// Set while `next` is being followed.
    var isBeingSent = false

    private var replays: [UInt32: RetainedReplay] = [:]
    private var numbers: [ExactText: UInt32] = [:]
    /// Numbers in the order in which they began; those that were given up are skipped.
    private var order = Deque<UInt32>()
    private var nextNumber: UInt32 = 1
    /// What came live while replays were under way: the newest retained message of each topic, by the topic's hash.
    private var live: [Int: LiveMessage] = [:]

    private struct LiveMessage {
        let message: ObjectIdentifier
        let receivedNanoseconds: UInt64
    }

    /// Beyond these a client may have a message twice: live, and as the retained one.
    private static let maxLive = 1 << 16

    var isEmpty: Bool { replays.isEmpty }
    /// Numbers remembered, those of replays that were given up included.
    var orderCount: Int { order.count }

    /// The same filter again begins its replay anew [MQTT-3.3.1-9].
    mutating func begin(_ pattern: String, qos: QoS, identifier: UInt32, shards: [Int]) {
        cancel(pattern)
        let number = nextNumber
        nextNumber &+= 1
        replays[number] = RetainedReplay(number: number, pattern: pattern, qos: qos, subscriptionID: identifier, shards: shards)
        numbers[ExactText(pattern)] = number
        order.append(number)
    }

    /// The subscription has gone, or begins anew.
    mutating func cancel(_ pattern: String) {
        guard let number = numbers.removeValue(forKey: ExactText(pattern)) else { return }
        replays[number] = nil
        if replays.isEmpty { live = [:] }
        if order.count > 2 * replays.count + 64 { order.removeAll { replays[$0] == nil } }
    }

    mutating func removeAll() {
        replays = [:]
        numbers = [:]
        order = []
        live = [:]
    }

    /// A retained message has come by a subscription: it is not to come once more as the retained one of its topic, and nothing older
    /// after it. The page may be made by a loop that has it already.
    mutating func cameLive(_ message: Message) {
        guard !replays.isEmpty else { return }
        let topic = Self.hash(ofTopic: message)
        if live.count >= Self.maxLive, live[topic] == nil { return }
        live[topic] = LiveMessage(message: message.identity, receivedNanoseconds: message.received.monotonicNanoseconds)
    }

    private func isOld(_ message: Message) -> Bool {
        guard !live.isEmpty, let newest = live[Self.hash(ofTopic: message)] else { return false }
        return newest.message == message.identity || message.received.monotonicNanoseconds < newest.receivedNanoseconds
    }

    private static func hash(ofTopic message: Message) -> Int {
        message.withParts { topic, _, _ in
            var hasher = Hasher()
            hasher.combine(bytes: topic)
            return hasher.finalize()
        }
    }

    /// What to do now; `nil`: nothing before a page comes, or at all.
    mutating func next() -> Step? {
        while let number = order.first {
            guard let replay = replays[number] else {
                order.removeFirst()
                continue
            }
            if replay.sent < replay.page.count {
                replays[number]?.sent += 1
                let message = replay.page[replay.sent]
                if isOld(message) { continue }
                return .send(message, replay)
            }
            if replay.isWaiting { return nil }
            replays[number]?.page = []
            replays[number]?.sent = 0
            guard let shard = replay.shards.first else {
                cancel(replay.pattern)
                continue
            }
            replays[number]?.isWaiting = true
            return .ask(replay, shard: shard)
        }
        return nil
    }

    /// The answer to `ask`. Those of replays that were given up are ignored.
    mutating func take(_ page: RetainedPage) {
        guard var replay = replays[page.replay] else { return }
        replay.isWaiting = false
        replay.page = page.messages
        replay.sent = 0
        replay.pageShard = page.shard
        replay.cursor = page.next
        if page.next == nil { replay.shards.removeFirst() }
        replays[page.replay] = replay
    }
}
