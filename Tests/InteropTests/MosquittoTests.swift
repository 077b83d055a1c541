import BrokerTestKit
import Headwater
import MQTTModel
import Testing

/// mosquitto_pub, mosquitto_sub and mosquitto_rr as their users run them.
@Suite("Mosquitto's clients")
struct MosquittoTests {
    static let versions = ["mqttv31", "mqttv311", "mqttv5"]

    private func withBroker(_ loops: Int = 2, _ body: (BrokerHarness) async throws -> Void) async throws {
        let harness = try await BrokerHarness.start(eventLoops: loops)
        do { try await body(harness) } catch {
            await harness.stop()
            throw error
        }
        #expect(await harness.broker.statistics().unaccountedDeliveries == 0)
        await harness.stop()
    }

    private func tool(_ name: String, _ harness: BrokerHarness, _ arguments: [String]) throws -> Tool {
        try Tool(Tool.path(of: name, package: "mosquitto-clients"), ["-h", "127.0.0.1", "-p", "\(harness.port)"] + arguments)
    }

    private func publish(_ harness: BrokerHarness, _ arguments: [String]) async throws {
        let output = try await tool("mosquitto_pub", harness, arguments).end()
        #expect(output.exitCode == 0, "\(output.errors)")
    }

    @Test("what mosquitto_pub sends, mosquitto_sub shows, at every QoS", arguments: versions, ["0", "1", "2"])
    func everyQoS(version: String, qos: String) async throws {
        try await withBroker { harness in
            let subscriber = try tool("mosquitto_sub", harness, ["-V", version, "-q", qos, "-t", "plant/+/t", "-F", "%t %q %p", "-C", "3", "-W", "20"])
            try await harness.wait(for: "the subscription") { $0.subscriptions == 1 }
            for number in 1...3 { try await publish(harness, ["-V", version, "-q", qos, "-t", "plant/\(number)/t", "-m", "value \(number)"]) }
            let output = try await subscriber.end()
            #expect(output.lines == (1...3).map { "plant/\($0)/t \(qos) value \($0)" })
        }
    }

    @Test("versions meet", arguments: versions, versions)
    func versionsMeet(publisher: String, subscriber: String) async throws {
        try await withBroker { harness in
            let receiving = try tool("mosquitto_sub", harness, ["-V", subscriber, "-q", "2", "-t", "#", "-v", "-C", "1", "-W", "20"])
            try await harness.wait(for: "the subscription") { $0.subscriptions == 1 }
            try await publish(harness, ["-V", publisher, "-q", "2", "-t", "t", "-m", "hello"])
            #expect(try await receiving.end().lines == ["t hello"])
        }
    }

    @Test("retained messages are kept and cleared", arguments: versions)
    func retained(version: String) async throws {
        try await withBroker { harness in
            try await publish(harness, ["-V", version, "-q", "1", "-r", "-t", "r", "-m", "kept"])
            let subscriber = try tool("mosquitto_sub", harness, ["-V", version, "-t", "r", "-F", "%r %p", "-C", "1", "-W", "20"])
            #expect(try await subscriber.end().lines == ["1 kept"])
            try await publish(harness, ["-V", version, "-q", "1", "-r", "-n", "-t", "r"])
            try await harness.wait(for: "no retained message") { $0.retainedMessages == 0 }
        }
    }

    @Test("the will of a killed client is published", arguments: versions)
    func will(version: String) async throws {
        try await withBroker { harness in
            let watcher = try tool("mosquitto_sub", harness, ["-V", version, "-t", "will", "-q", "1", "-v", "-C", "1", "-W", "20"])
            try await harness.wait(for: "the watcher") { $0.subscriptions == 1 }
            let victim = try tool(
                "mosquitto_sub", harness,
                ["-V", version, "-t", "never", "--will-topic", "will", "--will-payload", "gone", "--will-qos", "1"])
            try await harness.wait(for: "the victim") { $0.subscriptions == 2 }
            victim.kill()
            #expect(try await watcher.end().lines == ["will gone"])
            _ = try await victim.end()
        }
    }

    @Test("a kept session has its messages", arguments: versions)
    func session(version: String) async throws {
        try await withBroker { harness in
            let kept = ["-V", version, "-c", "-i", "kept", "-q", "1", "-t", "t"] + (version == "mqttv5" ? ["-x", "100"] : [])
            #expect(try await tool("mosquitto_sub", harness, kept + ["-E"]).end().exitCode == 0)
            try await harness.wait(for: "the client's leave") { $0.sessionsOffline == 1 && $0.subscriptions == 1 }
            for number in 1...5 { try await publish(harness, ["-V", version, "-q", "1", "-t", "t", "-m", "\(number)"]) }
            #expect(try await tool("mosquitto_sub", harness, kept + ["-C", "5", "-W", "20"]).end().lines == ["1", "2", "3", "4", "5"])
        }
    }

    @Test("MQTT 5 properties arrive")
    func properties() async throws {
        try await withBroker { harness in
            let subscriber = try tool("mosquitto_sub", harness, ["-V", "mqttv5", "-t", "p", "-F", "%C|%R|%P|%E|%p", "-C", "1", "-W", "20"])
            try await harness.wait(for: "the subscription") { $0.subscriptions == 1 }
            try await publish(harness, [
                "-V", "mqttv5", "-t", "p", "-m", "x", "-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "answer",
                "-D", "publish", "user-property", "unit", "K", "-D", "publish", "message-expiry-interval", "60",
            ])
            #expect(try await subscriber.end().lines == ["text/plain|answer|unit:K|60|x"])
        }
    }

    @Test("a megabyte goes through", arguments: versions)
    func large(version: String) async throws {
        try await withBroker { harness in
            let subscriber = try tool("mosquitto_sub", harness, ["-V", version, "-q", "1", "-t", "l", "-F", "%l", "-C", "1", "-W", "20"])
            try await harness.wait(for: "the subscription") { $0.subscriptions == 1 }
            let client = try await harness.open()
            try await client.connect(clientID: "large")
            try await client.publish("l", payload: [UInt8](repeating: 0x78, count: 1_000_000), qos: .atLeastOnce)
            #expect(try await subscriber.end().lines == ["1000000"])
        }
    }

    @Test("a shared subscription splits the messages", arguments: versions)
    func shared(version: String) async throws {
        try await withBroker { harness in
            let members = try (0..<2).map { _ in
                try tool("mosquitto_sub", harness, ["-V", version, "-q", "1", "-t", "$share/g/t", "-C", "5", "-W", "20"])
            }
            try await harness.wait(for: "both") { $0.sharedSubscriptions == 2 }
            for number in 1...10 { try await publish(harness, ["-V", version, "-q", "1", "-t", "t", "-m", "\(number)"]) }
            var all: [String] = []
            for member in members { all += try await member.end().lines }
            #expect(Set(all) == Set((1...10).map(String.init)) && all.count == 10)
        }
    }

    @Test("mosquitto_rr gets its response")
    func requestResponse() async throws {
        try await withBroker { harness in
            let responder = try await harness.open()
            try await responder.connect(clientID: "responder")
            try await responder.subscribe("request", qos: .atLeastOnce)
            let requester = try tool("mosquitto_rr", harness, ["-V", "mqttv5", "-t", "request", "-e", "response", "-m", "question", "-W", "20"])
            let question = try #require(try await responder.messages(1).first)
            #expect(question.payload == Array("question".utf8))
            try await responder.publish(question.properties.responseTopic ?? "", payload: Array("answer".utf8), qos: .atLeastOnce)
            #expect(try await requester.end().lines == ["answer"])
        }
    }
}
