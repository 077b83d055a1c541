import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Receivers that do not keep up")
struct SlowConsumerTests {
    @Test(
        "a full queue of an absent client drops by its policy and counts", arguments: loopCounts,
        [BrokerConfiguration.OverflowPolicy.dropNewest, .dropOldest, .disconnect])
    func offlineQueue(loops: Int, policy: BrokerConfiguration.OverflowPolicy) async throws {
        try await withBroker(loops, configure: {
            $0.sessions.overflow = policy
            $0.sessions.maxQueuedMessages = 3
        }) { harness in
            let first = try await harness.subscriber("client", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...8 { try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) }
            try await harness.wait(for: "five drops") { $0.dropped == [.queueFull: 5] }
            let second = try await harness.connect("client", cleanStart: false)
            let expected = policy == .dropOldest ? ["6", "7", "8"] : ["1", "2", "3"]
            #expect(try await second.receive(3).map(\.text) == expected)
        }
    }

    @Test("bytes are a bound like the count", arguments: loopCounts)
    func byteBound(loops: Int) async throws {
        try await withBroker(loops, configure: { $0.sessions.maxQueuedBytes = 10_000 }) { harness in
            let first = try await harness.subscriber("client", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            await first.close()
            try await harness.waitForOffline(1)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...20 {
                try await publisher.publish(message("t", String(repeating: "x", count: 900), qos: .atLeastOnce, id: number))
            }
            let statistics = try await harness.wait(for: "all counted") { $0.deliveriesDue == 20 }
            #expect(statistics.queuedBytes <= 10_000 && statistics.queuedMessages == 10)
            #expect(statistics.dropped == [.queueFull: 10])
        }
    }

    @Test("the memory for all queues together is bounded", arguments: loopCounts)
    func totalBound(loops: Int) async throws {
        try await withBroker(loops, configure: { $0.sessions.maxTotalQueuedBytes = 30_000 * loops }) { harness in
            for number in 0..<6 {
                let client = try await harness.subscriber("client-\(number)", "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
                await client.close()
            }
            try await harness.waitForOffline(6)
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...50 {
                try await publisher.publish(message("t", String(repeating: "x", count: 1_000), qos: .atLeastOnce, id: number))
            }
            let statistics = try await harness.wait(for: "all counted") { $0.deliveriesDue == 300 }
            #expect(statistics.queuedBytes <= 30_000 * loops)
            #expect((statistics.dropped[.queueFull] ?? 0) > 0)
        }
    }

    @Test("a client that acknowledges nothing is disconnected where the policy says so", arguments: loopCounts)
    func disconnectPolicy(loops: Int) async throws {
        try await withBroker(loops, configure: {
            $0.sessions.overflow = .disconnect
            $0.sessions.maxQueuedMessages = 10
            $0.sessions.stalledReceiverMilliseconds = 100
        }) { harness in
            let client = try await harness.subscriber("client", "t", qos: .atLeastOnce) { $0.receiveMaximum = 2 }
            let publisher = try await harness.connect("publisher")
            publisher.send((1...30).map { .publish(message("t", "\($0)", qos: .atLeastOnce, id: UInt16($0))) })
            try await client.expectEnd(.quotaExceeded)
            let statistics = try await harness.wait(for: "its end") { $0.sessions == 1 && $0.pausedPublishers == 0 }
            #expect((statistics.dropped[.slowConsumer] ?? 0) >= 1)
            #expect(statistics.disconnects["slow_consumer"] == 1)
            try await publisher.ping()
        }
    }

    @Test("a publisher is slowed while its receiver reads slowly, and nothing is lost", arguments: loopCounts, [QoS.atMostOnce, .atLeastOnce])
    func slowReader(loops: Int, qos: QoS) async throws {
        let socket = "/tmp/headwater-slow-\(loops)-\(qos)-\(UInt32.random(in: 0 ... .max)).sock"
        try await withBroker(loops, configure: {
            $0.sessions.maxQueuedBytes = 1_000_000
            $0.sessions.receiveMaximum = 65_535
            // A Unix socket buffers a fixed amount, and little of it.
            $0.listeners.append(ListenerConfiguration(name: "unix", address: .unix(path: socket), allowsAnonymous: true))
        }) { harness in
            let reader = try await ScriptedClient.open(.unix(path: socket), receiveBufferBytes: 4_096)
            try await reader.connect("reader")
            try await reader.subscribe("t", qos: qos)
            try await reader.stopReading()
            let publisher = try await harness.connect("publisher")
            let payload = String(repeating: "x", count: 2_000)
            publisher.send((1...700).map { .publish(message("t", payload + "\($0)", qos: qos, id: UInt16($0))) })
            publisher.send(.pingReq)
            try await harness.wait(for: "a pause") { $0.pausedPublishers == 1 }
            // Some 100 kB a second: the whole lasts many times the stall limit.
            async let received = reader.receive(700, within: .seconds(20))
            let reading = Task {
                while !Task.isCancelled {
                    reader.readOnce()
                    try await Task.sleep(for: .milliseconds(25))
                }
            }
            let texts = try await received.map { String($0.text.dropFirst(2_000)) }
            reading.cancel()
            #expect(texts == (1...700).map(String.init))
            let statistics = try await harness.wait(for: "the publisher's release") { $0.pausedPublishers == 0 }
            #expect(statistics.dropped.isEmpty)
            _ = try await publisher.first("PINGRESP") { $0 == .pingResp ? true : nil }
            await reader.close()
        }
    }

    @Test("a receiver that has stopped reading stops nobody else, and loses by its policy", arguments: loopCounts)
    func stalled(loops: Int) async throws {
        try await withBroker(loops, configure: {
            // More than a tick brings from another loop, so that the living one is slowed and loses nothing.
            $0.sessions.maxQueuedMessages = 400
            // Long enough that the living one, in this process, is never taken for dead on a busy machine.
            $0.sessions.stalledReceiverMilliseconds = 1_500
        }) { harness in
            let dead = try await harness.connect("dead", receiveBufferBytes: 4_096)
            try await dead.subscribe("t")
            try await dead.stopReading()
            let living = try await harness.subscriber("living", "t", qos: .atLeastOnce)
            let publisher = try await harness.connect("publisher")
            let payload = String(repeating: "x", count: 20_000)
            for number: UInt16 in 1...1_500 { publisher.send(.publish(message("t", payload, qos: .atLeastOnce, id: number))) }
            #expect(try await living.receive(1_500, within: .seconds(30)).count == 1_500)
            // What the living one has acknowledged last may be under way.
            try await harness.wait(for: "drops") {
                ($0.dropped[.queueFull] ?? 0) > 0 && $0.pausedPublishers == 0 && $0.queuedMessages <= 401
            }
            await dead.reset()
            try await harness.wait(for: "its end") { $0.sessions == 2 }
        }
    }

    @Test("a receiver that never acknowledges keeps its window and its bounded queue", arguments: loopCounts)
    func neverAcknowledges(loops: Int) async throws {
        try await withBroker(loops, configure: {
            $0.sessions.maxQueuedMessages = 20
            $0.sessions.stalledReceiverMilliseconds = 200
        }) { harness in
            let silent = try await harness.subscriber("silent", "t", qos: .exactlyOnce) { $0.receiveMaximum = 5 }
            let publisher = try await harness.connect("publisher")
            for number: UInt16 in 1...100 { publisher.send(.publish(message("t", "\(number)", qos: .atLeastOnce, id: number))) }
            let statistics = try await harness.wait(for: "all counted") { $0.deliveriesDue == 100 }
            #expect(statistics.inflightMessages == 5 && statistics.queuedMessages == 25)
            #expect(statistics.dropped == [.queueFull: 75])
            // It wakes up: what was kept comes in order.
            #expect(try await silent.receive(25).map(\.text) == (1...25).map(String.init))
        }
    }

    @Test("publishers go on when the receiver that slowed them goes", arguments: loopCounts)
    func relief(loops: Int) async throws {
        try await withBroker(loops, configure: {
            $0.sessions.maxQueuedMessages = 200
            $0.sessions.stalledReceiverMilliseconds = 60_000
        }) { harness in
            let silent = try await harness.subscriber("silent", "t", qos: .atLeastOnce) { $0.receiveMaximum = 5 }
            let publishers = try await (0..<4).map { $0 }.asyncMap { try await harness.connect("publisher-\($0)") }
            for publisher in publishers {
                publisher.send((1...50).map { .publish(message("t", "\($0)", qos: .atLeastOnce, id: UInt16($0))) })
                publisher.send(.pingReq)
            }
            try await harness.wait(for: "pauses") { $0.pausedPublishers > 0 }
            await silent.reset()
            for publisher in publishers { _ = try await publisher.first("PINGRESP") { $0 == .pingResp ? true : nil } }
            try await harness.wait(for: "no pause") { $0.pausedPublishers == 0 }
        }
    }
}
