import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Receive Maximum and Maximum Packet Size")
struct FlowControlTests {
    @Test("a client has no more unacknowledged messages than it wants, and the rest in order", arguments: loopCounts, [QoS.atLeastOnce, .exactlyOnce])
    func towardsClient(loops: Int, qos: QoS) async throws {
        try await withBroker(loops) { harness in
            let subscriber = try await harness.subscriber("subscriber", "t", qos: qos) { $0.receiveMaximum = 3 }
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...10 { try await publisher.publish(message("t", "\(number)", qos: qos, id: number)) }
            let first = [try await subscriber.nextPublish(), try await subscriber.nextPublish(), try await subscriber.nextPublish()]
            #expect(first.map(\.text) == ["1", "2", "3"])
            try await subscriber.expectNothing()
            // An exchange of QoS 2 occupies its place until PUBCOMP.
            if qos == .exactlyOnce {
                subscriber.send(.pubRec(Acknowledgement(packetID: first[1].packetID)))
                try await subscriber.expect(.pubRel(Acknowledgement(packetID: first[1].packetID)))
                try await subscriber.expectNothing()
                subscriber.send(.pubComp(Acknowledgement(packetID: first[1].packetID)))
            } else {
                subscriber.send(.pubAck(Acknowledgement(packetID: first[1].packetID)))
            }
            let fourth = try await subscriber.nextPublish()
            #expect(fourth.text == "4")
            try await subscriber.expectNothing()
            for message in [first[0], first[2], fourth] { try await subscriber.acknowledge(message) }
            #expect(try await subscriber.receive(6).map(\.text) == (5...10).map(String.init))
        }
    }

    @Test("the server's own limit holds where the client has none", arguments: [ProtocolVersion.v3_1_1, .v5])
    func serverWindow(version: ProtocolVersion) async throws {
        try await withBroker(1, configure: { $0.sessions.maxInflightMessages = 2 }) { harness in
            let client = try await harness.subscriber("client", "t", qos: .atLeastOnce, version: version)
            for number: UInt16 in 1...5 { try await client.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            try await client.ping()
            #expect(await harness.broker.statistics().inflightMessages == 2)
            #expect(try await client.receive(5).map(\.text) == ["1", "2", "3", "4", "5"])
        }
    }

    @Test("QoS 0 passes a closed window")
    func qosZeroPasses() async throws {
        try await withBroker(1) { harness in
            let client = try await harness.subscriber("client", "t", qos: .atLeastOnce) { $0.receiveMaximum = 1 }
            try await client.publish(message("t", "one", qos: .atLeastOnce))
            #expect(try await client.nextPublish().text == "one")
            try await client.publish(message("t", "zero"))
            #expect(try await client.nextPublish().text == "zero")
        }
    }

    @Test("a client that exceeds the server's receive maximum is closed with 0x93", arguments: loopCounts)
    func towardsServer(loops: Int) async throws {
        try await withBroker(loops, configure: { $0.sessions.receiveMaximum = 5 }) { harness in
            let client = try await harness.connect("client")
            client.send((1...5).map { .publish(message("t", "x", qos: .exactlyOnce, id: $0)) })
            for id: UInt16 in 1...5 { try await client.expect(.pubRec(Acknowledgement(packetID: id, reason: .noMatchingSubscribers))) }
            client.send(.publish(message("t", "x", qos: .exactlyOnce, id: 6)))
            try await client.expectEnd(.receiveMaximumExceeded)
        }
    }

    @Test("PUBREL frees the quota, and MQTT 3 has none")
    func quota() async throws {
        try await withBroker(1, configure: { $0.sessions.receiveMaximum = 5 }) { harness in
            let five = try await harness.connect("five")
            for id: UInt16 in 1...50 { try await five.publish(message("t", "x", qos: .exactlyOnce, id: id)) }
            let three = try await harness.connect("three", version: .v3_1_1)
            three.send((1...50).map { .publish(message("t", "x", qos: .exactlyOnce, id: $0)) })
            for id: UInt16 in 1...50 { try await three.expect(.pubRec(Acknowledgement(packetID: id))) }
        }
    }

    @Test("a message above the receiver's Maximum Packet Size is dropped for it alone, and counted", arguments: loopCounts, QoS.allCases)
    func tooLargeForReceiver(loops: Int, qos: QoS) async throws {
        try await withBroker(loops) { harness in
            let small = try await harness.subscriber("small", "t", qos: qos) { $0.maximumPacketSize = 100 }
            let large = try await harness.subscriber("large", "t", qos: qos)
            let publisher = try await harness.connect("publisher")
            let long = String(repeating: "x", count: 200)
            try await publisher.publish(message("t", long, qos: qos, id: 1))
            try await publisher.publish(message("t", "short", qos: qos, id: 2))
            #expect(try await large.receive(2).map(\.text) == [long, "short"])
            #expect(try await small.receive(1).map(\.text) == ["short"])
            #expect(await harness.broker.statistics().dropped == [.packetTooLarge: 1])
        }
    }

    @Test("a message that has become too large for a resumed session is dropped there", arguments: [QoS.atLeastOnce, .exactlyOnce])
    func tooLargeOnResume(qos: QoS) async throws {
        try await withBroker(1) { harness in
            let first = try await harness.subscriber("client", "t", qos: qos) { $0.sessionExpirySeconds = 100 }
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", String(repeating: "x", count: 200), qos: qos, id: 1))
            _ = try await first.nextPublish()
            await first.close()
            try await harness.waitForOffline(1)
            try await publisher.publish(message("t", String(repeating: "y", count: 200), qos: qos, id: 2))
            try await publisher.publish(message("t", "short", qos: qos, id: 3))
            let second = try await harness.connect("client", cleanStart: false) { $0.maximumPacketSize = 100 }
            #expect(try await second.receive(1).map(\.text) == ["short"])
            #expect(await harness.broker.statistics().dropped == [.packetTooLarge: 2])
        }
    }

    @Test("exactly the maximum fits")
    func exactSize() async throws {
        try await withBroker(1) { harness in
            // 2 fixed header, 2 + 1 topic, 1 properties
            let client = try await harness.subscriber("client", "t") { $0.maximumPacketSize = 106 }
            try await client.publish(message("t", String(repeating: "x", count: 101)))
            try await client.publish(message("t", String(repeating: "x", count: 100)))
            #expect(try await client.receive(1)[0].payload.count == 100)
            #expect(await harness.broker.statistics().dropped == [.packetTooLarge: 1])
        }
    }

    @Test("a packet above the server's limit ends the connection before its body has come", arguments: loopCounts, [ProtocolVersion.v3_1_1, .v5])
    func tooLargeForServer(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops, configure: { $0.limits.maxPacketBytes = 1_000 }) { harness in
            let client = try await harness.connect("client", version: version)
            try await client.publish(message("t", String(repeating: "x", count: 900)))
            try await client.ping()
            client.send(bytes: [0x30, 0xFF, 0xFF, 0xFF, 0x7F])
            try await client.expectEnd(.packetTooLarge)
            // Before CONNECT another limit holds, and nobody is answered.
            let stranger = try await harness.open(version: version)
            stranger.send(bytes: [0x10, 0xFF, 0xFF, 0xFF, 0x7F])
            try await stranger.expectClose()
        }
    }
}
