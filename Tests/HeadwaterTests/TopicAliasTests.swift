import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Topic aliases")
struct TopicAliasTests {
    @Test("a client's alias stands for its topic until it is set anew", arguments: loopCounts)
    func inbound(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let subscriber = try await harness.subscriber("subscriber", "#", qos: .atLeastOnce)
            let publisher = try await harness.connect("publisher")
            try await publisher.publish(message("a/b", "1", qos: .atLeastOnce) { $0.topicAlias = 5 })
            try await publisher.publish(message("", "2", qos: .atLeastOnce) { $0.topicAlias = 5 })
            try await publisher.publish(message("c", "3", qos: .atLeastOnce) { $0.topicAlias = 5 })
            try await publisher.publish(message("", "4", qos: .exactlyOnce) { $0.topicAlias = 5 })
            let received = try await subscriber.receive(4)
            #expect(received.map(\.topic) == ["a/b", "a/b", "c", "c"])
            #expect(received.allSatisfy { $0.topicAlias == 0 }, "an alias belongs to one connection")
        }
    }

    @Test("an alias that was never set, 0, and one above the maximum close the connection")
    func illegal() async throws {
        try await withBroker(1, configure: { $0.sessions.topicAliasMaximum = 10 }) { harness in
            for (topic, alias, reason) in [("", 3, ReasonCode.protocolError), ("t", 11, .topicAliasInvalid), ("", 11, .topicAliasInvalid)] {
                let client = try await harness.connect("client")
                client.send(.publish(message(topic, "x") { $0.topicAlias = UInt16(alias) }))
                try await client.expectEnd(reason)
            }
            let client = try await harness.connect("client")
            client.send(bytes: framed(0x30, wire("00 01 't' 03 23 00 00 'x'")))
            try await client.expectEnd(.topicAliasInvalid)
        }
    }

    @Test("aliases do not outlive their connection")
    func newConnection() async throws {
        try await withBroker(1) { harness in
            let first = try await harness.connect("client") { $0.sessionExpirySeconds = 100 }
            try await first.publish(message("t", "x", qos: .atLeastOnce) { $0.topicAlias = 1 })
            await first.close()
            let second = try await harness.connect("client", cleanStart: false)
            second.send(.publish(message("", "x") { $0.topicAlias = 1 }))
            try await second.expectEnd(.protocolError)
        }
    }

    @Test("the broker introduces an alias once and then sends it alone, within the client's maximum", arguments: loopCounts)
    func outbound(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let subscriber = try await harness.subscriber("subscriber", "#", qos: .atLeastOnce) { $0.topicAliasMaximum = 2 }
            let plain = try await harness.subscriber("plain", "#", qos: .atLeastOnce)
            let publisher = try await harness.connect("publisher")
            for topic in ["a", "b", "a", "c", "b", "c"] { try await publisher.publish(message(topic, "x", qos: .atLeastOnce)) }
            let received = try await subscriber.receive(6)
            #expect(received.map(\.topic) == ["a", "b", "", "c", "", "c"])
            #expect(received.map(\.topicAlias) == [1, 2, 1, 0, 2, 0])
            #expect(try await plain.receive(6).map(\.topic) == ["a", "b", "a", "c", "b", "c"])
        }
    }

    @Test("what is sent again on a new connection has its topic")
    func resend() async throws {
        try await withBroker(1) { harness in
            let first = try await harness.subscriber("client", "t", qos: .atLeastOnce) {
                $0.topicAliasMaximum = 5
                $0.sessionExpirySeconds = 100
            }
            for number: UInt16 in 1...2 { try await first.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            #expect(try await first.nextPublish().topic == "t")
            #expect(try await first.nextPublish().topic == "")
            await first.close()
            try await harness.waitForOffline(1)
            let second = try await harness.connect("client", cleanStart: false) { $0.topicAliasMaximum = 5 }
            let again = try await second.receive(2)
            #expect(again.map(\.topic) == ["t", ""] && again.map(\.topicAlias) == [1, 1] && again.map(\.text) == ["1", "2"])
        }
    }
}
