import MQTTModel
import Testing

/// The model is the judge, so it is judged first: histories with one fault each, and their sound twins.
@Suite("The model of the crash tests")
struct ModelTests {
    private func verdict(_ happenings: [Happening]) -> CrashModel {
        var history = History()
        for (place, what) in happenings.enumerated() { history.append(what, seconds: Double(place)) }
        return CrashModel.check(history)
    }
    private func kinds(_ happenings: [Happening]) -> [Fault.Kind] { verdict(happenings).faults.map(\.kind) }

    private func connect(
        _ client: String, persistent: Bool = true, clean: Bool = false, present: Bool = false, will: WillPromise? = nil
    ) -> [Happening] {
        [
            .connecting(client: client, isPersistent: persistent, cleanStart: clean || !persistent, will: will),
            .connected(client: client, sessionPresent: present),
        ]
    }
    private func subscribe(_ client: String, _ filter: String = "t/#", _ qos: QoS = .exactlyOnce) -> [Happening] {
        [.subscribing(client: client, filter: filter, qos: qos), .subscribed(client: client, filter: filter)]
    }
    private func unsubscribe(_ client: String, _ filter: String = "t/#") -> [Happening] {
        [.unsubscribing(client: client, filter: filter), .unsubscribed(client: client, filter: filter)]
    }
    private func send(_ number: Int, _ qos: QoS = .exactlyOnce, topic: String = "t/1", retain: Bool = false, empty: Bool = false)
        -> Happening
    {
        .sending(MessageName("p", number), topic: topic, qos: qos, retain: retain, isEmpty: empty, isAgain: false)
    }
    private func ack(_ number: Int) -> [Happening] { [.acknowledged(MessageName("p", number)), .completed(MessageName("p", number))] }
    private func publish(
        _ number: Int, _ qos: QoS = .exactlyOnce, topic: String = "t/1", retain: Bool = false, empty: Bool = false
    ) -> [Happening] {
        [send(number, qos, topic: topic, retain: retain, empty: empty)] + ack(number)
    }
    private func receive(_ client: String, _ number: Int, _ qos: QoS = .exactlyOnce, topic: String = "t/1", dup: Bool = false) -> Happening
    {
        .received(client: client, MessageName("p", number), topic: topic, qos: qos, isDuplicate: dup, isRetained: false)
    }
    private let kill: [Happening] = [.killed(number: 1, how: "test", isByItself: false), .restarted(number: 1)]

    // MARK: Deliveries

    @Test("a sound history has no fault, and its deliveries are counted")
    func sound() {
        let model = verdict(
            connect("s") + subscribe("s") + publish(1) + kill + [.connectionEnded(client: "s")] + connect("s", present: true)
                + publish(2, .atLeastOnce) + [receive("s", 1), receive("s", 2, .atLeastOnce), receive("s", 2, .atLeastOnce, dup: true)])
        #expect(model.faults.isEmpty)
        #expect(
            model.tally.deliveriesChecked == 2 && model.tally.acknowledged == 2 && model.tally.duplicates == 1 && model.tally.kills == 1)
        #expect(model.tally.sessionsChecked == 1)
    }

    @Test("an acknowledged message that never came is lost", arguments: [QoS.atLeastOnce, .exactlyOnce])
    func loss(qos: QoS) {
        let model = verdict(connect("s") + subscribe("s") + publish(1, qos) + kill)
        #expect(model.faults.map(\.kind) == [.lost] && model.tally.lost == 1)
        #expect(model.faults.first?.message == MessageName("p", 1) && model.faults.first?.client == "s")
    }

    @Test("what was not acknowledged may be lost, and may come")
    func unacknowledged() {
        #expect(kinds(connect("s") + subscribe("s") + [send(1)]).isEmpty)
        #expect(kinds(connect("s") + subscribe("s") + [send(1), receive("s", 1)]).isEmpty)
    }

    @Test("QoS 2 twice is a fault, QoS 1 twice is not")
    func double() {
        #expect(kinds(connect("s") + subscribe("s") + publish(1) + [receive("s", 1), receive("s", 1)]) == [.doubled])
        #expect(
            kinds(
                connect("s") + subscribe("s", "t/#", .atLeastOnce) + publish(1) + [
                    receive("s", 1, .atLeastOnce), receive("s", 1, .atLeastOnce),
                ]
            )
            .isEmpty)
        // Overlapping subscriptions: the higher QoS counts.
        #expect(
            kinds(
                connect("s") + subscribe("s", "t/#", .atLeastOnce) + subscribe("s", "t/1") + publish(1)
                    + [receive("s", 1), receive("s", 1, .atLeastOnce)]) == [.doubled])
    }

    @Test("a clean session may see QoS 2 again in its next session, not in the same one")
    func cleanSessions() {
        let first = connect("s", persistent: false) + subscribe("s") + [send(1), receive("s", 1), .connectionEnded(client: "s")]
        let second = connect("s", persistent: false) + subscribe("s") + [receive("s", 1)] + ack(1)
        #expect(kinds(first + second).isEmpty)
        #expect(kinds(first + second + [receive("s", 1)]) == [.doubled])
        #expect(kinds(first + ack(1)).isEmpty, "a clean session is owed nothing after its end")
    }

    @Test("messages out of order are told, by topic and QoS")
    func order() {
        let start = connect("s") + subscribe("s") + publish(1) + publish(2)
        #expect(kinds(start + [receive("s", 2), receive("s", 1)]) == [.disordered])
        #expect(kinds(start + [receive("s", 1), receive("s", 2), receive("s", 1, .atLeastOnce)]) == [.doubled])
        let mixed = connect("s") + subscribe("s") + publish(1) + publish(2, .atLeastOnce) + publish(3, topic: "t/2")
        #expect(kinds(mixed + [receive("s", 3, topic: "t/2"), receive("s", 2, .atLeastOnce), receive("s", 1)]).isEmpty)
    }

    @Test("a message that was sent before the subscription keeps no order there")
    func orderOfOldMessages() {
        #expect(kinds(connect("s") + [send(1)] + subscribe("s") + publish(2) + [receive("s", 2), receive("s", 1)] + ack(1)).isEmpty)
    }

    @Test("a message nobody published, on another topic, or that nobody asked for")
    func invented() {
        let start = connect("s") + subscribe("s")
        #expect(kinds(start + [receive("s", 9)]) == [.invented])
        #expect(kinds(start + publish(1) + [receive("s", 1, topic: "t/2")]) == [.invented])
        #expect(kinds(start + publish(1, topic: "u") + [receive("s", 1, topic: "u")]) == [.invented])
        #expect(kinds(start + [.receivedNonsense(client: "s", topic: "t", bytes: 3)]) == [.invented])
    }

    // MARK: Subscriptions and sessions

    @Test("a forgotten subscription loses its messages and is named")
    func forgottenSubscription() {
        let model = verdict(connect("s") + subscribe("s") + kill + publish(1) + publish(2) + publish(3))
        #expect(model.faults.filter { $0.kind == .lost }.count == 3)
        #expect(model.faults.contains { $0.kind == .subscriptionLost })
    }

    @Test("after UNSUBACK nothing comes; what was promised before UNSUBSCRIBE still does")
    func unsubscribed() {
        let start = connect("s") + subscribe("s") + publish(1)
        #expect(kinds(start + unsubscribe("s") + [receive("s", 1)]).isEmpty)
        #expect(kinds(start + unsubscribe("s")) == [.lost])
        #expect(kinds(start + [receive("s", 1)] + unsubscribe("s") + kill + publish(2) + [receive("s", 2)]) == [.unexpected])
        #expect(kinds(connect("s") + subscribe("s") + [.unsubscribing(client: "s", filter: "t/#")] + publish(1)).isEmpty)
    }

    @Test("a refused UNSUBSCRIBE leaves the subscription, and needs a failing disk for its reason")
    func unsubscribeRefused() {
        let refusal: [Happening] = [
            .unsubscribing(client: "s", filter: "t/#"), .unsubscriptionRefused(client: "s", filter: "t/#", .implementationSpecificError),
        ]
        let start = connect("s") + subscribe("s")
        #expect(kinds([.diskFails(true)] + start + refusal + publish(1) + [receive("s", 1)]).isEmpty)
        #expect(kinds(start + refusal) == [.misbehaved])
    }

    @Test("an UNSUBSCRIBE that was not answered ends with the next that is")
    func unsubscribedTwice() {
        let start = connect("s") + subscribe("s") + [.unsubscribing(client: "s", filter: "t/#")] + subscribe("s") + unsubscribe("s")
        #expect(kinds(start + publish(1) + [receive("s", 1)]) == [.unexpected])
    }

    @Test("a clean start ends the subscriptions of the session")
    func cleanStart() {
        let start = connect("s") + subscribe("s") + publish(1) + connect("s", clean: true)
        #expect(kinds(start + publish(2)).isEmpty)
        #expect(kinds(start + publish(2) + [receive("s", 2)]) == [.unexpected])
        #expect(kinds(connect("s") + subscribe("s") + connect("s", clean: true, present: true)) == [.sessionRevived])
        #expect(kinds(connect("s") + subscribe("s") + publish(1) + unsubscribe("s") + connect("s", clean: true)).isEmpty, "its queue as well")
        let again = connect("s") + subscribe("s") + [send(1), receive("s", 1)] + connect("s", clean: true) + subscribe("s") + [receive("s", 1)]
        #expect(kinds(again + ack(1)).isEmpty, "what was not acknowledged comes to the next session, too")
        #expect(kinds(again + ack(1) + [receive("s", 1)]) == [.doubled])
    }

    @Test("a session that is gone, and a balance that does not close")
    func sessions() {
        #expect(kinds(connect("s") + kill + connect("s", present: false)) == [.sessionLost])
        #expect(kinds(connect("s") + kill + connect("s", present: true)).isEmpty)
        #expect(kinds([.balance(unaccounted: 0, when: "now"), .balance(unaccounted: -1, when: "then")]) == [.balance])
    }

    // MARK: Shared subscriptions

    @Test("a group gets each message, and QoS 2 only once among its members")
    func groups() {
        let group = connect("a") + subscribe("a", "$share/g/t/#") + connect("b") + subscribe("b", "$share/g/t/#") + publish(1)
        #expect(kinds(group) == [.lost])
        #expect(kinds(group + [receive("b", 1)]).isEmpty)
        #expect(kinds(group + [receive("a", 1), receive("b", 1)]) == [.doubled])
        let weak = connect("a") + subscribe("a", "$share/g/t/#") + publish(2, .atLeastOnce)
        #expect(kinds(weak + [receive("a", 2, .atLeastOnce), receive("a", 2, .atLeastOnce)]).isEmpty)
    }

    // MARK: Retained messages

    @Test("a fresh subscriber sees the last acknowledged state or one under way")
    func retained() {
        let set = publish(1, topic: "k", retain: true)
        let sees: (Int, [String: Int]) -> Happening = { since, topics in
            .retainedSeen(client: "fresh", since: since, topics.mapValues { MessageName("p", $0) })
        }
        #expect(kinds(set + [sees(3, ["k": 1])]).isEmpty)
        #expect(kinds(set + [sees(3, [:])]) == [.retained])
        #expect(kinds(set + [sees(1, [:])]).isEmpty, "it was acknowledged after the look")
        let cleared = set + publish(2, topic: "k", retain: true, empty: true)
        #expect(kinds(cleared + [sees(6, [:])]).isEmpty)
        #expect(kinds(cleared + [sees(6, ["k": 1])]) == [.retained])
        let open = set + [send(2, topic: "k", retain: true)]
        #expect(kinds(open + [sees(4, ["k": 2])]).isEmpty && kinds(open + [sees(4, ["k": 1])]).isEmpty)
        #expect(kinds(open + [sees(4, [:])]) == [.retained])
        // Refused when it was sent again, it may be there all the same; refused at once, it may not.
        let disk: [Happening] = [.diskFails(true)]
        let refusal: [Happening] = [.refused(MessageName("p", 2), .quotaExceeded)]
        #expect(kinds(disk + open + kill + [send(2, topic: "k", retain: true)] + refusal + [sees(9, ["k": 2])]).isEmpty)
        #expect(kinds(disk + open + refusal + [sees(6, ["k": 2])]) == [.retained])
    }
}
