import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Retained messages")
struct RetainedTests {
    @Test("the last retained message of a topic goes to new subscriptions, with RETAIN", arguments: loopCounts, ProtocolVersion.allCases)
    func setAndReplace(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher", version: version)
            for qos in QoS.allCases { try await publisher.publish(message("r/\(qos)", "old", qos: qos, retain: true)) }
            for qos in QoS.allCases { try await publisher.publish(message("r/\(qos)", "new", qos: qos, retain: true)) }
            try await publisher.ping()
            let subscriber = try await harness.subscriber("subscriber", "r/+", qos: .atLeastOnce, version: version)
            let received = try await subscriber.receive(3).sorted { $0.topic < $1.topic }
            #expect(received.map(\.topic) == ["r/0", "r/1", "r/2"])
            #expect(received.map(\.qos) == [.atMostOnce, .atLeastOnce, .atLeastOnce])
            #expect(received.allSatisfy { $0.text == "new" && $0.retain })
            #expect(await harness.broker.statistics().retainedMessages == 3)
        }
    }

    @Test("an empty payload clears, and is itself an ordinary message", arguments: loopCounts)
    func clear(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher")
            let watcher = try await harness.subscriber("watcher", "r")
            try await publisher.publish(message("r", "x", qos: .atLeastOnce, retain: true))
            try await publisher.publish(message("r", "", qos: .atLeastOnce, retain: true))
            #expect(try await watcher.receive(2).map(\.text) == ["x", ""])
            let subscriber = try await harness.subscriber("subscriber", "r")
            try await subscriber.expectNothing()
            let statistics = await harness.broker.statistics()
            #expect(statistics.retainedMessages == 0 && statistics.retainedBytes == 0)
        }
    }

    @Test("live receivers get RETAIN cleared, unless they subscribed with Retain As Published", arguments: loopCounts)
    func retainAsPublished(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let plain = try await harness.subscriber("plain", "r")
            let asPublished = try await harness.connect("as-published")
            try await asPublished.subscribe([Subscribe.Entry(filter: "r", retainAsPublished: true)])
            let three = try await harness.subscriber("three", "r", version: .v3_1_1)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("r", "retained", qos: .atLeastOnce, retain: true))
            try await publisher.publish(message("r", "plain", qos: .atLeastOnce))
            #expect(try await plain.receive(2).map(\.retain) == [false, false])
            #expect(try await asPublished.receive(2).map(\.retain) == [true, false])
            #expect(try await three.receive(2).map(\.retain) == [false, false])
        }
    }

    @Test("Retain Handling 0 sends at each SUBSCRIBE, 1 at the first, 2 never", arguments: loopCounts)
    func retainHandling(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("r", "x", qos: .atLeastOnce, retain: true))
            let client = try await harness.connect("client")
            let expected: [(Subscribe.RetainHandling, Bool)] = [
                (.doNotSend, false), (.sendIfNew, false), (.sendAtSubscribe, true), (.sendIfNew, false), (.sendAtSubscribe, true),
            ]
            for (handling, isSent) in expected {
                try await client.subscribe([Subscribe.Entry(filter: "r", retainHandling: handling)])
                if isSent { #expect(try await client.receive(1)[0].retain) } else { try await client.expectNothing() }
            }
            try await client.unsubscribe(["r"])
            try await client.subscribe([Subscribe.Entry(filter: "r", retainHandling: .sendIfNew)])
            #expect(try await client.receive(1)[0].retain)
        }
    }

    @Test("retained messages come after SUBACK, with the identifier of their subscription", arguments: loopCounts)
    func identifierAndOrder(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("r", "x", qos: .atLeastOnce, retain: true) {
                $0.properties = PublishProperties(contentType: "text", userProperties: [UserProperty("a", "b")])
            })
            let client = try await harness.connect("client")
            var subscribe = Subscribe(packetID: 5, entries: [Subscribe.Entry(filter: "r")])
            subscribe.subscriptionID = 77
            client.send(.subscribe(subscribe))
            try await client.expect(.subAck(SubAck(packetID: 5, reasons: [.grantedQoS0])))
            let received = try await client.nextPublish()
            #expect(received.subscriptionIDs == [77])
            #expect(received.properties.contentType == "text" && received.properties.userProperties == [UserProperty("a", "b")])
        }
    }

    @Test("shared subscriptions get no retained messages", arguments: loopCounts)
    func shared(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("r", "x", qos: .atLeastOnce, retain: true))
            let client = try await harness.subscriber("client", "$share/g/r")
            try await client.expectNothing()
        }
    }

    @Test("wildcards at the first level do not match retained $ topics", arguments: loopCounts)
    func dollar(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("$own/x", "x", qos: .atLeastOnce, retain: true))
            try await publisher.publish(message("own/x", "x", qos: .atLeastOnce, retain: true))
            let wild = try await harness.subscriber("wild", "#")
            #expect(try await wild.receive(1)[0].topic == "own/x")
            let level = try await harness.subscriber("level", "+/x")
            #expect(try await level.receive(1)[0].topic == "own/x")
            let exact = try await harness.subscriber("exact", "$own/#")
            #expect(try await exact.receive(1)[0].topic == "$own/x")
            try await wild.expectNothing()
        }
    }

    @Test("5,000 retained messages reach a client with a window of 5, each once", arguments: loopCounts)
    func bigReplay(loops: Int) async throws {
        try await withBroker(loops, configure: {
            $0.sessions.maxQueuedMessages = 100
            $0.sessions.receiveMaximum = 65_535
        }) { harness in
            let publisher = try await harness.connect("publisher")
            publisher.send((1...5_000).map { .publish(message("r/\($0 % 50)/\($0)", "\($0)", qos: .atLeastOnce, id: UInt16($0), retain: true)) })
            try await harness.wait(for: "all retained") { $0.retainedMessages == 5_000 }
            let client = try await harness.subscriber("client", "r/#", qos: .atLeastOnce) { $0.receiveMaximum = 5 }
            let received = try await client.receive(5_000, within: .seconds(30))
            #expect(Set(received.map(\.text)) == Set((1...5_000).map(String.init)))
            #expect(received.allSatisfy { $0.retain })
            #expect(await harness.broker.statistics().dropped.isEmpty)
        }
    }

    @Test("live messages pass a long replay")
    func liveDuringReplay() async throws {
        try await withBroker(1) { harness in
            let publisher = try await harness.connect("publisher")
            for number in 1...600 { publisher.send(.publish(message("r/\(number)", "old", retain: true))) }
            try await publisher.ping()
            let client = try await harness.subscriber("client", "r/#", qos: .atLeastOnce) { $0.receiveMaximum = 2 }
            try await publisher.publish(message("r/live", "live", qos: .atLeastOnce))
            let received = try await client.receive(601)
            #expect(received.filter { $0.text == "live" }.count == 1)
        }
    }

    @Test("above the limit new topics are refused with 0x97, and clearing makes room")
    func quota() async throws {
        try await withBroker(1, configure: { $0.retained.maxMessages = 2 }) { harness in
            let client = try await harness.connect("client")
            #expect(try await client.publish(message("a", "x", qos: .atLeastOnce, retain: true)) == .noMatchingSubscribers)
            #expect(try await client.publish(message("b", "x", qos: .exactlyOnce, retain: true)) == .noMatchingSubscribers)
            #expect(try await client.publish(message("c", "x", qos: .atLeastOnce, retain: true)) == .quotaExceeded)
            #expect(try await client.publish(message("b", "y", qos: .atLeastOnce, retain: true)) == .noMatchingSubscribers)
            try await client.publish(message("a", "", qos: .atLeastOnce, retain: true))
            #expect(try await client.publish(message("c", "x", qos: .exactlyOnce, retain: true)) == .noMatchingSubscribers)
            #expect(await harness.broker.statistics().messagesRefused == [.quota: 1])
        }
    }

    @Test("where retained messages are not available, RETAIN ends the connection")
    func notAvailable() async throws {
        try await withBroker(1, configure: { $0.retained.isAvailable = false }) { harness in
            let client = try await harness.connect("client")
            client.send(.publish(message("r", "x", retain: true)))
            try await client.expectEnd(.retainNotSupported)
        }
    }
}
