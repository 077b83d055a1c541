import MQTTModel
import Testing

/// What the model says about wills.
@Suite("The model of the crash tests: wills")
struct WillModelTests {
    private let watch: [Happening] = [
        .connecting(client: "watch", isPersistent: true, cleanStart: false, will: nil), .connected(client: "watch", sessionPresent: false),
        .subscribing(client: "watch", filter: "will/#", qos: .exactlyOnce), .subscribed(client: "watch", filter: "will/#"),
    ]

    private func kinds(_ happenings: [(Double, Happening)]) -> [Fault.Kind] {
        var history = History()
        for what in watch { history.append(what, seconds: 0) }
        for (seconds, what) in happenings { history.append(what, seconds: seconds) }
        return CrashModel.check(history).faults.map(\.kind)
    }

    private func promise(_ number: Int, delay: Double = 0, qos: QoS = .exactlyOnce) -> WillPromise {
        WillPromise(name: MessageName("will:c", number), topic: "will/c", qos: qos, delaySeconds: delay)
    }
    private func connect(_ number: Int, at seconds: Double, delay: Double = 0, present: Bool = true) -> [(Double, Happening)] {
        [
            (seconds, .connecting(client: "c", isPersistent: true, cleanStart: false, will: promise(number, delay: delay))),
            (seconds, .connected(client: "c", sessionPresent: present)),
        ]
    }
    private func will(_ number: Int, at seconds: Double) -> [(Double, Happening)] {
        [
            (
                seconds,
                .received(
                    client: "watch", MessageName("will:c", number), topic: "will/c", qos: .exactlyOnce, isDuplicate: false,
                    isRetained: false)
            )
        ]
    }
    private let lost: (Double) -> [(Double, Happening)] = { [($0, .connectionEnded(client: "c"))] }
    private let kill: (Double) -> [(Double, Happening)] = {
        [($0, .killed(number: 1, how: "test", isByItself: false)), ($0, .connectionEnded(client: "c")), ($0, .restarted(number: 1))]
    }

    @Test("a lost connection owes its will, once")
    func due() {
        let start = connect(1, at: 1, present: false) + lost(2)
        #expect(kinds(start) == [.will])
        #expect(kinds(start + will(1, at: 3)).isEmpty)
        #expect(kinds(start + will(1, at: 3) + will(1, at: 4)) == [.doubled])
    }

    @Test("a client that dies with the broker owes its will as well")
    func killed() {
        #expect(kinds(connect(1, at: 1, present: false) + kill(2)) == [.will])
        #expect(kinds(connect(1, at: 1, present: false) + kill(2) + will(1, at: 3) + connect(2, at: 4)).isEmpty)
    }

    @Test("a client that is connected, or has said DISCONNECT, owes none")
    func forbidden() {
        let start = connect(1, at: 1, present: false)
        #expect(kinds(start + will(1, at: 2)) == [.will])
        #expect(kinds(start + [(2, .disconnecting(client: "c"))] + lost(2) + will(1, at: 3)) == [.will])
        #expect(kinds(start + [(2, .disconnecting(client: "c"))] + kill(2) + will(1, at: 3)).isEmpty, "the kill may have undone DISCONNECT")
    }

    @Test("a delayed will does not come when the client is back in time")
    func delayed() {
        let start = connect(1, at: 1, delay: 10, present: false) + lost(2)
        #expect(kinds(start + connect(2, at: 5) + will(1, at: 6)) == [.will])
        #expect(kinds(start + connect(2, at: 13)).isEmpty && kinds(start + will(1, at: 12) + connect(2, at: 13)).isEmpty)
        #expect(kinds(start) == [.will] && kinds(start + will(1, at: 12)).isEmpty)
        #expect(kinds(connect(1, at: 1, delay: 10, present: false) + kill(2) + connect(2, at: 5) + will(1, at: 6)) == [.will])
    }

    @Test("a CONNECT without an answer neither owes a will nor takes one away")
    func unanswered() {
        let attempt: [(Double, Happening)] = [
            (3, .connecting(client: "c", isPersistent: true, cleanStart: false, will: promise(2))), (3, .connectionEnded(client: "c")),
        ]
        let start = connect(1, at: 1, present: false) + lost(2) + attempt
        #expect(kinds(start + connect(3, at: 4)) == [.will], "the first will is due all the same")
        #expect(kinds(start + will(1, at: 3) + connect(3, at: 4)).isEmpty)
        #expect(kinds(start + will(1, at: 3) + will(2, at: 4) + connect(3, at: 5)).isEmpty)
    }
}
