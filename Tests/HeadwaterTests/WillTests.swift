import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Wills")
struct WillTests {
    private func will(_ text: String = "gone", delay: UInt32 = 0, qos: QoS = .atLeastOnce, retain: Bool = false) -> Connect.Will {
        var will = Connect.Will(topic: "will", payload: Array(text.utf8), qos: qos, retain: retain)
        will.delaySeconds = delay
        return will
    }

    @Test("a lost connection publishes the will with all its properties", arguments: loopCounts)
    func lost(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will", qos: .exactlyOnce)
            var will = will(qos: .exactlyOnce)
            will.expirySeconds = 50
            will.properties = PublishProperties(
                payloadIsUTF8: true, contentType: "text", responseTopic: "answer", correlationData: [1, 2],
                userProperties: [UserProperty("a", "1"), UserProperty("a", "2")])
            let client = try await harness.connect("client") { $0.will = will }
            await client.reset()
            let received = try await watcher.receive(1)[0]
            #expect(received.text == "gone" && received.qos == .exactlyOnce && !received.retain)
            #expect(received.properties == will.properties && received.expirySeconds == 50)
            #expect(await harness.broker.statistics().willsPublished == 1)
        }
    }

    @Test("DISCONNECT takes the will back, in MQTT 5 not with reason 0x04", arguments: loopCounts, ProtocolVersion.allCases)
    func disconnect(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will")
            let polite = try await harness.connect("polite", version: version) { $0.will = self.will("never") }
            try await polite.disconnect()
            if version == .v5 {
                let insistent = try await harness.connect("insistent") { $0.will = self.will("0x04") }
                try await insistent.disconnect(.disconnectWithWill)
                #expect(try await watcher.receive(1)[0].text == "0x04")
            }
            let lost = try await harness.connect("lost", version: version) { $0.will = self.will("lost") }
            await lost.close()
            #expect(try await watcher.receive(1)[0].text == "lost")
        }
    }

    @Test("protocol errors and keep alive publish the will", arguments: loopCounts, [ProtocolVersion.v3_1_1, .v5])
    func serverSideEnds(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will")
            let wrong = try await harness.connect("wrong", version: version) { $0.will = self.will("error") }
            wrong.send(bytes: [0xF7, 0])
            #expect(try await watcher.receive(1)[0].text == "error")
            _ = try await harness.connect("silent", version: version) {
                $0.will = self.will("silent")
                $0.keepAliveSeconds = 1
            }
            #expect(try await watcher.receive(1)[0].text == "silent")
        }
    }

    @Test("a delayed will comes after its delay", arguments: loopCounts)
    func delayed(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will")
            let client = try await harness.connect("client") {
                $0.will = self.will(delay: 1)
                $0.sessionExpirySeconds = 100
            }
            let began = ContinuousClock.now
            await client.close()
            try await watcher.expectNothing(for: .milliseconds(700))
            #expect(try await watcher.receive(1)[0].text == "gone")
            #expect(ContinuousClock.now - began >= .milliseconds(950))
        }
    }

    @Test("a reconnect before the delay has passed cancels the will", arguments: loopCounts)
    func cancelled(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will")
            let first = try await harness.connect("client") {
                $0.will = self.will(delay: 1)
                $0.sessionExpirySeconds = 100
            }
            await first.close()
            try await harness.waitForOffline(1)
            let second = try await harness.connect("client", cleanStart: false) { $0.sessionExpirySeconds = 100 }
            try await watcher.expectNothing(for: .milliseconds(1_400))
            await second.close()
            try await watcher.expectNothing()
            #expect(await harness.broker.statistics().willsPublished == 0)
        }
    }

    @Test("a session that ends before the delay has passed publishes the will at its end", arguments: loopCounts)
    func sessionEndsFirst(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will")
            let expiring = try await harness.connect("expiring") {
                $0.will = self.will("expired", delay: 100)
                $0.sessionExpirySeconds = 1
            }
            await expiring.close()
            #expect(try await watcher.receive(1)[0].text == "expired")
            let clean = try await harness.connect("clean") { $0.will = self.will("clean", delay: 100) }
            await clean.close()
            #expect(try await watcher.receive(1)[0].text == "clean")
            let discarded = try await harness.connect("discarded") {
                $0.will = self.will("discarded", delay: 100)
                $0.sessionExpirySeconds = 100
            }
            await discarded.close()
            try await harness.waitForOffline(1)
            _ = try await harness.connect("discarded", cleanStart: true)
            #expect(try await watcher.receive(1)[0].text == "discarded")
        }
    }

    @Test("a takeover publishes the will at once, or not at all if it is delayed and the session goes on", arguments: loopCounts)
    func takeover(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will")
            func connect(_ cleanStart: Bool, _ text: String, delay: UInt32) async throws {
                _ = try await harness.connect("client", cleanStart: cleanStart) {
                    $0.will = self.will(text, delay: delay)
                    $0.sessionExpirySeconds = 100
                }
            }
            try await connect(true, "undelayed", delay: 0)
            try await connect(false, "delayed, resumed", delay: 100)
            #expect(try await watcher.receive(1)[0].text == "undelayed")
            try await connect(false, "delayed, discarded", delay: 100)
            try await watcher.expectNothing()
            try await connect(true, "last", delay: 100)
            #expect(try await watcher.receive(1)[0].text == "delayed, discarded")
        }
    }

    @Test("MQTT 3 wills are published on a takeover too", arguments: loopCounts, [ProtocolVersion.v3_1, .v3_1_1])
    func versionThree(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will", version: version)
            _ = try await harness.connect("client", version: version) { $0.will = self.will("first") }
            let second = try await harness.connect("client", version: version) { $0.will = self.will("second") }
            #expect(try await watcher.receive(1)[0].text == "first")
            await second.reset()
            #expect(try await watcher.receive(1)[0].text == "second")
        }
    }

    @Test("a retained will is retained", arguments: loopCounts)
    func retained(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client") { $0.will = self.will(retain: true) }
            await client.close()
            try await harness.wait(for: "the will") { $0.retainedMessages == 1 }
            let late = try await harness.subscriber("late", "will")
            let received = try await late.receive(1)[0]
            #expect(received.retain && received.text == "gone")
        }
    }

    @Test("DISCONNECT with a shorter session expiry counts for the will", arguments: loopCounts)
    func disconnectEndsSession(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will")
            let client = try await harness.connect("client") {
                $0.will = self.will(delay: 100)
                $0.sessionExpirySeconds = 100
            }
            try await client.disconnect(.disconnectWithWill, sessionExpirySeconds: 0)
            #expect(try await watcher.receive(1)[0].text == "gone")
        }
    }

    @Test("five hundred clients that die together leave five hundred wills", arguments: loopCounts)
    func massDeath(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "will", qos: .atLeastOnce)
            var clients: [ScriptedClient] = []
            for number in 0..<500 {
                clients.append(try await harness.subscriber("client-\(number)", "will") { $0.will = self.will("\(number)") })
            }
            await withTaskGroup(of: Void.self) { group in for client in clients { group.addTask { await client.reset() } } }
            let received = try await watcher.receive(500)
            #expect(Set(received.map(\.text)) == Set((0..<500).map(String.init)))
            try await harness.wait(for: "all gone") { $0.connections == 1 && $0.sessions == 1 }
            try await harness.expectHealthy()
        }
    }
}
