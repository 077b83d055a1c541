import MQTTModel
import MQTTSession
import Testing

@Suite("The gate of acknowledgements")
struct AckGateTests {
    private func drain(_ gate: inout AckGate) -> [UInt16] {
        var ids: [UInt16] = []
        while let ready = gate.popReady() { ids.append(ready.packetID) }
        return ids
    }

    @Test("acknowledgements leave in the order of their messages, however the promises are kept")
    func order() {
        var gate = AckGate()
        let first = gate.hold(packetID: 1, qos: .atLeastOnce)
        gate.append(AckGate.Acknowledgement(packetID: 2, qos: .atLeastOnce, reason: .success))
        let third = gate.hold(packetID: 3, qos: .exactlyOnce)
        #expect(drain(&gate).isEmpty)
        gate.complete(third, reason: .success)
        #expect(drain(&gate).isEmpty)
        gate.complete(first, reason: .success)
        #expect(drain(&gate) == [1, 2, 3])
        #expect(gate.isOpen)
    }

    @Test("the reason of a failed promise travels with its acknowledgement")
    func reason() {
        var gate = AckGate()
        let sequence = gate.hold(packetID: 9, qos: .exactlyOnce)
        gate.complete(sequence, reason: .quotaExceeded)
        #expect(gate.popReady() == AckGate.Acknowledgement(packetID: 9, qos: .exactlyOnce, reason: .quotaExceeded))
    }

    @Test("unknown and repeated completions change nothing")
    func strangers() {
        var gate = AckGate()
        gate.complete(0, reason: .success)
        let first = gate.hold(packetID: 1, qos: .atLeastOnce)
        gate.complete(first + 1, reason: .success)
        gate.complete(.max, reason: .success)
        #expect(drain(&gate).isEmpty)
        gate.complete(first, reason: .success)
        gate.complete(first, reason: .unspecifiedError)
        #expect(gate.popReady()?.reason == .success)
        gate.complete(first, reason: .unspecifiedError)
        #expect(gate.popReady() == nil)
        #expect(gate.waiting == 0)
    }

    @Test("what waits is counted, what is ready is not")
    func waiting() {
        var gate = AckGate()
        let sequences = (1...5).map { gate.hold(packetID: $0, qos: .atLeastOnce) }
        #expect(gate.waiting == 5 && gate.waitingAtLeastOnce == 5)
        let held = gate.hold(packetID: 6, qos: .exactlyOnce)
        #expect(gate.waiting == 6 && gate.waitingAtLeastOnce == 5)
        gate.complete(held, reason: .success)
        for sequence in sequences.reversed() { gate.complete(sequence, reason: .success) }
        #expect(gate.waiting == 0 && gate.waitingAtLeastOnce == 0)
        #expect(drain(&gate) == [1, 2, 3, 4, 5, 6])
    }

    @Test("random holds and completions keep the order", arguments: 1...20)
    func random(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        var gate = AckGate()
        var open: [UInt64] = []
        var expected: [UInt16] = []
        var left: [UInt16] = []
        for id: UInt16 in 1...500 {
            expected.append(id)
            if Bool.random(using: &generator) {
                open.append(gate.hold(packetID: id, qos: .atLeastOnce))
            } else {
                gate.append(AckGate.Acknowledgement(packetID: id, qos: .atLeastOnce, reason: .success))
            }
            if Bool.random(using: &generator), let index = open.indices.randomElement(using: &generator) {
                gate.complete(open.remove(at: index), reason: .success)
            }
            left += drain(&gate)
        }
        for sequence in open.shuffled(using: &generator) { gate.complete(sequence, reason: .success) }
        left += drain(&gate)
        #expect(left == expected)
    }
}
