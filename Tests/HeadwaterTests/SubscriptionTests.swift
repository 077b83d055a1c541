import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Subscriptions")
struct SubscriptionTests {
    @Test("wildcards match as section 4.7 says", arguments: loopCounts)
    func wildcards(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let filters = ["#", "+", "a/#", "a/+", "+/+", "/+", "a/+/c", "$own/#", "+/own", "a//b"]
            let topics = ["a", "a/b", "a/b/c", "/", "/own", "$own", "$own/x", "$own/own", "a//b", "b/c"]
            var clients: [String: ScriptedClient] = [:]
            for filter in filters { clients[filter] = try await harness.subscriber("for \(filter)", filter, qos: .atLeastOnce) }
            let publisher = try await harness.connect("publisher")
            for topic in topics { try await publisher.publish(message(topic, "x", qos: .atLeastOnce)) }
            for (filter, client) in clients {
                let parsed = try TopicFilter(filter)
                let expected = topics.filter { parsed.matches($0) }
                #expect(try await client.receive(expected.count).map(\.topic) == expected, "\(filter)")
            }
            try await harness.wait(for: "all acknowledged") { $0.inflightMessages == 0 }
            for client in clients.values { try await client.ping() }
        }
    }

    @Test("one SUBSCRIBE has an answer for each filter, the illegal ones included", arguments: loopCounts, ProtocolVersion.allCases)
    func answers(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client", version: version)
            let reasons = try await client.subscribe([
                Subscribe.Entry(filter: "a", qos: .atMostOnce), Subscribe.Entry(filter: "a#", qos: .atLeastOnce),
                Subscribe.Entry(filter: "b", qos: .exactlyOnce), Subscribe.Entry(filter: "$share/g", qos: .atLeastOnce),
            ])
            let invalid: ReasonCode = version == .v5 ? .topicFilterInvalid : .unspecifiedError
            #expect(reasons == [.grantedQoS0, invalid, .grantedQoS2, invalid])
            let answers = try await client.unsubscribe(["a", "c", "b#", "$share/g/x"])
            #expect(answers == (version == .v5 ? [.success, .noSubscriptionExisted, .topicFilterInvalid, .noSubscriptionExisted] : []))
            #expect(await harness.broker.statistics().subscriptions == 1)
        }
    }

    @Test("a filter subscribed to again has the new options and is one subscription", arguments: loopCounts)
    func replaced(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.subscriber("client", "t", qos: .atMostOnce)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "1", qos: .exactlyOnce))
            #expect(try await client.subscribe("t", qos: .exactlyOnce) == .grantedQoS2)
            try await publisher.publish(message("t", "2", qos: .exactlyOnce))
            #expect(try await client.receive(2).map(\.qos) == [.atMostOnce, .exactlyOnce])
            #expect(await harness.broker.statistics().subscriptions == 1)
        }
    }

    @Test("nothing comes after UNSUBACK, and what is in flight is completed", arguments: loopCounts)
    func unsubscribe(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.subscriber("client", "t", qos: .atLeastOnce)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "1", qos: .atLeastOnce))
            let flying = try await client.nextPublish()
            #expect(try await client.unsubscribe(["t"]) == [.success])
            #expect(try await publisher.publish(message("t", "2", qos: .atLeastOnce)) == .noMatchingSubscribers)
            client.send(.pubAck(Acknowledgement(packetID: flying.packetID)))
            try await client.ping()
            try await client.expectNothing()
            #expect(await harness.broker.statistics().delivered == 1)
        }
    }

    @Test("No Local keeps a client's own messages from it, and nobody else's", arguments: loopCounts)
    func noLocal(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client")
            try await client.subscribe([Subscribe.Entry(filter: "t/#", qos: .atLeastOnce, noLocal: true)])
            let other = try await harness.subscriber("other", "t/#")
            try await client.publish(message("t/1", "own", qos: .atLeastOnce))
            try await other.publish(message("t/1", "other's", qos: .atLeastOnce))
            #expect(try await client.receive(1)[0].text == "other's")
            #expect(try await Set(other.receive(2).map(\.text)) == ["own", "other's"])
            // An overlapping subscription without No Local still has them, with its own QoS.
            try await client.subscribe([Subscribe.Entry(filter: "t/2", qos: .atMostOnce)])
            try await client.publish(message("t/2", "wanted", qos: .atLeastOnce))
            let received = try await client.receive(1)[0]
            #expect(received.text == "wanted" && received.qos == .atMostOnce)
        }
    }

    @Test("No Local on a shared subscription is a protocol error")
    func noLocalShared() async throws {
        try await withBroker(1) { harness in
            let client = try await harness.connect("client")
            client.send(.subscribe(Subscribe(packetID: 1, entries: [Subscribe.Entry(filter: "$share/g/t", noLocal: true)])))
            try await client.expectEnd(.protocolError)
        }
    }

    @Test("overlapping subscriptions give one copy with the highest QoS and every identifier", arguments: loopCounts)
    func overlapping(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client")
            try await client.subscribe([Subscribe.Entry(filter: "a/#", qos: .atMostOnce)], identifier: 1)
            try await client.subscribe([Subscribe.Entry(filter: "a/+", qos: .exactlyOnce)], identifier: 268_435_455)
            try await client.subscribe([Subscribe.Entry(filter: "a/b", qos: .atLeastOnce, retainAsPublished: true)])
            try await client.subscribe([Subscribe.Entry(filter: "other", qos: .atLeastOnce)], identifier: 9)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("a/b", "x", qos: .exactlyOnce, retain: true))
            let received = try await client.receive(1)[0]
            #expect(received.qos == .exactlyOnce && received.retain)
            #expect(Set(received.subscriptionIDs) == [1, 268_435_455])
            try await publisher.publish(message("other", "x", qos: .atLeastOnce))
            #expect(try await client.receive(1)[0].subscriptionIDs == [9])
        }
    }

    @Test("identifiers are kept with the session and sent with what was queued", arguments: loopCounts)
    func identifiersQueued(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.connect("client") { $0.sessionExpirySeconds = 100 }
            try await first.subscribe([Subscribe.Entry(filter: "t", qos: .atLeastOnce)], identifier: 7)
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("t", "x", qos: .atLeastOnce))
            let second = try await harness.connect("client", cleanStart: false)
            #expect(try await second.receive(1)[0].subscriptionIDs == [7])
        }
    }

    @Test("more subscriptions than the limit are refused with 0x97, known ones may change")
    func limit() async throws {
        try await withBroker(1, configure: { $0.limits.maxSubscriptionsPerSession = 2 }) { harness in
            let client = try await harness.connect("client")
            let reasons = try await client.subscribe(["a", "$share/g/b", "c", "$share/g/d", "a"].map { Subscribe.Entry(filter: $0, qos: .atLeastOnce) })
            #expect(reasons == [.grantedQoS1, .grantedQoS1, .quotaExceeded, .quotaExceeded, .grantedQoS1])
        }
    }

    @Test("request and response carry their properties", arguments: loopCounts)
    func requestResponse(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let responder = try await harness.subscriber("responder", "request")
            let requester = try await harness.subscriber("requester", "response/1")
            let properties = PublishProperties(
                payloadIsUTF8: true, contentType: "application/json", responseTopic: "response/1", correlationData: [0, 1, 255],
                userProperties: [UserProperty("k", "1"), UserProperty("k", "1"), UserProperty("", "")])
            try await requester.publish(message("request", "question") { $0.properties = properties })
            let question = try await responder.receive(1)[0]
            #expect(question.properties == properties)
            try await responder.publish(message(question.properties.responseTopic ?? "", "answer") {
                $0.properties.correlationData = question.properties.correlationData
            })
            let answer = try await requester.receive(1)[0]
            #expect(answer.text == "answer" && answer.properties.correlationData == [0, 1, 255])
        }
    }

    @Test("a publisher hears that nobody subscribes, in MQTT 5", arguments: [ProtocolVersion.v3_1_1, .v5])
    func noReceiver(version: ProtocolVersion) async throws {
        try await withBroker(1) { harness in
            let client = try await harness.connect("client", version: version)
            let expected: ReasonCode = version == .v5 ? .noMatchingSubscribers : .success
            #expect(try await client.publish(message("t", "x", qos: .atLeastOnce)) == expected)
            #expect(try await client.publish(message("t", "x", qos: .exactlyOnce)) == expected)
            #expect(await harness.broker.statistics().messagesWithoutReceiver == 2)
        }
    }

    @Test("a fan-out reaches every version and QoS in its own layout", arguments: loopCounts)
    func fanOut(loops: Int) async throws {
        try await withBroker(loops) { harness in
            var clients: [(ScriptedClient, QoS)] = []
            for number in 0..<60 {
                let version = ProtocolVersion.allCases[number % 3]
                let qos = QoS.allCases[number / 3 % 3]
                clients.append((try await harness.subscriber("client-\(number)", "t", qos: qos, version: version), qos))
            }
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...3 {
                try await publisher.publish(message("t", "\(number)", qos: .exactlyOnce, id: number) { $0.properties.contentType = "text" })
            }
            for (client, qos) in clients {
                let received = try await client.receive(3)
                #expect(received.map(\.text) == ["1", "2", "3"] && received.allSatisfy { $0.qos == qos })
                #expect(received[0].properties.contentType == (client.version == .v5 ? "text" : nil))
            }
        }
    }
}
