import MQTTModel
import MQTTSession
import Testing

@Suite("The in-flight window towards a client")
struct OutboundFlowTests {
    @Test("identifiers count from 1, and are used again only when their exchange is over")
    func identifiers() throws {
        var flow = OutboundFlow()
        #expect(flow.admit(try delivery(10)) == 1)
        #expect(flow.admit(try delivery(11)) == 2)
        #expect(flow.receivedPubAck(1).finishedNumber == 10)
        #expect(flow.admit(try delivery(12)) == 3)
        #expect(flow.count == 2)
    }

    @Test("the window closes at its size, and opens with each acknowledgement")
    func window() throws {
        var flow = OutboundFlow()
        for number in 1...3 {
            #expect(flow.mayAdmit(window: 3))
            _ = flow.admit(try delivery(number))
        }
        #expect(!flow.mayAdmit(window: 3))
        _ = flow.receivedPubAck(2)
        #expect(flow.mayAdmit(window: 3))
        _ = flow.admit(try delivery(4))
        #expect(!flow.mayAdmit(window: 3))
    }

    @Test("acknowledgements in any order find their messages")
    func outOfOrder() throws {
        var flow = OutboundFlow()
        let ids = try (1...100).map { flow.admit(try delivery($0)) }
        var shuffled = Array(zip(ids, 1...100))
        var generator = SeededGenerator(seed: 5)
        shuffled.shuffle(using: &generator)
        for (id, number) in shuffled { #expect(flow.receivedPubAck(id).finishedNumber == number) }
        #expect(flow.isEmpty)
    }

    @Test("identifiers go from 65,535 to 1, never to 0, with messages in flight on both sides")
    func wrapAround() throws {
        var flow = OutboundFlow()
        for number in 1...65_530 {
            #expect(flow.receivedPubAck(flow.admit(try delivery(number))).finishedNumber == number)
        }
        let ids = try (0..<12).map { flow.admit(try delivery($0)) }
        #expect(ids == [65_531, 65_532, 65_533, 65_534, 65_535, 1, 2, 3, 4, 5, 6, 7])
        var seen: [Int?] = []
        flow.forEach { _, _, delivery in seen.append(delivery.number) }
        #expect(seen == Array(0..<12))
        for (number, id) in ids.enumerated().reversed() { #expect(flow.receivedPubAck(id).finishedNumber == number) }
        #expect(flow.isEmpty)
    }

    @Test("one message that is never acknowledged lets all other 65,534 identifiers be used, and no more")
    func exhaustion() throws {
        var flow = OutboundFlow()
        #expect(flow.admit(try delivery(0)) == 1)
        var used = 0
        while flow.mayAdmit(window: 65_535) {
            let id = flow.admit(try delivery(1))
            #expect(id != 0 && id != 1)
            if used % 2 == 0 { _ = flow.receivedPubAck(id) }
            used += 1
            if used > 70_000 { break }
        }
        #expect(used == 65_534)
        #expect(flow.receivedPubAck(1).finishedNumber == 0)
        #expect(flow.mayAdmit(window: 65_535))
    }

    @Test("a new connection sends again in the first order, PUBREL where PUBREC had come")
    func resend() throws {
        var flow = OutboundFlow()
        for number in 1...5 { _ = flow.admit(try delivery(number, qos: number == 3 ? .exactlyOnce : .atLeastOnce)) }
        _ = flow.receivedPubAck(2)
        #expect(flow.receivedPubRec(3, isError: false).isRelease)
        flow.connectionBegan()
        #expect(!flow.mayAdmit(window: 10), "what is new waits until what is old has been sent again")
        var again: [UInt16] = []
        var phases: [OutboundFlow.Phase] = []
        while let next = flow.nextToResend(window: 10) {
            again.append(next.id)
            phases.append(next.phase)
        }
        #expect(again == [1, 3, 4, 5])
        #expect(phases == [.awaitingPubAck, .awaitingPubComp, .awaitingPubAck, .awaitingPubAck])
        #expect(flow.hasResentAll)
        #expect(flow.admit(try delivery(6)) == 6)
    }

    @Test("sending again stops at a smaller window, and goes on with acknowledgements")
    func resendInSmallWindow() throws {
        var flow = OutboundFlow()
        for number in 1...6 { _ = flow.admit(try delivery(number)) }
        flow.connectionBegan()
        #expect(flow.nextToResend(window: 2)?.id == 1)
        #expect(flow.nextToResend(window: 2)?.id == 2)
        #expect(flow.nextToResend(window: 2) == nil)
        _ = flow.receivedPubAck(2)
        #expect(flow.nextToResend(window: 2)?.id == 3)
        #expect(flow.nextToResend(window: 2) == nil)
        // A client may acknowledge now what its last connection carried.
        #expect(flow.receivedPubAck(6).finishedNumber == 6)
        #expect(flow.nextToResend(window: 2) == nil)
        _ = flow.receivedPubAck(1)
        #expect(flow.nextToResend(window: 2)?.id == 4)
        _ = flow.receivedPubAck(3)
        #expect(flow.nextToResend(window: 2)?.id == 5)
        #expect(flow.nextToResend(window: 2) == nil)
        #expect(flow.hasResentAll)
    }

    @Test("stored messages have the identifiers of their places, over gaps and the end of the numbers")
    func storedIdentifiers() throws {
        var flow = OutboundFlow()
        var ids: [UInt16] = []
        // Every third place was dropped before it was sent.
        for sequence in UInt64(65_500)...65_600 where sequence % 3 != 0 {
            var delivery = try delivery(Int(sequence), qos: .exactlyOnce)
            delivery.sequence = sequence
            let id = delivery.storedPacketID
            #expect(id == UInt16((sequence - 1) % 65_535 + 1) && id != 0)
            #expect(flow.mayAdmit(id, window: 1_000))
            flow.admit(delivery, as: id)
            ids.append(id)
        }
        #expect(flow.count == ids.count && flow.outstanding == ids.count)
        for (index, id) in ids.enumerated().reversed() {
            #expect(flow.receivedPubRec(id, isError: false).isRelease)
            #expect(flow.delivery(of: id)?.sequence != nil)
            #expect(flow.receivedPubComp(id).finishedNumber.map { UInt16(($0 - 1) % 65_535 + 1) } == id, "\(index)")
        }
        #expect(flow.isEmpty)
    }

    @Test("a stored message far behind an unacknowledged one waits for it")
    func tooFarAhead() throws {
        var flow = OutboundFlow()
        var first = try delivery(1, qos: .atLeastOnce)
        first.sequence = 1
        flow.admit(first, as: 1)
        #expect(flow.mayAdmit(Delivery.packetID(ofSequence: 65_533), window: 10))
        #expect(!flow.mayAdmit(Delivery.packetID(ofSequence: 65_536), window: 10))
        #expect(flow.receivedPubAck(1).finishedNumber == 1)
        #expect(flow.mayAdmit(Delivery.packetID(ofSequence: 65_536), window: 10))
    }

    @Test("a QoS 2 exchange goes PUBREC, PUBCOMP; repeated PUBREC is released again")
    func exactlyOnce() throws {
        var flow = OutboundFlow()
        let id = flow.admit(try delivery(1, qos: .exactlyOnce))
        #expect(flow.receivedPubComp(id).isOutOfOrder)
        #expect(flow.receivedPubAck(id).isOutOfOrder)
        #expect(flow.receivedPubRec(id, isError: false).isRelease)
        #expect(flow.receivedPubRec(id, isError: false).isReleaseAgain)
        #expect(flow.receivedPubComp(id).finishedNumber == 1)
        #expect(flow.receivedPubComp(id).isUnknown)
        #expect(flow.receivedPubRec(id, isError: false).isUnknown)
    }

    @Test("PUBREC with an error ends the exchange")
    func refusedByReceiver() throws {
        var flow = OutboundFlow()
        let id = flow.admit(try delivery(1, qos: .exactlyOnce))
        #expect(flow.receivedPubRec(id, isError: true).finishedNumber == 1)
        #expect(flow.isEmpty)
    }

    @Test("PUBREC for a QoS 1 message, and identifiers that are not in flight, are told apart")
    func wrongKinds() throws {
        var flow = OutboundFlow()
        let id = flow.admit(try delivery(1))
        #expect(flow.receivedPubRec(id, isError: false).isOutOfOrder)
        #expect(flow.receivedPubComp(id).isOutOfOrder)
        for unknown: UInt16 in [0, 2, 1000, 65_535] { #expect(flow.receivedPubAck(unknown).isUnknown) }
        #expect(flow.count == 1)
    }

    @Test("messages can be taken out by choice, in order, and their identifiers are free")
    func extract() throws {
        var flow = OutboundFlow()
        for number in 1...6 { _ = flow.admit(try delivery(number, qos: number == 4 ? .exactlyOnce : .atLeastOnce)) }
        let taken = flow.extract { phase, _ in phase == .awaitingPubAck }
        #expect(taken.map(\.number) == [1, 2, 3, 5, 6])
        #expect(flow.count == 1)
        #expect(flow.outstanding == 1)
        #expect(flow.abandon(4) == true)
        #expect(flow.abandon(4) == false)
        #expect(flow.isEmpty && flow.outstanding == 0)
    }
}
