import MQTTModel
import MQTTSession
import Testing

@Suite("What is remembered of a client's PUBLISH packets")
struct InboundFlowTests {
    private func receive(_ flow: inout InboundFlow, _ qos: QoS, _ id: UInt16, held: Int = 0, maximum: Int? = 10) -> InboundFlow.PublishDecision {
        flow.received(qos: qos, packetID: id, unacknowledged: held, receiveMaximum: maximum)
    }

    @Test("QoS 0 and 1 are always routed, repeated or not")
    func lowerQoS() {
        var flow = InboundFlow()
        for _ in 0..<3 {
            #expect(receive(&flow, .atMostOnce, 0) == .route)
            #expect(receive(&flow, .atLeastOnce, 7) == .route)
        }
    }

    @Test("a QoS 2 identifier is routed once until its PUBREL")
    func duplicates() {
        var flow = InboundFlow()
        #expect(receive(&flow, .exactlyOnce, 7) == .route)
        #expect(receive(&flow, .exactlyOnce, 7) == .acknowledgeAgain)
        #expect(flow.released(7) == true)
        #expect(flow.released(7) == false)
        #expect(receive(&flow, .exactlyOnce, 7) == .route)
    }

    @Test("a retransmission of a held message is acknowledged with it, not before")
    func heldDuplicate() {
        var flow = InboundFlow()
        #expect(receive(&flow, .exactlyOnce, 7) == .route)
        flow.hold(7)
        #expect(receive(&flow, .exactlyOnce, 7) == .acknowledgeLater)
        flow.endHold(7)
        #expect(receive(&flow, .exactlyOnce, 7) == .acknowledgeAgain)
    }

    @Test("a refused QoS 2 identifier is free at once")
    func refused() {
        var flow = InboundFlow()
        #expect(receive(&flow, .exactlyOnce, 7) == .route)
        flow.refused(7)
        #expect(receive(&flow, .exactlyOnce, 7) == .route)
    }

    @Test("one more than the receive maximum ends the connection, a retransmission does not")
    func receiveMaximum() {
        var flow = InboundFlow()
        for id: UInt16 in 1...10 { #expect(receive(&flow, .exactlyOnce, id) == .route) }
        #expect(receive(&flow, .exactlyOnce, 5) == .acknowledgeAgain)
        #expect(receive(&flow, .atLeastOnce, 11) == .disconnect(.receiveMaximumExceeded))
        #expect(receive(&flow, .exactlyOnce, 11) == .disconnect(.receiveMaximumExceeded))
        #expect(flow.released(1) == true)
        #expect(receive(&flow, .exactlyOnce, 11) == .route)
    }

    @Test("held messages count towards the receive maximum, QoS 0 does not")
    func heldCount() {
        var flow = InboundFlow()
        #expect(receive(&flow, .exactlyOnce, 1) == .route)
        #expect(receive(&flow, .atLeastOnce, 2, held: 8) == .route)
        #expect(receive(&flow, .atLeastOnce, 2, held: 9) == .disconnect(.receiveMaximumExceeded))
        #expect(receive(&flow, .atMostOnce, 0, held: 9) == .route)
    }

    @Test("MQTT 3 has no receive maximum: all 65,535 identifiers may be open")
    func versionThree() {
        var flow = InboundFlow()
        for id: UInt16 in 1...65_535 where receive(&flow, .exactlyOnce, id, maximum: nil) != .route { Issue.record("\(id) refused") }
        #expect(receive(&flow, .exactlyOnce, 1, maximum: nil) == .acknowledgeAgain)
    }

    @Test("a new connection has its quota anew, and what was seen stays seen")
    func newConnection() {
        var flow = InboundFlow()
        for id: UInt16 in 1...10 { _ = receive(&flow, .exactlyOnce, id) }
        flow.connectionBegan()
        #expect(receive(&flow, .exactlyOnce, 3) == .acknowledgeAgain)
        for id: UInt16 in 11...20 { #expect(receive(&flow, .exactlyOnce, id) == .route) }
        #expect(receive(&flow, .exactlyOnce, 21) == .disconnect(.receiveMaximumExceeded))
    }
}
