import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("What outlives the broker")
struct StoreTests {
    @Test("a kept session has its subscriptions and its messages, in order", arguments: loopCounts, [ProtocolVersion.v3_1_1, .v5])
    func kept(loops: Int, version: ProtocolVersion) async throws {
        let store = StoreScenario(loops)
        try await store.life { harness in
            let first = try await harness.subscriber("kept", "t/#", qos: .exactlyOnce, version: version, cleanStart: false) {
                $0.sessionExpirySeconds = 10_000
            }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...20 {
                try await publisher.publish(message("t/\(number % 3)", "\(number)", qos: number % 2 == 0 ? .atLeastOnce : .exactlyOnce, id: number))
            }
        }
        // Another number of loops gives every session another home.
        try await store.life(loops: 4 - loops) { harness in
            #expect(await harness.broker.statistics().queuedMessages == 20)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t/x", "21", qos: .atLeastOnce))
            let second = try await harness.open(version: version)
            #expect(try await second.connect("kept", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }.sessionPresent)
            #expect(try await second.receive(21).map(\.text) == (1...21).map(String.init))
            try await publisher.publish(message("t/9", "live", qos: .atLeastOnce))
            #expect(try await second.receive(1).first?.text == "live")
            try await second.ping()  // its acknowledgement has come before the broker ends
        }
        try await store.life { harness in
            let third = try await harness.open(version: version)
            #expect(try await third.connect("kept", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }.sessionPresent)
            try await third.ping()
            try await third.expectNothing()
        }
    }

    @Test("what was ended, unsubscribed or acknowledged does not come back", arguments: loopCounts)
    func gone(loops: Int) async throws {
        let store = StoreScenario(loops)
        try await store.life { harness in
            let client = try await harness.subscriber("left", "t", qos: .atLeastOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            #expect(try await client.subscribe("u", qos: .atLeastOnce) == .grantedQoS1)
            try await client.unsubscribe(["t"])
            await client.close()
            let ended = try await harness.subscriber("ended", "t", qos: .atLeastOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            try await ended.disconnect()
            let clean = try await harness.connect("ended", cleanStart: true)
            try await clean.disconnect()
        }
        try await store.life { harness in
            let statistics = await harness.broker.statistics()
            #expect(statistics.sessions == 1 && statistics.subscriptions == 1)
            let publisher = try await harness.connect("publisher")
            #expect(try await publisher.publish(message("t", "nobody", qos: .atLeastOnce)) == .noMatchingSubscribers)
            #expect(try await publisher.publish(message("u", "somebody", qos: .atLeastOnce)) == .success)
            #expect(try await harness.open().connect("ended", cleanStart: false).sessionPresent == false)
        }
    }

    @Test("an unacknowledged message keeps its packet identifier and comes with DUP", arguments: loopCounts, [QoS.atLeastOnce, .exactlyOnce])
    func inFlight(loops: Int, qos: QoS) async throws {
        let store = StoreScenario(loops)
        var identifier: UInt16 = 0
        try await store.life { harness in
            let client = try await harness.subscriber("client", "t", qos: qos, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            let publisher = try await harness.connect("publisher")
            publisher.send(.publish(message("t", "first", qos: qos, id: 1)), .publish(message("t", "second", qos: qos, id: 2)))
            _ = try await client.nextPublish()
            identifier = try await client.nextPublish().packetID
        }
        try await store.life { harness in
            let client = try await harness.connect("client", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            #expect(try await client.nextPublish().text == "first")
            let again = try await client.nextPublish()
            #expect(again.text == "second" && again.packetID == identifier && again.dup)
        }
    }

    @Test("a QoS 2 message that the broker has is recognised after its restart", arguments: loopCounts)
    func inboundExactlyOnce(loops: Int) async throws {
        let store = StoreScenario(loops)
        try await store.life { harness in
            let receiver = try await harness.subscriber("receiver", "t", qos: .exactlyOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            await receiver.close()
            let client = try await harness.connect("client", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            client.send(.publish(message("t", "once", qos: .exactlyOnce, id: 7)))
            try await client.expect(.pubRec(Acknowledgement(packetID: 7)))
        }
        try await store.life { harness in
            let client = try await harness.connect("client", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            client.send(.publish(message("t", "once", qos: .exactlyOnce, id: 7) { $0.dup = true }))
            try await client.expect(.pubRec(Acknowledgement(packetID: 7)))
            client.send(.pubRel(Acknowledgement(packetID: 7)))
            try await client.expect(.pubComp(Acknowledgement(packetID: 7)))
        }
        try await store.life { harness in
            let client = try await harness.connect("client", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            try await client.publish(message("t", "next", qos: .exactlyOnce, id: 7))
            let receiver = try await harness.connect("receiver", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            #expect(try await receiver.receive(2).map(\.text) == ["once", "next"])
        }
    }

    @Test("after PUBREC the broker goes on with PUBREL, also when it was restarted", arguments: loopCounts)
    func outboundReleased(loops: Int) async throws {
        let store = StoreScenario(loops)
        var identifier: UInt16 = 0
        try await store.life { harness in
            let client = try await harness.subscriber("client", "t", qos: .exactlyOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "once", qos: .exactlyOnce))
            identifier = try await client.nextPublish().packetID
            client.send(.pubRec(Acknowledgement(packetID: identifier)))
            try await client.expect(.pubRel(Acknowledgement(packetID: identifier)))
        }
        for _ in 0..<2 {
            try await store.life { harness in
                let client = try await harness.connect("client", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
                try await client.expect(.pubRel(Acknowledgement(packetID: identifier)))
            }
        }
        try await store.life { harness in
            let client = try await harness.connect("client", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            try await client.expect(.pubRel(Acknowledgement(packetID: identifier)))
            client.send(.pubComp(Acknowledgement(packetID: identifier)))
            try await client.ping()
        }
        try await store.life { harness in
            #expect(await harness.broker.statistics().queuedMessages == 0)
        }
    }

    @Test("retained messages are there as they were last", arguments: loopCounts)
    func retained(loops: Int) async throws {
        let store = StoreScenario(loops)
        try await store.life { harness in
            let publisher = try await harness.connect("publisher")
            for number in 0..<50 { try await publisher.publish(message("r/\(number)", "old", qos: .atLeastOnce, retain: true)) }
            try await publisher.publish(message("r/1", "new", qos: .atLeastOnce, retain: true))
            try await publisher.publish(message("r/2", "", qos: .atLeastOnce, retain: true))
            try await publisher.publish(message("r/3", "gone", qos: .atLeastOnce, retain: true) { $0.expirySeconds = 1 })
        }
        try await elapse(.milliseconds(1_100))
        try await store.life(loops: 4 - loops) { harness in
            let client = try await harness.subscriber("client", "r/#", qos: .atLeastOnce)
            let received = try await client.receive(48)
            #expect(Set(received.map(\.topic)).count == 48)
            #expect(received.allSatisfy { $0.retain && $0.text == ($0.topic == "r/1" ? "new" : "old") })
            try await client.expectNothing()
        }
    }

    @Test("a session's time runs on while the broker is down", arguments: loopCounts)
    func expiry(loops: Int) async throws {
        let store = StoreScenario(loops)
        try await store.life { harness in
            for (name, seconds) in [("short", UInt32(1)), ("long", 10_000)] {
                let client = try await harness.subscriber(name, "t", qos: .atLeastOnce, cleanStart: false) { $0.sessionExpirySeconds = seconds }
                await client.close()
            }
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "expires", qos: .atLeastOnce) { $0.expirySeconds = 1 })
            try await publisher.publish(message("t", "stays", qos: .atLeastOnce))
        }
        try await elapse(.milliseconds(1_200))
        try await store.life { harness in
            try await harness.wait(for: "the short session's end") { $0.sessions == 1 }
            let client = try await harness.connect("long", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            #expect(try await client.receive(1).first?.text == "stays")
            #expect(await harness.broker.statistics().expired == 1)
        }
    }

    @Test("a shared subscription has its members and their messages", arguments: loopCounts)
    func shared(loops: Int) async throws {
        let store = StoreScenario(loops)
        try await store.life { harness in
            for name in ["one", "two"] {
                let client = try await harness.subscriber(name, "$share/group/s", qos: .atLeastOnce, cleanStart: false) {
                    $0.sessionExpirySeconds = 10_000
                }
                await client.close()
            }
            try await harness.waitForOffline(2)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...10 { try await publisher.publish(message("s", "\(number)", qos: .atLeastOnce, id: number)) }
        }
        try await store.life { harness in
            let one = try await harness.connect("one", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            let two = try await harness.connect("two", cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            let both = try await one.receive(5).map(\.text) + two.receive(5).map(\.text)
            #expect(Set(both).count == 10)
        }
    }

    @Test("a message that its receivers acknowledge in time is never written")
    func elided() async throws {
        let store = StoreScenario(1) { $0.store.commitWindowMilliseconds = 60_000 }
        try await store.life { harness in
            let receiver = try await harness.subscriber("receiver", "t", qos: .atLeastOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
            let publisher = try await harness.connect("publisher")
            let before = try #require(await harness.broker.statistics().store)
            for number: UInt16 in 1...50 {
                publisher.send(.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)))
                #expect(try await receiver.receive(1).first?.text == "\(number)")
                try await publisher.expect(.pubAck(Acknowledgement(packetID: number)))
            }
            #expect(try #require(await harness.broker.statistics().store).operations == before.operations)
        }
    }
}
