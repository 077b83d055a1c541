@testable import Headwater
import Logging
import MQTTModel
import Synchronization
import Testing

/// The parts of a loop that peers could make grow or go slowly, apart from the loop.
@Suite("Parts of a loop under a hostile load")
struct LoopPartTests {
    private func timer(_ deadline: UInt64, _ serial: UInt64) -> TimerQueue.Timer {
        TimerQueue.Timer(deadlineMilliseconds: deadline, serial: serial, slot: 0, purpose: .keepAlive)
    }

    @Test("timers that mean nothing any more are swept out, the others fire in order")
    func timerSweep() {
        var timers = TimerQueue()
        var mostAtOnce = 0
        for number in UInt64(0)..<100_000 {
            if timers.isDueForSweep { timers.sweep { $0.serial % 1_000 == 0 } }
            _ = timers.add(timer(200_000 - number, number))
            mostAtOnce = max(mostAtOnce, timers.count)
        }
        #expect(mostAtOnce <= 4_096)
        timers.sweep { $0.serial % 1_000 == 0 }
        var fired: [UInt64] = []
        while let timer = timers.popDue(atMilliseconds: 300_000) { fired.append(timer.serial) }
        #expect(fired == stride(from: 99_000, through: 0, by: -1_000).map(UInt64.init))
    }

    @Test("a subscription list forgets exactly what it is told to, short or long", arguments: [1, 10, 64, 65, 66, 500])
    func subscriptionList(count: Int) {
        var list = SubscriptionList()
        var model: Set<UInt32> = []
        for number in 0..<UInt32(count) {
            list.append(number * 3)
            model.insert(number * 3)
        }
        for number in stride(from: 0, to: UInt32(count), by: 2).reversed() {
            list.remove(number * 3)
            list.remove(number * 3 + 1)  // never was in it
            model.remove(number * 3)
        }
        #expect(Set(list.all) == model && list.count == model.count)
        list.append(7)
        list.remove(7)
        for number in model { list.remove(number) }
        #expect(list.count == 0)
    }

    @Test("replays go one after the other, a filter asked for again from its beginning")
    func replays() throws {
        func message(_ topic: String) throws -> Message { Message(topic: try TopicName(topic), payload: [1]) }
        var replays = RetainedReplays()
        replays.begin("a", qos: .atMostOnce, identifier: 1, shards: [0, 1])
        replays.begin("b", qos: .atMostOnce, identifier: 2, shards: [1])
        guard case .ask(let first, shard: 0)? = replays.next() else { return #expect(Bool(false), "shard 0 is asked first") }
        #expect(replays.next() == nil, "nothing before the page")
        let session = SessionReference(loop: 0, slot: 0, serial: 1)
        replays.take(RetainedPage(shard: 0, session: session, replay: first.number, messages: [try message("a1")], next: 5))
        guard case .send(let sent, _)? = replays.next() else { return #expect(Bool(false), "the page is sent") }
        #expect(sent.topic == "a1")
        guard case .ask(let again, shard: 0)? = replays.next() else { return #expect(Bool(false), "the next page") }
        #expect(again.cursor == 5)
        replays.begin("a", qos: .atLeastOnce, identifier: 3, shards: [0])
        replays.take(RetainedPage(shard: 0, session: session, replay: again.number, messages: [try message("late")], next: nil))
        guard case .ask(let other, shard: 1)? = replays.next() else { return #expect(Bool(false), "b is next") }
        #expect(other.subscriptionID == 2)
        replays.cancel("b")
        guard case .ask(let last, shard: 0)? = replays.next() else { return #expect(Bool(false), "a again") }
        #expect(last.subscriptionID == 3 && last.cursor == nil)
        replays.take(RetainedPage(shard: 0, session: session, replay: last.number, messages: [], next: nil))
        #expect(replays.next() == nil && replays.isEmpty)
    }

    @Test("what came live while a replay was under way is not sent again, and nothing older after it")
    func replayBehindLiveMessages() throws {
        func message(_ topic: String, at nanoseconds: UInt64) throws -> Message {
            let clock = MessageClock(monotonicNanoseconds: nanoseconds, unixMilliseconds: 0)
            return Message(topic: try TopicName(topic), payload: [1], isRetained: true, received: clock)
        }
        var replays = RetainedReplays()
        replays.begin("#", qos: .atMostOnce, identifier: 1, shards: [1])
        guard case .ask(let replay, shard: 1)? = replays.next() else { return #expect(Bool(false), "shard 1 is asked") }
        let live = try message("same", at: 50)
        replays.cameLive(live)
        replays.cameLive(try message("replaced", at: 50))
        let page = [live, try message("replaced", at: 40), try message("other", at: 40), try message("same", at: 60)]
        let session = SessionReference(loop: 0, slot: 0, serial: 1)
        replays.take(RetainedPage(shard: 1, session: session, replay: replay.number, messages: page, next: nil))
        var sent: [String] = []
        while case .send(let message, _)? = replays.next() { sent.append("\(message.topic) \(message.received.monotonicNanoseconds)") }
        #expect(sent == ["other 40", "same 60"])
        // The next subscription begins with everything.
        replays.begin("#", qos: .atMostOnce, identifier: 1, shards: [1])
        guard case .ask(let again, _)? = replays.next() else { return #expect(Bool(false), "shard 1 is asked again") }
        replays.take(RetainedPage(shard: 1, session: session, replay: again.number, messages: [live], next: nil))
        guard case .send? = replays.next() else { return #expect(Bool(false), "the live message is the retained one now") }
    }

    @Test("subscribing and unsubscribing without end leaves no replays behind")
    func givenUpReplays() {
        var replays = RetainedReplays()
        replays.begin("first", qos: .atMostOnce, identifier: 0, shards: [0])
        for number in 0..<10_000 {
            replays.begin("f/\(number)", qos: .atMostOnce, identifier: 0, shards: [0])
            replays.cancel("f/\(number)")
        }
        #expect(replays.orderCount <= 70)
        guard case .ask(let replay, _)? = replays.next() else { return #expect(Bool(false), "the first one is still there") }
        #expect(replay.pattern == "first")
    }

    @Test("a log line shows the beginning of a long value and how long it was")
    func longValues() {
        let lines = LineCollector()
        var limiter = LogLimiter(logger: Logger(label: "test") { _ in lines }, burst: 1, perSecond: 1)
        limiter.line(.info, "connected", nowMilliseconds: 1, metadata: ["client": "\(String(repeating: "é", count: 30_000))", "user": "u"])
        let metadata = lines.last.withLock { $0 }
        #expect(metadata["user"] == "u")
        #expect(metadata["client"] == .string(String(repeating: "é", count: 128) + "… (60000 bytes)"))
    }
}

/// A log handler that keeps the metadata of the last line.
private final class LineCollector: LogHandler {
    let last = Mutex<Logger.Metadata>([:])
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .info }
        set {}
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) { last.withLock { [values = event.metadata] in $0 = values ?? [:] } }

    var metadataProvider: Logger.MetadataProvider? {
        get { nil }
        set {}
    }
}
