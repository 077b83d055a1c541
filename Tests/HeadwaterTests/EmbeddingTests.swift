import BrokerTestKit
import Headwater
import Logging
import MQTTModel
import MQTTWire
import NIOCore
import Testing

@Suite("The broker inside another program")
struct EmbeddingTests {
    @Test("a program publishes to clients and hears them", arguments: loopCounts)
    func bothWays(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.subscriber("client", "to/client", qos: .atLeastOnce)
            let messages = try await harness.broker.subscribe(TopicFilter("to/program/+"))
            await harness.broker.publish(Message(topic: try TopicName("to/client"), payload: "hello".utf8, qos: .exactlyOnce))
            #expect(try await client.receive(1)[0].text == "hello")
            for number: UInt16 in 1...100 { try await client.publish(message("to/program/x", "\(number)", qos: .exactlyOnce, id: number)) }
            let received = try await MessageLog(messages).first(100)
            #expect(received.map(\.text) == (1...100).map(String.init))
            #expect(received.allSatisfy { $0.topic == "to/program/x" && $0.publisher?.clientID == "client" })
        }
    }

    @Test("a program's subscription begins with the retained messages", arguments: loopCounts)
    func retainedFirst(loops: Int) async throws {
        try await withBroker(loops) { harness in
            for number in 0..<600 {
                await harness.broker.publish(Message(topic: try TopicName("r/\(number)"), payload: "\(number)".utf8, isRetained: true))
            }
            try await harness.wait(for: "all retained") { $0.retainedMessages == 600 }
            let messages = try await harness.broker.subscribe(TopicFilter("r/#"))
            #expect(try await Set(MessageLog(messages).first(600).map(\.text)).count == 600)
        }
    }

    @Test("a subscription ends with its last iterator", arguments: loopCounts)
    func ends(loops: Int) async throws {
        try await withBroker(loops) { harness in
            do {
                let messages = try await harness.broker.subscribe(TopicFilter("t"))
                #expect(await harness.broker.statistics().subscriptions == 1)
                await harness.broker.publish(Message(topic: try TopicName("t"), payload: []))
                for await _ in messages { break }
            }
            try await harness.wait(for: "its end") { $0.subscriptions == 0 && $0.sessions == 0 }
            let waiting = Task { [broker = harness.broker] in
                for await _ in try await broker.subscribe(TopicFilter("never")) {}
            }
            try await harness.wait(for: "its begin") { $0.subscriptions == 1 }
            waiting.cancel()
            try await harness.wait(for: "its end") { $0.subscriptions == 0 }
        }
    }

    @Test("a program that does not keep up loses the newest, and each loss is counted")
    func overflow() async throws {
        try await withBroker(1) { harness in
            let messages = try await harness.broker.subscribe(TopicFilter("t"), bufferedMessages: 10)
            for number in 0..<25 { await harness.broker.publish(Message(topic: try TopicName("t"), payload: "\(number)".utf8)) }
            let statistics = await harness.broker.statistics()
            #expect(statistics.delivered == 10 && statistics.dropped == [.queueFull: 15])
            #expect(try await MessageLog(messages).first(10).map(\.text) == (0..<10).map(String.init))
        }
    }

    @Test("a program's shared subscription takes its turn", arguments: loopCounts)
    func shared(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let messages = try await harness.broker.subscribe(TopicFilter("$share/g/t"))
            let client = try await harness.subscriber("client", "$share/g/t")
            for number in 0..<10 { await harness.broker.publish(Message(topic: try TopicName("t"), payload: "\(number)".utf8)) }
            #expect(try await client.receive(5).count == 5)
            #expect(try await MessageLog(messages).first(5).count == 5)
        }
    }

    @Test("stop tells MQTT 5 clients 0x8B, closes the others, publishes wills and ends sequences", arguments: loopCounts)
    func stop(loops: Int) async throws {
        let harness = try await BrokerHarness.start(eventLoops: loops)
        let five = try await harness.connect("five")
        let three = try await harness.connect("three", version: .v3_1_1) { $0.will = Connect.Will(topic: "will", payload: Array("w".utf8)) }
        let stranger = try await harness.open()
        let messages = try await harness.broker.subscribe(TopicFilter("will"))
        let log = MessageLog(messages)
        let began = ContinuousClock.now
        await harness.broker.stop()
        try await five.expectEnd(.serverShuttingDown)
        try await three.expectClose()
        try await stranger.expectClose()
        #expect(try await log.untilEnd().map(\.text) == ["w"])
        #expect(ContinuousClock.now - began < .seconds(5))
        await harness.broker.stop()
        #expect(harness.broker.readiness() == ["the broker is not running"])
        await #expect(throws: BrokerError.self) { _ = try await harness.broker.subscribe(TopicFilter("t")) }
        await harness.stop()
    }

    @Test("a broker starts once, and one whose port is taken leaves nothing open", arguments: loopCounts)
    func startErrors(loops: Int) async throws {
        try await withBroker(loops) { harness in
            await #expect(throws: BrokerError.self) { try await harness.broker.start() }
            let second = Broker(configuration: BrokerConfiguration(listeners: [.loopback(port: harness.port)]))
            let error = await #expect(throws: BrokerError.self) { try await second.start() }
            #expect(error?.description.contains("\(harness.port)") == true)
            try await harness.expectHealthy()
        }
    }

    @Test("run serves until it is cancelled")
    func run() async throws {
        try await withBroker(1) { harness in
            let broker = Broker(configuration: BrokerConfiguration(listeners: [.loopback(port: 0)]), logger: .silent)
            let running = Task { try await broker.run() }
            let deadline = ContinuousClock.now + ScriptedClient.patience
            while !broker.readiness().isEmpty, ContinuousClock.now < deadline { try await elapse(.milliseconds(5)) }
            guard case .tcp(_, let port)? = broker.boundListeners.first?.address else { throw BrokerError("not bound") }
            let client = try await ScriptedClient.open(.tcp(host: "127.0.0.1", port: port))
            try await client.connect(clientID: "client")
            running.cancel()
            try await running.value
            try await client.expectEnd(.serverShuttingDown)
        }
    }
}
