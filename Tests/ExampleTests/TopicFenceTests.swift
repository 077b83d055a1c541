import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Testing
import TopicFence

@Suite("The topic fence")
struct TopicFenceTests {
    private static let users: [String: TopicFence.User] = [
        "press": .init(password: "secret", territory: "plant/4/"),
        "oven": .init(password: "hot", territory: "plant/40/"),
    ]

    private func withFence(
        listener anonymous: Bool = false, _ body: (BrokerHarness, TopicFence) async throws -> Void
    ) async throws {
        let fence = TopicFence(users: Self.users)
        let harness = try await BrokerHarness.start(plugins: [fence]) { $0.listeners[0].allowsAnonymous = anonymous }
        do { try await body(harness, fence) } catch {
            await harness.stop()
            throw error
        }
        await harness.stop()
    }

    private func login(_ harness: BrokerHarness, _ user: String?, _ password: String?, version: ProtocolVersion = .v5) async throws
        -> (ScriptedClient, ReasonCode)
    {
        let client = try await harness.open(version: version)
        let answer = try await client.connect("client-\(user ?? "nobody")") {
            $0.username = user
            $0.password = password.map { Array($0.utf8) }
        }
        return (client, answer.reason)
    }

    @Test("lets in users with their password, and nobody else")
    func authentication() async throws {
        try await withFence { harness, _ in
            let accepted = try await login(harness, "press", "secret").1
            #expect(accepted == .success)
            for (user, password) in [
                ("press", "secreT"), ("press", "secret "), ("press", ""), ("press", nil), ("oven", "secret"), ("stranger", "secret"),
                (nil, nil),
            ] {
                let refused = try await login(harness, user, password).1
                #expect(refused == .badUserNameOrPassword, "\(user ?? "-") \(password ?? "-")")
            }
        }
    }

    @Test("a user publishes inside its territory and is told 0x87 outside, and only the former is routed")
    func publishing() async throws {
        try await withFence { harness, fence in
            let everything = try await harness.broker.subscribe(try TopicFilter("#"))
            let (press, _) = try await login(harness, "press", "secret")
            for (number, topic) in ["plant/4", "plant/40/x", "Plant/4/x", "plant/4x/y", "other"].enumerated() {
                #expect(
                    try await press.publish(topic, payload: [1], qos: .atLeastOnce, packetID: UInt16(number + 1)) == .notAuthorized,
                    "\(topic)")
            }
            #expect(try await press.publish("plant/4/temperature", payload: [2], qos: .atLeastOnce, packetID: 9) == .success)
            var received = everything.makeAsyncIterator()
            #expect(await received.next()?.topic == "plant/4/temperature")
            let refused = fence.metrics().first { $0.labels.contains { $0 == ("request", "publish") } }
            #expect(refused?.value == 5)
        }
    }

    @Test("an MQTT 3.1.1 publisher outside its territory is acknowledged and its message dropped")
    func publishingBeforeVersion5() async throws {
        try await withFence { harness, _ in
            let everything = try await harness.broker.subscribe(try TopicFilter("#"))
            let (press, _) = try await login(harness, "press", "secret", version: .v3_1_1)
            #expect(try await press.publish("other", payload: [1], qos: .atLeastOnce, packetID: 1) == .success)
            #expect(try await press.publish("plant/4/x", payload: [2], qos: .atLeastOnce, packetID: 2) == .success)
            var received = everything.makeAsyncIterator()
            #expect(await received.next()?.topic == "plant/4/x")
            #expect(await harness.broker.statistics().messagesRefused == [.notAuthorized: 1])
        }
    }

    @Test("a user subscribes inside its territory; a wildcard that reaches beyond is refused, shared or not")
    func subscribing() async throws {
        try await withFence { harness, _ in
            let (press, _) = try await login(harness, "press", "secret")
            for filter in ["plant/4/#", "plant/4/+/level", "plant/4/a", "$share/group/plant/4/#"] {
                #expect(try await press.subscribe(filter, qos: .atLeastOnce) == .grantedQoS1, "\(filter)")
            }
            for filter in ["#", "+/4/#", "plant/+/a", "plant/#", "plant/4", "plant/40/#", "$share/plant/4/#", "$share/group/#"] {
                #expect(try await press.subscribe(filter, qos: .atLeastOnce) == .notAuthorized, "\(filter)")
            }
        }
    }

    @Test("a will outside the territory is not published")
    func will() async throws {
        try await withFence { harness, _ in
            let everything = try await harness.broker.subscribe(try TopicFilter("#"))
            for topic in ["other/will", "plant/4/will"] {
                let client = try await harness.open()
                try await client.connect("client-\(topic)") {
                    $0.username = "press"
                    $0.password = Array("secret".utf8)
                    $0.will = Connect.Will(topic: topic, payload: [])
                }
                await client.reset()
                try await harness.wait(for: "the client is gone") { $0.connections == 0 }
            }
            var received = everything.makeAsyncIterator()
            #expect(await received.next()?.topic == "plant/4/will")
        }
    }

    @Test("a client that a listener lets in without a user has no territory")
    func anonymous() async throws {
        try await withFence(listener: true) { harness, _ in
            let (client, reason) = try await login(harness, nil, nil)
            #expect(reason == .success)
            #expect(try await client.publish("plant/4/x", payload: [], qos: .atLeastOnce) == .notAuthorized)
            #expect(try await client.subscribe("plant/4/#") == .notAuthorized)
        }
    }

    @Test("a territory that is no beginning of a topic stops the start", arguments: ["plant/4", "", "plant/+/", "plant/#/"])
    func badTerritory(territory: String) async throws {
        let fence = TopicFence(users: ["press": .init(password: "secret", territory: territory)])
        await #expect(throws: TerritoryError.self) { try await BrokerHarness.start(plugins: [fence]) }
    }
}
