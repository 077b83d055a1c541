import BrokerTestKit
import Foundation
import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Synchronization
import Testing

@testable import KafkaBridge

/// What an inbound route promises: each record once to each session, whatever happens between.
@Suite("Records from Kafka")
struct InboundDeliveryTests {
    @Test("reach connected clients and offline sessions at the route's QoS, in the order of each key", arguments: [1, 3], QoS.allCases)
    func everyQoS(loops: Int, qos: QoS) async throws {
        let test = try InboundUnderTest()
        test.loops = loops
        test.route = { $0.qos = qos }
        try await test.start()
        let live = try await test.receiver("live")
        let other = try await test.receiver("other", "commands/pump-1", qos: .atLeastOnce)
        let offline = try await test.receiver("offline")
        await offline.close()
        try await test.harness.wait(for: "it is offline") { $0.connections == 2 }
        for number in 0..<30 { try test.source.write(test.topic, "\(number)", key: "pump-\(number % 3)") }
        try test.source.flush()
        let received = try await live.messages(30, within: InboundUnderTest.patience)
        for pump in 0..<3 {
            let own = received.filter { $0.topic == "commands/pump-\(pump)" }
            #expect(InboundUnderTest.texts(own) == (0..<10).map { "\($0 * 3 + pump)" })
        }
        #expect(received.allSatisfy { $0.qos == qos && !$0.isRetained && $0.properties.userProperties.map(\.name) == ["kafka.key"] })
        let others = try await other.messages(10)
        #expect(InboundUnderTest.texts(others) == (0..<10).map { "\($0 * 3 + 1)" } && others.allSatisfy { $0.qos == min(qos, .atLeastOnce) })
        try await test.read(30)
        #expect(test.figures.published == 30)
        if qos > .atMostOnce {
            let kept = try await test.again("offline").messages(30)
            #expect(Set(InboundUnderTest.texts(kept)) == Set((0..<30).map(String.init)))
        }
        await test.stop()
    }

    @Test("are retained; a tombstone clears what is retained")
    func retained() async throws {
        let test = try InboundUnderTest()
        test.route = { $0.isRetained = true }
        try await test.start()
        try test.source.write(test.topic, "on", key: "a")
        try test.source.write(test.topic, "off", key: "b")
        try test.source.flush()
        try await test.read(2)
        let first = try await test.receiver("first")
        let seen = try await first.messages(2)
        #expect(Set(seen.map(\.topic)) == ["commands/a", "commands/b"] && seen.allSatisfy(\.isRetained))
        try test.source.write(test.topic, nil, key: Array("a".utf8))
        try test.source.flush()
        try await test.read(3)
        let cleared = try await first.messages(1)
        #expect(cleared[0].topic == "commands/a" && cleared[0].payload.isEmpty && !cleared[0].isRetained)
        let second = try await test.receiver("second")
        #expect(try await second.messages(1).map(\.topic) == ["commands/b"])
        await test.stop()
        try await test.start()
        let third = try await test.receiver("third")
        #expect(try await third.messages(1).map(\.topic) == ["commands/b"])
        await test.stop()
    }

    @Test("carry expiry, content type and headers; hostile ones are skipped and hold up nobody")
    func properties() async throws {
        let test = try InboundUnderTest()
        test.route = { $0.expirySeconds = 600 }
        try await test.start()
        let client = try await test.receiver("client")
        for key in ["#", "a/+/b", "\0", String(repeating: "x", count: 70_000), "", String(repeating: "/", count: 300)] {
            try test.source.write(test.topic, "no", key: key, partition: 0)
        }
        try test.source.write(test.topic, Array("no".utf8), key: [0xFF, 0xFE], partition: 0)
        try test.source.write(
            test.topic, Array("yes".utf8), key: Array("../$SYS/pump".utf8),
            headers: [("unit", Array("celsius".utf8)), ("content-type", Array("text/plain".utf8)), ("raw", [0xFF]), ("kafka.key", Array("forged".utf8))], partition: 0)
        try test.source.flush()
        let packet = try await client.receive(1, within: InboundUnderTest.patience)[0]
        #expect(packet.topic == "commands/../$SYS/pump" && packet.expirySeconds.map { (590...600).contains($0) } == true)
        #expect(packet.properties.contentType == "text/plain")
        #expect(packet.properties.userProperties == [UserProperty("kafka.key", "../$SYS/pump"), UserProperty("unit", "celsius")])
        try await test.read(8)
        #expect(test.figures.skipped == [.illegalTopic: 6, .missingValue: 1])
        await test.stop()
    }

    @Test("go to the tenant that the template names, and to no other")
    func tenants() async throws {
        let test = try InboundUnderTest()
        test.route = { $0.tenant = try InboundTemplate("${header.tenant}") }
        try await test.start()
        let client = try await test.receiver("client")
        try test.source.write(test.topic, "other", key: "a", headers: [("tenant", "acme")], partition: 0)
        try test.source.write(test.topic, "none", key: "a", partition: 0)
        try test.source.flush()
        try await test.read(2)
        #expect(test.figures.skipped == [.missingValue: 1] && test.figures.published == 1)
        try await client.publish("commands/end", payload: Array("end".utf8), qos: .atLeastOnce)
        #expect(InboundUnderTest.texts(try await client.messages(1)) == ["end"])
        await test.stop()
    }

    @Test("are there once in each session when the broker is stopped and started in the middle", arguments: [1, 3])
    func restarted(loops: Int) async throws {
        let test = try InboundUnderTest()
        test.loops = loops
        try await test.start()
        for id in ["a", "b"] { await (try await test.receiver(id)).close() }
        let count = 3_000
        for number in 0..<count { try test.source.write(test.topic, "\(number)", key: "k\(number % 7)") }
        try test.source.flush()
        try await eventually("reading has begun") { test.figures.received > 0 }
        await test.stop()
        for number in count..<(count + 500) { try test.source.write(test.topic, "\(number)", key: "k\(number % 7)") }
        try test.source.flush()
        try await test.start()
        let expected = (0..<(count + 500)).map(String.init)
        for id in ["a", "b"] {
            let client = try await test.again(id)
            let texts = InboundUnderTest.texts(try await client.messages(expected.count, within: .seconds(60)))
            #expect(texts.count == expected.count && Set(texts) == Set(expected))
            try await client.publish("commands/end-\(id)", payload: Array("end".utf8), qos: .atLeastOnce)
            #expect(InboundUnderTest.texts(try await client.messages(1)) == ["end"], "nothing came twice")
            await client.close()
        }
        await test.stop()
    }

    @Test("of a source and number that a session has are not given to it again after a crash, until they are forgotten", arguments: [1, 3])
    func crashed(loops: Int) async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("inbound-test-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let plugin = ContextPlugin()
        func start() async throws -> BrokerHarness {
            try await BrokerHarness.start(eventLoops: loops, plugins: [plugin]) {
                $0.store.directory = directory
                $0.store.durability = .commit
            }
        }
        func publish(_ numbers: Range<UInt64>) async throws {
            let done = Atomic(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in numbers {
                    let message = Message(topic: try TopicName("commands/a"), payload: Array("\(number)".utf8), qos: .atLeastOnce)
                    let context = plugin.context
                    group.addTask {
                        await withCheckedContinuation { continuation in
                            context.publish(message, from: "kafka/in/r/t/0", number: number) { continuation.resume() }
                        }
                    }
                }
                while try await group.next() != nil { done.add(1, ordering: .relaxed) }
            }
            #expect(done.load(ordering: .relaxed) == numbers.count)
        }
        func connect(_ harness: BrokerHarness, _ id: String) async throws -> ScriptedClient {
            let client = try await harness.open()
            try await client.connect(clientID: id, cleanStart: false, sessionExpirySeconds: 1000)
            return client
        }
        // Whoever holds a broker holds its store open.
        var harness: BrokerHarness! = try await start()
        for index in 0..<6 {
            let client = try await connect(harness, "old-\(index)")
            try await client.subscribe("commands/#", qos: .atLeastOnce)
            await client.close()
        }
        try await publish(0..<100)
        await harness.stop()
        harness = nil
        // As after a crash: nothing was forgotten, and everything is read again.
        harness = try await start()
        let late = try await connect(harness, "late")
        try await late.subscribe("commands/#", qos: .atLeastOnce)
        try await publish(0..<150)
        #expect(InboundUnderTest.texts(try await late.messages(150)).count == 150)
        for index in 0..<6 {
            let client = try await connect(harness, "old-\(index)")
            let texts = InboundUnderTest.texts(try await client.messages(150))
            #expect(Set(texts) == Set((0..<150).map(String.init)) && texts.count == 150)
            await client.close()
        }
        await withCheckedContinuation { continuation in
            plugin.context.store?.commit((0..<150).map { .forget(source: "kafka/in/r/t/0", number: $0) }) { continuation.resume() }
        }
        await harness.stop()
        harness = nil
        harness = try await start()
        try await publish(0..<1)
        let first = try await connect(harness, "old-0")
        #expect(InboundUnderTest.texts(try await first.messages(1)) == ["0"], "what is forgotten is published anew")
        await harness.stop()
    }

    @Test("wait while an operator has paused the route, and over a restart; none is lost or repeated by it")
    func paused() async throws {
        let test = try InboundUnderTest()
        try await test.start()
        let client = try await test.receiver("client")
        for number in 0..<200 { try test.source.write(test.topic, "\(number)", key: "a") }
        try test.source.flush()
        try await test.read(200)
        test.inbound.control.setPaused(true)
        try await Task.sleep(for: .milliseconds(400))  // the thread looks at least every 100 ms; nothing tells that it has
        for number in 200..<400 { try test.source.write(test.topic, "\(number)", key: "a") }
        try test.source.flush()
        #expect(InboundUnderTest.texts(try await client.messages(200)) == (0..<200).map(String.init))
        try await client.ping()  // the broker has every PUBACK
        await client.close()
        await test.stop()
        try await test.start()
        #expect(test.inbound.control.isPaused)
        try await eventually("the partition is assigned") { test.figures.partitions > 0 }
        test.inbound.control.setPaused(false)
        let again = try await test.again("client")
        #expect(InboundUnderTest.texts(try await again.messages(200, within: InboundUnderTest.patience)) == (200..<400).map(String.init))
        await test.stop()
    }

    @Test("are delivered without a store too, from where the group stands")
    func withoutStore() async throws {
        let test = try InboundUnderTest()
        test.hasStore = false
        let group = "headwater-test-\(UInt64.random(in: .min ... .max))"
        test.route = { $0.group = group }
        try await test.start()
        var client = try await test.receiver("client")
        for number in 0..<20 { try test.source.write(test.topic, "\(number)", key: "a") }
        try test.source.flush()
        #expect(InboundUnderTest.texts(try await client.messages(20, within: InboundUnderTest.patience)) == (0..<20).map(String.init))
        await test.stop()
        try test.source.write(test.topic, "20", key: "a")
        try test.source.flush()
        try await test.start()
        client = try await test.receiver("client")
        #expect(InboundUnderTest.texts(try await client.messages(1, within: InboundUnderTest.patience)) == ["20"])
        await test.stop()
    }

    @Test("written while the broker was down are read where the route begins with the latest")
    func latest() async throws {
        let test = try InboundUnderTest()
        test.route = { $0.start = .latest }
        try test.source.write(test.topic, "before", key: "a", partition: 0)
        try test.source.flush()
        try await test.start()
        await (try await test.receiver("client")).close()
        try await eventually("the partition is assigned") { test.figures.partitions > 0 }
        await test.stop()
        try test.source.write(test.topic, "while down", key: "a", partition: 0)
        try test.source.flush()
        try await test.start()
        let client = try await test.again("client")
        #expect(InboundUnderTest.texts(try await client.messages(1, within: InboundUnderTest.patience)) == ["while down"])
        await test.stop()
    }

    @Test("are read again when the cluster was away", .enabled(if: BridgeUnderTest.isEmbedded))
    func away() async throws {
        let test = try InboundUnderTest()
        try await test.start()
        let client = try await test.receiver("client")
        try test.source.write(test.topic, "0", key: "a")
        try test.source.flush()
        #expect(InboundUnderTest.texts(try await client.messages(1, within: InboundUnderTest.patience)) == ["0"])
        test.kafka?.setDown()
        try await Task.sleep(for: .milliseconds(500))  // so that connections have broken
        test.kafka?.setUp()
        for number in 1..<50 { try test.source.write(test.topic, "\(number)", key: "a") }
        try test.source.flush()
        #expect(InboundUnderTest.texts(try await client.messages(49, within: InboundUnderTest.patience)) == (1..<50).map(String.init))
        await test.stop()
    }
}
