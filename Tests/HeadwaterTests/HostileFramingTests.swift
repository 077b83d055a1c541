import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Hostile framing")
struct HostileFramingTests {
    @Test("lengths, types, flags and ends that are wrong close the connection with their reason", arguments: loopCounts)
    func table(loops: Int) async throws {
        let rows: [HostileInput] = [
            HostileInput("a length of five bytes", "30 80 80 80 80 01", .end(.malformedPacket)),
            HostileInput("a length not in its shortest form", "30 80 00", .end(.malformedPacket)),
            HostileInput("a length of 268,435,455", "30 FF FF FF 7F", .end(.packetTooLarge)),
            HostileInput("packet type 0", "00 00", .end(.malformedPacket)),
            HostileInput("packet type 15 in MQTT 3", "F0 00", .end(.malformedPacket), .v3_1_1),
            HostileInput("AUTH that nobody began", "F0 00", .end(.protocolError)),
            HostileInput("flags on PUBACK", "41 02 00 01", .end(.malformedPacket)),
            HostileInput("flags on PUBREC", "52 02 00 01", .end(.malformedPacket)),
            HostileInput("no flag on PUBREL", "60 02 00 01", .end(.malformedPacket)),
            HostileInput("flags on PUBCOMP", "74 02 00 01", .end(.malformedPacket)),
            HostileInput("no flag on SUBSCRIBE", "80 07 00 01 00 00 01 'a' 00", .end(.malformedPacket)),
            HostileInput("no flag on UNSUBSCRIBE", "A0 06 00 01 00 00 01 'a'", .end(.malformedPacket)),
            HostileInput("flags on PINGREQ", "C1 00", .end(.malformedPacket)),
            HostileInput("flags on DISCONNECT", "E8 00", .end(.malformedPacket)),
            HostileInput("CONNACK", "20 03 00 00 00", .end(.protocolError)),
            HostileInput("SUBACK", "90 04 00 01 00 00", .end(.protocolError)),
            HostileInput("UNSUBACK", "B0 04 00 01 00 00", .end(.protocolError)),
            HostileInput("PINGRESP", "D0 00", .end(.protocolError)),
            HostileInput("PUBLISH that ends in the topic's length", "30 01 00", .end(.malformedPacket)),
            HostileInput("PUBLISH that ends in the topic", "30 03 00 05 'a'", .end(.malformedPacket)),
            HostileInput("PUBLISH that ends in the identifier", "32 04 00 01 'a' 00", .end(.malformedPacket)),
            HostileInput("PUBLISH without properties", "30 03 00 01 'a'", .end(.malformedPacket)),
            HostileInput("a property length beyond the packet", "30 04 00 01 'a' 7F", .end(.malformedPacket)),
            HostileInput("a property that ends in its value", "30 07 00 01 'a' 03 03 00 09", .end(.malformedPacket)),
            HostileInput("SUBSCRIBE without options", "82 06 00 01 00 00 01 'a'", .end(.malformedPacket)),
            HostileInput("SUBSCRIBE without filters", "82 03 00 01 00", .end(.protocolError)),
            HostileInput("UNSUBSCRIBE without filters", "A2 03 00 01 00", .end(.protocolError)),
            HostileInput("PINGREQ with a body", "C0 01 00", .end(.malformedPacket)),
            HostileInput("bytes behind a PUBACK", "40 05 00 01 00 00 FF", .end(.malformedPacket)),
            HostileInput("PINGREQ with a body in MQTT 3", "C0 01 00", .end(.malformedPacket), .v3_1_1),
            HostileInput("SUBSCRIBE without filters in MQTT 3", "82 02 00 01", .end(.protocolError), .v3_1_1),
        ]
        try await withBroker(loops) { harness in
            try await harness.expectAnswers(to: rows, isConnected: true)
            #expect(await harness.broker.statistics().sessions == 0)
        }
    }

    @Test("a whole session may come one byte at a time", arguments: loopCounts, ProtocolVersion.allCases)
    func byteByByte(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.open(version: version)
            var bytes: [UInt8] = []
            let packets: [Packet] = [
                .connect(Connect(protocolVersion: version, clientID: "slow")),
                .subscribe(Subscribe(packetID: 1, entries: [Subscribe.Entry(filter: "t", qos: .exactlyOnce)])),
                .publish(message("t", "x", qos: .exactlyOnce, id: 2)), .pubRel(Acknowledgement(packetID: 2)), .pingReq,
            ]
            for packet in packets { encodePacket(packet, version: version, into: &bytes) }
            for byte in bytes { #expect(await client.sendAndWait(bytes: [byte])) }
            #expect(try await client.receive(1)[0].text == "x")
            _ = try await client.first("PINGRESP") { $0 == .pingResp ? true : nil }
        }
    }

    @Test("10,000 packets in one write are all answered, in order", arguments: loopCounts)
    func manyInOne(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client")
            client.send((1...10_000).map { .publish(message("t", "", qos: .atLeastOnce, id: UInt16($0))) })
            for id: UInt16 in 1...10_000 {
                try await client.expect(.pubAck(Acknowledgement(packetID: id, reason: .noMatchingSubscribers)))
            }
        }
    }

    @Test("half a packet and then the end leave nothing behind", arguments: loopCounts)
    func halfPackets(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let whole = framed(0x32, field("t") + [0, 1, 0] + [UInt8](repeating: 0x78, count: 200))
            for length in stride(from: 1, to: whole.count, by: 13) {
                let client = try await harness.connect("client")
                client.send(bytes: Array(whole.prefix(length)))
                if length % 2 == 0 { await client.reset() } else { await client.finishSending() }
                if length % 2 == 1 { try await client.expectClose() }
            }
            try await harness.wait(for: "nobody") { $0.connections == 0 && $0.sessions == 0 }
            #expect(await harness.broker.statistics().messagesReceived.total == 0)
            try await harness.expectHealthy()
        }
    }

    @Test("noise of every kind closes its connection and nothing else", arguments: 1...8)
    func noise(seed: Int) async throws {
        try await withBroker(3) { harness in
            var generator = SplitMix(state: UInt64(seed))
            for round in 0..<40 {
                let client = try await harness.open(version: round % 2 == 0 ? .v5 : .v3_1_1)
                if round % 4 != 0 { try await client.connect("noise") }
                client.send(bytes: (0..<Int.random(in: 1...600, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) })
                client.send(bytes: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
                await client.close()
            }
            try await harness.wait(for: "nobody") { $0.connections == 0 }
            try await harness.expectHealthy()
        }
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
