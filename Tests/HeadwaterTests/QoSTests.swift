import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Quality of service")
struct QoSTests {
    @Test("a message arrives with the smaller QoS of publisher and subscription", arguments: loopCounts, ProtocolVersion.allCases)
    func matrix(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher", version: version)
            for granted in QoS.allCases {
                let subscriber = try await harness.subscriber("subscriber-\(granted)", "t", qos: granted, version: version)
                for sent in QoS.allCases {
                    try await publisher.publish(message("t", "\(sent)", qos: sent, id: 9))
                    let received = try await subscriber.receive(1)[0]
                    #expect(received.qos == min(sent, granted) && received.text == "\(sent)" && !received.dup && !received.retain)
                }
                try await subscriber.disconnect()
            }
            try await harness.wait(for: "all acknowledged") { $0.inflightMessages == 0 }
            #expect(await harness.broker.statistics().delivered == 9)
        }
    }

    @Test("QoS 2 sent twice before PUBREL is delivered once", arguments: loopCounts, ProtocolVersion.allCases)
    func duplicate(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let subscriber = try await harness.subscriber("subscriber", "t", qos: .exactlyOnce, version: version)
            let publisher = try await harness.connect("publisher", version: version)
            publisher.send(.publish(message("t", "once", qos: .exactlyOnce, id: 7)))
            try await publisher.expect(.pubRec(Acknowledgement(packetID: 7)))
            publisher.send(.publish(message("t", "once", qos: .exactlyOnce, id: 7) { $0.dup = true }))
            try await publisher.expect(.pubRec(Acknowledgement(packetID: 7)))
            publisher.send(.pubRel(Acknowledgement(packetID: 7)))
            try await publisher.expect(.pubComp(Acknowledgement(packetID: 7)))
            try await publisher.publish(message("t", "next", qos: .exactlyOnce, id: 7))
            #expect(try await subscriber.receive(2).map(\.text) == ["once", "next"])
            #expect(await harness.broker.statistics().duplicatesRecognized == 1)
        }
    }

    @Test("QoS 2 sent again on a new connection is recognised", arguments: loopCounts, [ProtocolVersion.v3_1_1, .v5])
    func duplicateAfterReconnect(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let subscriber = try await harness.subscriber("subscriber", "t", qos: .exactlyOnce)
            let publisher = try await harness.connect("publisher", version: version, cleanStart: false) { $0.sessionExpirySeconds = 100 }
            publisher.send(.publish(message("t", "once", qos: .exactlyOnce, id: 7)))
            try await publisher.expect(.pubRec(Acknowledgement(packetID: 7)))
            await publisher.reset()
            try await harness.waitForOffline(1)
            let again = try await harness.connect("publisher", version: version, cleanStart: false) { $0.sessionExpirySeconds = 100 }
            try await again.publish(message("t", "once", qos: .exactlyOnce, id: 7) { $0.dup = true })
            try await again.publish(message("t", "end", qos: .exactlyOnce, id: 8))
            #expect(try await subscriber.receive(2).map(\.text) == ["once", "end"])
        }
    }

    @Test("PUBREL for an unknown identifier is answered, in MQTT 5 with 0x92", arguments: ProtocolVersion.allCases)
    func unknownRelease(version: ProtocolVersion) async throws {
        try await withBroker(1) { harness in
            let client = try await harness.connect("client", version: version)
            client.send(.pubRel(Acknowledgement(packetID: 99)))
            try await client.expect(
                .pubComp(Acknowledgement(packetID: 99, reason: version == .v5 ? .packetIdentifierNotFound : .success)))
            try await client.ping()
        }
    }

    @Test("what was not acknowledged is sent again with DUP when the session is resumed", arguments: loopCounts, ProtocolVersion.allCases)
    func resend(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let subscriber = try await harness.subscriber("subscriber", "t", qos: .exactlyOnce, version: version, cleanStart: false) {
                $0.sessionExpirySeconds = 100
            }
            let publisher = try await harness.connect("publisher")
            for (number, qos) in [QoS.atLeastOnce, .exactlyOnce, .exactlyOnce, .atLeastOnce].enumerated() {
                try await publisher.publish(message("t", "\(number)", qos: qos, id: UInt16(number + 1)))
            }
            let sent = [
                try await subscriber.nextPublish(), try await subscriber.nextPublish(), try await subscriber.nextPublish(),
                try await subscriber.nextPublish(),
            ]
            // The third one gets as far as PUBREL, the first one is done.
            subscriber.send(.pubRec(Acknowledgement(packetID: sent[2].packetID)), .pubAck(Acknowledgement(packetID: sent[0].packetID)))
            try await subscriber.expect(.pubRel(Acknowledgement(packetID: sent[2].packetID)))
            await subscriber.reset()
            try await harness.waitForOffline(1)

            let again = try await harness.open(version: version)
            try await again.connect("subscriber", cleanStart: false) { $0.sessionExpirySeconds = 100 }
            var expected = [sent[1], sent[2], sent[3]]
            for index in expected.indices { expected[index].dup = true }
            try await again.expect(.publish(expected[0]))
            try await again.expect(.pubRel(Acknowledgement(packetID: sent[2].packetID)))
            try await again.expect(.publish(expected[2]))
            again.send(.pubComp(Acknowledgement(packetID: sent[2].packetID)), .pubAck(Acknowledgement(packetID: sent[3].packetID)))
            try await again.acknowledge(expected[0])
            try await harness.wait(for: "all acknowledged") { $0.inflightMessages == 0 && $0.delivered == 4 }
        }
    }

    @Test("PUBREC is answered again, and PUBCOMP ends the exchange", arguments: [ProtocolVersion.v3_1_1, .v5])
    func repeatedReceipt(version: ProtocolVersion) async throws {
        try await withBroker(1) { harness in
            let client = try await harness.subscriber("client", "t", qos: .exactlyOnce, version: version)
            try await client.publish(message("t", "x", qos: .exactlyOnce))
            let id = try await client.nextPublish().packetID
            for _ in 0..<3 {
                client.send(.pubRec(Acknowledgement(packetID: id)))
                try await client.expect(.pubRel(Acknowledgement(packetID: id)))
            }
            client.send(.pubComp(Acknowledgement(packetID: id)), .pubComp(Acknowledgement(packetID: id)), .pubRec(Acknowledgement(packetID: id)))
            try await client.expect(.pubRel(Acknowledgement(packetID: id, reason: version == .v5 ? .packetIdentifierNotFound : .success)))
            #expect(await harness.broker.statistics().delivered == 1)
        }
    }

    @Test("an acknowledgement of the wrong kind closes the connection")
    func wrongKind() async throws {
        try await withBroker(1) { harness in
            let wrong: [(QoS, (UInt16) -> Packet)] = [
                (.exactlyOnce, { .pubAck(Acknowledgement(packetID: $0)) }), (.exactlyOnce, { .pubComp(Acknowledgement(packetID: $0)) }),
                (.atLeastOnce, { .pubRec(Acknowledgement(packetID: $0)) }), (.atLeastOnce, { .pubComp(Acknowledgement(packetID: $0)) }),
            ]
            for (qos, answer) in wrong {
                let client = try await harness.subscriber("client", "t", qos: .exactlyOnce)
                try await client.publish(message("t", "x", qos: qos))
                client.send(answer(try await client.nextPublish().packetID))
                try await client.expectEnd(.protocolError)
                try await harness.wait(for: "its end") { $0.sessions == 0 }
            }
            #expect(await harness.broker.statistics().dropped == [.sessionEnded: 4])
        }
    }

    @Test("a receiver that refuses with PUBREC or PUBACK is counted as such")
    func refusedByReceiver() async throws {
        try await withBroker(1) { harness in
            let client = try await harness.subscriber("client", "t", qos: .exactlyOnce)
            try await client.publish(message("t", "a", qos: .exactlyOnce))
            client.send(.pubRec(Acknowledgement(packetID: try await client.nextPublish().packetID, reason: .quotaExceeded)))
            try await client.publish(message("t", "b", qos: .atLeastOnce))
            client.send(.pubAck(Acknowledgement(packetID: try await client.nextPublish().packetID, reason: .unspecifiedError)))
            try await client.ping()
            let statistics = await harness.broker.statistics()
            #expect(statistics.dropped == [.rejectedByReceiver: 2] && statistics.inflightMessages == 0)
        }
    }

    @Test("order is kept per publisher and topic, at every QoS, for live and for slow receivers", arguments: loopCounts, QoS.allCases)
    func order(loops: Int, qos: QoS) async throws {
        try await withBroker(loops, configure: { $0.sessions.receiveMaximum = 65_535 }) { harness in
            let subscriber = try await harness.subscriber("subscriber", "order/+", qos: qos) { $0.receiveMaximum = 7 }
            let publishers = try await (0..<3).map(String.init).asyncMap { try await harness.connect("publisher-\($0)") }
            for (index, publisher) in publishers.enumerated() {
                publisher.send((1...300).map { .publish(message("order/\(index)", "\($0)", qos: qos, id: UInt16($0))) })
            }
            let received = try await subscriber.receive(900)
            for index in 0..<3 {
                #expect(received.filter { $0.topic == "order/\(index)" }.map(\.text) == (1...300).map(String.init))
            }
        }
    }

    @Test("acknowledgements come in the order of the messages", arguments: loopCounts)
    func acknowledgementOrder(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client")
            let qos: [QoS] = [.atLeastOnce, .exactlyOnce, .atLeastOnce, .atLeastOnce, .exactlyOnce]
            client.send(qos.enumerated().map { .publish(message("t", "x", qos: $1, id: UInt16($0 + 1))) })
            for (index, qos) in qos.enumerated() {
                let answer = Acknowledgement(packetID: UInt16(index + 1), reason: .noMatchingSubscribers)
                try await client.expect(qos == .atLeastOnce ? .pubAck(answer) : .pubRec(answer))
            }
        }
    }

    @Test("QoS above the announced maximum is granted less, and published ends the connection")
    func maximumQoS() async throws {
        try await withBroker(1, configure: { $0.sessions.maxQoS = 1 }) { harness in
            let client = try await harness.connect("client")
            #expect(try await client.subscribe("t", qos: .exactlyOnce) == .grantedQoS1)
            client.send(.publish(message("t", "x", qos: .exactlyOnce)))
            try await client.expectEnd(.qosNotSupported)
        }
    }
}
