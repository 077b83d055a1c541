import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Shared subscriptions")
struct SharedSubscriptionTests {
    @Test("messages are spread evenly over the members, each to one", arguments: loopCounts, ProtocolVersion.allCases)
    func balance(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            var members: [ScriptedClient] = []
            for number in 0..<3 { members.append(try await harness.subscriber("member-\(number)", "$share/g/t/+", qos: .atLeastOnce, version: version)) }
            let outsider = try await harness.subscriber("outsider", "t/#", qos: .atLeastOnce)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...30 { try await publisher.publish(message("t/\(number % 4)", "\(number)", qos: .atLeastOnce, id: number)) }
            #expect(try await outsider.receive(30).count == 30)
            var all: [String] = []
            for member in members { all += try await member.receive(10).map(\.text) }
            #expect(Set(all) == Set((1...30).map(String.init)) && all.count == 30)
            #expect(await harness.broker.statistics().sharedSubscriptions == 3)
        }
    }

    @Test("groups are apart, and so are filters of one group name", arguments: loopCounts)
    func groups(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("first", "$share/g/t")
            let second = try await harness.subscriber("second", "$share/h/t")
            let third = try await harness.subscriber("third", "$share/g/+")
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "x", qos: .atLeastOnce))
            for client in [first, second, third] { #expect(try await client.receive(1)[0].text == "x") }
        }
    }

    @Test("a client with an ordinary and a shared subscription gets both copies, each with its QoS", arguments: loopCounts)
    func both(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client")
            try await client.subscribe([Subscribe.Entry(filter: "t", qos: .atMostOnce)], identifier: 1)
            try await client.subscribe([Subscribe.Entry(filter: "$share/g/t", qos: .atLeastOnce)], identifier: 2)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "x", qos: .atLeastOnce))
            let received = try await client.receive(2).sorted { $0.qos < $1.qos }
            #expect(received.map(\.qos) == [.atMostOnce, .atLeastOnce])
            #expect(received.map(\.subscriptionIDs) == [[1], [2]])
        }
    }

    @Test("offline members are used only when nobody is online", arguments: loopCounts)
    func offline(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let away = try await harness.subscriber("away", "$share/g/t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            let here = try await harness.subscriber("here", "$share/g/t", qos: .atLeastOnce)
            await away.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...6 { try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            #expect(try await here.receive(6).map(\.text) == (1...6).map(String.init))
            try await here.disconnect()
            try await harness.wait(for: "one member left") { $0.sharedSubscriptions == 1 }
            for number: UInt16 in 7...9 { try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            let back = try await harness.connect("away", cleanStart: false) { $0.sessionExpirySeconds = 100 }
            #expect(try await back.receive(3).map(\.text) == ["7", "8", "9"])
        }
    }

    @Test("what a member has not acknowledged goes to another when it leaves", arguments: loopCounts, [true, false])
    func passedOn(loops: Int, isPersistent: Bool) async throws {
        try await withBroker(loops) { harness in
            let leaving = try await harness.subscriber("leaving", "$share/g/t", qos: .atLeastOnce) {
                $0.receiveMaximum = 2
                $0.sessionExpirySeconds = isPersistent ? 100 : nil
            }
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...5 { try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            // Two in flight, three queued; the first one is acknowledged.
            let first = try await leaving.nextPublish()
            leaving.send(.pubAck(Acknowledgement(packetID: first.packetID)))
            try await leaving.ping()
            let staying = try await harness.subscriber("staying", "$share/g/t", qos: .atLeastOnce)
            await leaving.reset()
            #expect(try await Set(staying.receive(4).map(\.text)) == ["2", "3", "4", "5"])
            try await harness.wait(for: "everything delivered once") { $0.delivered == 5 && $0.deliveriesDue == 5 }
        }
    }

    @Test("UNSUBSCRIBE and the end of a session leave the group", arguments: loopCounts)
    func leaving(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.subscriber("first", "$share/g/t", qos: .atLeastOnce)
            let second = try await harness.subscriber("second", "$share/g/t", qos: .atLeastOnce)
            let publisher = try await harness.connect("publisher")
            #expect(try await first.unsubscribe(["$share/g/t"]) == [.success])
            for number: UInt16 in 1...4 { try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            #expect(try await second.receive(4).count == 4)
            try await second.disconnect()
            try await harness.wait(for: "nobody") { $0.sharedSubscriptions == 0 }
            #expect(try await publisher.publish(message("t", "x", qos: .atLeastOnce)) == .noMatchingSubscribers)
            #expect(await harness.broker.statistics().dropped.isEmpty)
        }
    }

    @Test("a QoS 2 exchange that has begun stays with its client", arguments: loopCounts)
    func begunExchange(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let leaving = try await harness.subscriber("leaving", "$share/g/t", qos: .exactlyOnce) { $0.sessionExpirySeconds = 100 }
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "x", qos: .exactlyOnce))
            let sent = try await leaving.nextPublish()
            let staying = try await harness.subscriber("staying", "$share/g/t", qos: .exactlyOnce)
            await leaving.close()
            try await harness.waitForOffline(1)
            try await staying.expectNothing()
            let back = try await harness.connect("leaving", cleanStart: false)
            let again = try await back.receive(1)[0]
            #expect(again.dup && again.packetID == sent.packetID)
        }
    }

    @Test("members that come, take and vanish lose nothing", arguments: loopCounts)
    func churn(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let anchor = try await harness.subscriber("anchor", "$share/g/t", qos: .atLeastOnce)
            let publisher = try await harness.connect("publisher")
            async let published: Void = {
                for number: UInt16 in 1...400 { try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            }()
            for round in 0..<30 {
                let visitor = try await harness.subscriber("visitor-\(round % 3)", "$share/g/t", qos: .atLeastOnce)
                _ = try? await visitor.nextPublish(within: .milliseconds(20))
                await visitor.reset()
            }
            try await published
            // Visitors acknowledge nothing, so all 400 come here, some of them late.
            #expect(try await Set(anchor.receive(400).map(\.text)) == Set((1...400).map(String.init)))
            try await harness.wait(for: "nothing left") { $0.queuedMessages == 0 && $0.sessions == 2 }
        }
    }

    @Test("a congested member is passed over while another one is free", arguments: loopCounts)
    func congestion(loops: Int) async throws {
        try await withBroker(loops, configure: { $0.sessions.maxQueuedMessages = 100 }) { harness in
            let slow = try await harness.subscriber("slow", "$share/g/t", qos: .atLeastOnce) { $0.receiveMaximum = 1 }
            let quick = try await harness.subscriber("quick", "$share/g/t", qos: .atLeastOnce)
            let publisher = try await harness.connect("publisher")
            async let received = quick.receive(220)
            for number: UInt16 in 1...300 { try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            // The slow one gets what makes it congested, about half of its queue, and no more.
            #expect(try await received.count == 220)
            let statistics = await harness.broker.statistics()
            #expect(statistics.dropped.isEmpty)
            try await slow.ping()
        }
    }
}
