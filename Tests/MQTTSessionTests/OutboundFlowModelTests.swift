import MQTTModel
import MQTTSession
import Testing

/// The ring against the plainest thing that could be right: an array in order of sending.
@Suite("The in-flight window against a naive model")
struct OutboundFlowModelTests {
    private struct Entry {
        let id: UInt16
        let number: Int
        let qos: QoS
        var isReleased = false
        var isSentHere = true
    }

    private struct Model {
        var entries: [Entry] = []
        var lastID: UInt16 = 0

        var outstanding: Int { entries.count(where: \.isSentHere) }

        mutating func admit(_ number: Int, _ qos: QoS) -> UInt16 {
            lastID = lastID == 65_535 ? 1 : lastID + 1
            entries.append(Entry(id: lastID, number: number, qos: qos))
            return lastID
        }
    }

    @Test("thousands of random events give the same answers", arguments: 1...40)
    func randomEvents(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        var flow = OutboundFlow()
        var model = Model()
        // Half of the runs begin just before the identifiers wrap.
        for number in 0..<(seed % 2 == 0 ? 65_500 : 0) { _ = flow.receivedPubAck(flow.admit(try delivery(number))) }
        if seed % 2 == 0 { model.lastID = 65_500 }
        let window = Int.random(in: 1...60, using: &generator)
        for step in 0..<3_000 {
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<45:
                let isOpen = model.outstanding < window && model.entries.allSatisfy(\.isSentHere)
                #expect(flow.mayAdmit(window: window) == isOpen)
                guard isOpen else { continue }
                let qos: QoS = Bool.random(using: &generator) ? .atLeastOnce : .exactlyOnce
                #expect(flow.admit(try delivery(step, qos: qos)) == model.admit(step, qos))
            case 45..<90:
                guard let index = model.entries.indices.randomElement(using: &generator) else { continue }
                let entry = model.entries[index]
                if entry.qos == .atLeastOnce {
                    #expect(flow.receivedPubAck(entry.id).finishedNumber == entry.number)
                    model.entries.remove(at: index)
                } else if entry.isReleased {
                    #expect(flow.receivedPubComp(entry.id).finishedNumber == entry.number)
                    model.entries.remove(at: index)
                } else {
                    #expect(flow.receivedPubRec(entry.id, isError: false).isRelease)
                    model.entries[index].isReleased = true
                }
            case 90..<96:
                guard let index = model.entries.firstIndex(where: { !$0.isSentHere }) else {
                    #expect(flow.nextToResend(window: window) == nil)
                    continue
                }
                let next = flow.nextToResend(window: window)
                guard model.outstanding < window else {
                    #expect(next == nil)
                    continue
                }
                #expect(next?.id == model.entries[index].id)
                #expect(next?.delivery.number == model.entries[index].number)
                #expect((next?.phase == .awaitingPubComp) == model.entries[index].isReleased)
                model.entries[index].isSentHere = true
            case 96..<98:
                let stranger = UInt16.random(in: 0...65_535, using: &generator)
                if !model.entries.contains(where: { $0.id == stranger }) { #expect(flow.receivedPubAck(stranger).isUnknown) }
            case 98:
                flow.connectionBegan()
                for index in model.entries.indices { model.entries[index].isSentHere = false }
            default:
                let taken = flow.extract { _, delivery in (delivery.number ?? 0) % 3 == 0 }
                #expect(taken.map(\.number) == model.entries.filter { $0.number % 3 == 0 }.map(\.number))
                model.entries.removeAll { $0.number % 3 == 0 }
            }
            #expect(flow.count == model.entries.count)
            #expect(flow.outstanding == model.outstanding)
        }
        var left: [UInt16] = []
        flow.forEach { id, _, _ in left.append(id) }
        #expect(left == model.entries.map(\.id))
    }
}
