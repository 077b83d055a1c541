import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Hostile topics, properties and identifiers")
struct HostilePublishTests {
    private func publish(_ firstByte: UInt8 = 0x30, topic: [UInt8], id: [UInt8] = [], properties: [UInt8] = [], payload: [UInt8] = [1]) -> [UInt8] {
        framed(firstByte, field(topic) + id + framed(0, properties).dropFirst() + payload)
    }

    @Test("topics that are none, and properties out of place, end the connection", arguments: loopCounts)
    func publishTable(loops: Int) async throws {
        let t = Array("t".utf8)
        var rows: [HostileInput] = [
            HostileInput("an empty topic", publish(topic: []), .end(.protocolError)),
            HostileInput("an empty topic in MQTT 3", framed(0x30, [0, 0, 1]), .end(.malformedPacket), .v3_1_1),
            HostileInput("a wildcard", publish(topic: Array("a/+".utf8)), .end(.topicNameInvalid)),
            HostileInput("a wildcard in MQTT 3", framed(0x30, field("a/#")), .end(.topicNameInvalid), .v3_1_1),
            HostileInput("32,768 levels", publish(topic: [UInt8](repeating: 0x2F, count: 32_767)), .end(.topicNameInvalid)),
            HostileInput("65,535 bytes", publish(topic: [UInt8](repeating: 0x61, count: 65_535)), .goesOn),
            HostileInput("an overlong form", publish(topic: [0xC0, 0xAF]), .end(.malformedPacket)),
            HostileInput("a surrogate", publish(topic: [0xED, 0xA0, 0x80]), .end(.malformedPacket)),
            HostileInput("a cut sequence", publish(topic: [0xE2, 0x82]), .end(.malformedPacket)),
            HostileInput("U+0000", publish(topic: [0x61, 0]), .end(.malformedPacket)),
            HostileInput("a byte order mark", publish(topic: [0xEF, 0xBB, 0xBF, 0x61]), .goesOn),
            HostileInput("QoS 3", publish(0x36, topic: t, id: [0, 1]), .end(.malformedPacket)),
            HostileInput("DUP with QoS 0", publish(0x38, topic: t), .end(.malformedPacket)),
            HostileInput("packet identifier 0", publish(0x32, topic: t, id: [0, 0]), .end(.protocolError)),
            HostileInput("an unknown property", publish(topic: t, properties: [0x7E, 1]), .end(.malformedPacket)),
            HostileInput("payload format 2", publish(topic: t, properties: [1, 2]), .end(.protocolError)),
            HostileInput("payload format twice", publish(topic: t, properties: [1, 1, 1, 1]), .end(.protocolError)),
            HostileInput("a response topic with a wildcard", publish(topic: t, properties: [8, 0, 1, 0x23]), .end(.protocolError)),
            HostileInput("a content type that is not UTF-8", publish(topic: t, properties: [3, 0, 1, 0xFF]), .end(.malformedPacket)),
            HostileInput("a subscription identifier", publish(topic: t, properties: [0x0B, 1]), .end(.protocolError)),
            HostileInput("topic alias 0", publish(topic: t, properties: [0x23, 0, 0]), .end(.topicAliasInvalid)),
            HostileInput("65,535 bytes of correlation data", publish(topic: t, properties: [9, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 65_535)), .goesOn),
            HostileInput(
                "1,001 user properties", publish(topic: t, properties: (0..<1_001).flatMap { _ in [0x26] + field("k") + field("v") }),
                .end(.quotaExceeded)),
            HostileInput("PUBACK with identifier 0", "40 02 00 00", .end(.protocolError)),
            HostileInput("PUBACK with an undefined reason", "40 03 00 01 55", .end(.protocolError)),
            HostileInput("PUBACK that nobody waits for", "40 02 00 09", .goesOn),
            HostileInput("PUBREC that nobody waits for", "50 02 00 09", .goesOn),
            HostileInput("PUBCOMP that nobody waits for", "70 02 00 09", .goesOn),
            HostileInput("PUBREL twice", "62 02 00 09 62 02 00 09", .goesOn),
        ]
        for id: UInt8 in [0x11, 0x12, 0x13, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29, 0x2A] {
            rows.append(HostileInput("property \(id)", publish(topic: t, properties: [id, 0, 0, 0, 1]), .end(.protocolError)))
        }
        try await withBroker(loops) { harness in try await harness.expectAnswers(to: rows, isConnected: true) }
    }

    @Test("SUBSCRIBE with undefined options or identifier 0 ends the connection")
    func subscribeTable() async throws {
        let rows: [HostileInput] = [
            HostileInput("QoS 3", "82 07 00 01 00 00 01 'a' 03", .end(.protocolError)),
            HostileInput("Retain Handling 3", "82 07 00 01 00 00 01 'a' 30", .end(.protocolError)),
            HostileInput("a reserved bit", "82 07 00 01 00 00 01 'a' 40", .end(.malformedPacket)),
            HostileInput("MQTT 5 options in MQTT 3", "82 06 00 01 00 01 'a' 04", .end(.malformedPacket), .v3_1_1),
            HostileInput("subscription identifier 0", "82 09 00 01 02 0B 00 00 01 'a' 00", .end(.protocolError)),
            HostileInput("two subscription identifiers", "82 0B 00 01 04 0B 01 0B 02 00 01 'a' 00", .end(.protocolError)),
            HostileInput("packet identifier 0", "82 07 00 00 00 00 01 'a' 00", .end(.protocolError)),
            HostileInput("an empty filter", "82 06 00 01 00 00 00 00", .end(.malformedPacket)),
            HostileInput("a filter that is not UTF-8", "82 07 00 01 00 00 01 FF 00", .end(.malformedPacket)),
            HostileInput("a filter with too many levels", framed(0x82, [0, 1, 0] + field([UInt8](repeating: 0x2F, count: 300)) + [0]), .end(.topicFilterInvalid)),
        ]
        try await withBroker(1) { harness in try await harness.expectAnswers(to: rows, isConnected: true) }
    }

    @Test("illegal filters are answered one by one", arguments: ["a#", "#/a", "a/b+", "+a", "$share", "$share/", "$share//x", "$share/g/", "$share/+/x", "$share/a#/x"])
    func filters(filter: String) async throws {
        try await withBroker(1) { harness in
            let client = try await harness.connect("client")
            #expect(try await client.subscribe(filter) == .topicFilterInvalid)
            #expect(try await client.unsubscribe([filter]) == [.topicFilterInvalid])
            #expect(await harness.broker.statistics().subscriptions == 0)
        }
    }

    @Test("the broker's own topics are nobody's to write", arguments: loopCounts, ["$SYS/x", "$SYS", "$CONTROL/x", "$share/g/t"])
    func reserved(loops: Int, topic: String) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.connect("watcher")
            try await watcher.subscribe(["$SYS/#", "$CONTROL/#", "#"].map { Subscribe.Entry(filter: $0) })
            let client = try await harness.connect("client")
            #expect(try await client.publish(message(topic, "x", qos: .atLeastOnce, retain: true)) == .notAuthorized)
            try await watcher.ping()
            try await watcher.expectNothing()
            #expect(await harness.broker.statistics().retainedMessages == 0)
        }
    }

    @Test("filters made to be slow cost a bounded time")
    func pathological() async throws {
        try await withBroker(1) { harness in
            let client = try await harness.connect("client")
            // Every combination of + and a literal over ten levels, and # at every depth.
            var entries = (0..<1_024).map { bits in
                Subscribe.Entry(filter: (0..<10).map { bits & (1 << $0) == 0 ? "+" : "a" }.joined(separator: "/"))
            }
            entries += (0..<100).map { Subscribe.Entry(filter: String(repeating: "+/", count: $0) + "#") }
            #expect(try await client.subscribe(entries).allSatisfy { $0 == .grantedQoS0 })
            let publisher = try await harness.connect("publisher")
            let began = ContinuousClock.now
            for number in 0..<200 { try await publisher.publish(message("a/a/a/a/a/a/a/a/a/a" + (number % 2 == 0 ? "" : "/\(number)"), "x")) }
            try await publisher.ping()
            #expect(try await client.receive(200).count == 200)
            #expect(ContinuousClock.now - began < .seconds(10))
        }
    }

    @Test("65,535 QoS 2 identifiers may stay unreleased in MQTT 3, over a reconnect, and none is routed twice", arguments: loopCounts)
    func allIdentifiers(loops: Int) async throws {
        try await withBroker(loops) { harness in
            for round in 0..<2 {
                let client = try await harness.open(version: .v3_1_1)
                #expect(try await client.connect("client", cleanStart: false).sessionPresent == (round > 0))
                client.send((1...65_535).map { .publish(message("t", "", qos: .exactlyOnce, id: UInt16($0)) { $0.dup = round > 0 }) })
                client.send(.pingReq)
                _ = try await client.first("PINGRESP", within: .seconds(30)) { $0 == .pingResp ? true : nil }
                await client.close()
                try await harness.waitForOffline(1)
            }
            let statistics = await harness.broker.statistics()
            #expect(statistics.messagesWithoutReceiver == 65_535 && statistics.duplicatesRecognized == 65_535)
        }
    }

    @Test("one identifier in use at QoS 1 and 2, and reused with another payload, confuses nobody", arguments: loopCounts)
    func identifierReuse(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let watcher = try await harness.subscriber("watcher", "t", qos: .exactlyOnce)
            let client = try await harness.connect("client")
            client.send(
                .publish(message("t", "two", qos: .exactlyOnce, id: 1)), .publish(message("t", "one", qos: .atLeastOnce, id: 1)),
                .publish(message("t", "other payload", qos: .exactlyOnce, id: 1)), .pubRel(Acknowledgement(packetID: 1)),
                .publish(message("t", "again", qos: .exactlyOnce, id: 1)))
            #expect(try await watcher.receive(3).map(\.text) == ["two", "one", "again"])
        }
    }

    @Test("a thousand kept sessions with full queues end and give everything back", arguments: loopCounts)
    func abandonedSessions(loops: Int) async throws {
        try await withBroker(loops, configure: {
            $0.sessions.maxExpirySeconds = 2
            $0.sessions.maxQueuedMessages = 5
        }) { harness in
            for number in 0..<1_000 {
                let client = try await harness.open()
                var connect = Connect(protocolVersion: .v5, clientID: "junk-\(number)")
                connect.sessionExpirySeconds = .max
                client.send(
                    .connect(connect), .subscribe(Subscribe(packetID: 1, entries: [Subscribe.Entry(filter: "#", qos: .atLeastOnce)])))
                _ = try await client.first("SUBACK") { if case .subAck = $0 { true } else { nil } }
                await client.close()
                if number % 200 == 0 {
                    let publisher = try await harness.connect("publisher")
                    for id: UInt16 in 1...8 { try await publisher.publish(message("t", "x", qos: .atLeastOnce, id: id)) }
                    try await publisher.disconnect()
                }
            }
            let statistics = try await harness.wait(for: "the end of all sessions") { $0.sessions == 0 }
            #expect(statistics.queuedMessages == 0 && statistics.queuedBytes == 0 && statistics.subscriptions == 0)
            #expect((statistics.dropped[.sessionEnded] ?? 0) > 0)
        }
    }

    @Test("retained messages are replayed to many clients at once", arguments: loopCounts)
    func replayToMany(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let publisher = try await harness.connect("publisher")
            for number in 0..<300 { publisher.send(.publish(message("r/\(number)", "\(number)", retain: true))) }
            try await harness.wait(for: "all retained") { $0.retainedMessages == 300 }
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<60 {
                    group.addTask {
                        let client = try await harness.subscriber("client-\(number)", "#", qos: .atLeastOnce)
                        return try await Set(client.receive(300).map(\.topic)).count
                    }
                }
                for try await count in group { #expect(count == 300) }
            }
        }
    }
}
