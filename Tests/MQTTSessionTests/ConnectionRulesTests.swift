import MQTTModel
import MQTTSession
import Testing

@Suite("Topic aliases")
struct TopicAliasesTests {
    @discardableResult
    private func set(_ aliases: inout InboundTopicAliases, _ alias: UInt16, _ topic: String) -> Bool {
        Array(topic.utf8).withUnsafeBytes { aliases.set(alias, topic: $0) }
    }
    private func use(_ aliases: inout OutboundTopicAliases, _ topic: String) -> OutboundTopicAliases.Use {
        Array(topic.utf8).withUnsafeBytes { aliases.use(for: $0) }
    }

    @Test("the topics of a client's aliases are bounded by their bytes, however often they are set")
    func aliasBytes() {
        var aliases = InboundTopicAliases(maximum: 65_535)
        let long = String(repeating: "x", count: 65_535)
        for alias: UInt16 in 1...16 { #expect(set(&aliases, alias, long)) }
        #expect(!set(&aliases, 17, long))
        #expect(aliases.topic(for: 17) == nil)
        for _ in 0..<100 { #expect(set(&aliases, 16, long)) }
        #expect(set(&aliases, 16, "short") && set(&aliases, 17, String(long.dropLast(10))))
    }

    @Test("a client's alias stands for the topic it was set to last")
    func inbound() {
        var aliases = InboundTopicAliases(maximum: 10)
        #expect(aliases.topic(for: 3) == nil)
        set(&aliases, 3, "a/b")
        #expect(aliases.topic(for: 3) == Array("a/b".utf8))
        #expect(aliases.topic(for: 2) == nil)
        set(&aliases, 3, "c")
        #expect(aliases.topic(for: 3) == Array("c".utf8))
    }

    @Test("0 and numbers above the maximum are illegal, and all are where the maximum is 0")
    func legality() {
        let aliases = InboundTopicAliases(maximum: 10)
        #expect(!aliases.isLegal(0) && aliases.isLegal(1) && aliases.isLegal(10) && !aliases.isLegal(11))
        #expect(!InboundTopicAliases(maximum: 0).isLegal(1))
        #expect(InboundTopicAliases(maximum: 65_535).isLegal(65_535))
    }

    @Test("the first topics get an alias and keep it, later ones are sent whole")
    func outbound() {
        var aliases = OutboundTopicAliases(maximum: 2)
        #expect(use(&aliases, "a") == .introduce(1))
        #expect(use(&aliases, "b") == .introduce(2))
        #expect(use(&aliases, "c") == .none)
        #expect(use(&aliases, "a") == .known(1))
    }

    @Test("an alias whose introduction was not sent is introduced again")
    func forgotten() {
        var aliases = OutboundTopicAliases(maximum: 2)
        #expect(use(&aliases, "a") == .introduce(1))
        Array("a".utf8).withUnsafeBytes { aliases.forget(topic: $0) }
        #expect(use(&aliases, "b") == .introduce(1))
        #expect(use(&aliases, "a") == .introduce(2))
    }
}

@Suite("Keep alive")
struct KeepAliveTests {
    @Test("the limit is one and a half times the wish, and 0 is none")
    func limit() {
        #expect(KeepAlive(requestedSeconds: 10, maxSeconds: nil).limitMilliseconds == 15_000)
        #expect(KeepAlive(requestedSeconds: 1, maxSeconds: nil).limitMilliseconds == 1_500)
        #expect(KeepAlive(requestedSeconds: 65_535, maxSeconds: nil).limitMilliseconds == 98_302_500)
        #expect(KeepAlive(requestedSeconds: 0, maxSeconds: nil).limitMilliseconds == nil)
    }

    @Test("the server cuts longer wishes and none at all, and says so", arguments: [(0, 60, true), (61, 60, true), (60, 60, false), (5, 60, false)])
    func serverLimit(requested: Int, seconds: Int, isServerChoice: Bool) {
        let keepAlive = KeepAlive(requestedSeconds: requested, maxSeconds: 60)
        #expect(keepAlive.isServerChoice == isServerChoice)
        #expect(keepAlive.seconds == (isServerChoice ? seconds : requested))
    }
}

@Suite("What becomes of a will")
struct WillPlanTests {
    @Test(
        "ending, delay and session expiry decide",
        arguments: [
            (WillPlan.Ending.normalDisconnect, UInt32(5), UInt32(10), WillPlan.discard),
            (.other, 0, 0, .publishNow),
            (.other, 0, 100, .publishNow),
            (.other, 5, 0, .publishNow),
            (.other, 5, 100, .publishAfter(seconds: 5)),
            (.other, 100, 5, .publishAfter(seconds: 5)),
            (.other, .max, .max, .publishAfter(seconds: .max)),
            (.takenOverAndResumed, 0, 100, .publishNow),
            (.takenOverAndResumed, 5, 100, .discard),
            (.takenOverAndResumed, 5, 0, .publishNow),
            (.takenOverAndDiscarded, 5, 100, .publishNow),
            (.takenOverAndDiscarded, 0, 0, .publishNow),
        ])
    func table(ending: WillPlan.Ending, delay: UInt32, expiry: UInt32, plan: WillPlan) {
        #expect(WillPlan(ending: ending, delaySeconds: delay, sessionExpirySeconds: expiry) == plan)
    }
}
