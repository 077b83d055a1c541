import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Hostile CONNECT")
struct HostileConnectTests {
    /// CONNECT of MQTT 5 with these flags, properties and payload.
    private func five(_ flags: UInt8, properties: [UInt8] = [], _ payload: [UInt8]) -> [UInt8] {
        framed(0x10, field("MQTT") + [5, flags, 0, 0] + framed(0, properties).dropFirst() + payload)
    }
    private func three(_ flags: UInt8, _ payload: [UInt8]) -> [UInt8] { framed(0x10, field("MQTT") + [4, flags, 0, 0] + payload) }

    @Test("contradictions, bad wills and bad properties are refused", arguments: loopCounts)
    func table(loops: Int) async throws {
        let id = field("c")
        let rows: [HostileInput] = [
            HostileInput("reserved flag", five(0x03, id), .refused(.malformedPacket)),
            HostileInput("reserved flag in MQTT 3", three(0x03, id), .close, .v3_1_1),
            HostileInput("will QoS 3", five(0x1E, id + [0] + field("w") + field("")), .refused(.malformedPacket)),
            HostileInput("will QoS without will", five(0x0A, id), .refused(.malformedPacket)),
            HostileInput("will retain without will", five(0x22, id), .refused(.malformedPacket)),
            HostileInput("will topic missing", five(0x06, id + [0]), .refused(.malformedPacket)),
            HostileInput("empty will topic", five(0x06, id + [0] + field("") + field("")), .refused(.topicNameInvalid)),
            HostileInput("will topic with a wildcard", five(0x06, id + [0] + field("a/#") + field("")), .refused(.topicNameInvalid)),
            HostileInput("will on $SYS", five(0x06, id + [0] + field("$SYS/x") + field("")), .refused(.topicNameInvalid)),
            HostileInput("will on $CONTROL", five(0x06, id + [0] + field("$CONTROL") + field("")), .refused(.topicNameInvalid)),
            HostileInput("will on $share", five(0x06, id + [0] + field("$share/g/t") + field("")), .refused(.topicNameInvalid)),
            HostileInput("client identifier with U+0000", five(0x02, field([0x61, 0])), .refused(.malformedPacket)),
            HostileInput("client identifier that is not UTF-8", five(0x02, field([0xC0, 0x80])), .refused(.malformedPacket)),
            HostileInput("client identifier with a surrogate, MQTT 3", three(0x02, field([0xED, 0xA0, 0x80])), .close, .v3_1_1),
            HostileInput("bytes behind the payload", five(0x02, id + [0]), .refused(.malformedPacket)),
            HostileInput("user name missing", five(0x82, id), .refused(.malformedPacket)),
            HostileInput("password cut short", five(0x42, id + [0, 9, 1]), .refused(.malformedPacket)),
            HostileInput("Receive Maximum 0", five(0x02, properties: [0x21, 0, 0], id), .refused(.protocolError)),
            HostileInput("Maximum Packet Size 0", five(0x02, properties: [0x27, 0, 0, 0, 0], id), .refused(.protocolError)),
            HostileInput("Request Problem Information 2", five(0x02, properties: [0x17, 2], id), .refused(.protocolError)),
            HostileInput("Session Expiry twice", five(0x02, properties: [0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1], id), .refused(.protocolError)),
            HostileInput("a property of PUBLISH", five(0x02, properties: [0x01, 1], id), .refused(.protocolError)),
            HostileInput("an unknown property", five(0x02, properties: [0x7E, 1], id), .refused(.malformedPacket)),
            HostileInput("authentication data without a method", five(0x02, properties: [0x16, 0, 1, 9], id), .refused(.protocolError)),
            HostileInput(
                "2,000 user properties", five(0x02, properties: (0..<2_000).flatMap { _ in [0x26] + field("k") + field("v") }, id),
                .refused(.quotaExceeded)),
            HostileInput("a length above the limit for strangers", "10 A1 8D 06", .close),
        ]
        try await withBroker(loops) { harness in try await harness.expectAnswers(to: rows, isConnected: false) }
    }

    @Test("odd client identifiers are names like any other", arguments: loopCounts)
    func oddIdentifiers(loops: Int) async throws {
        let identifiers = [
            "/", "+", "#", "$SYS", "$share/g/t", "%c", "%s%n", "..", "../../etc/passwd", "a\nb", "\u{7F}\u{1}", "<script>alert(1)</script>", "^(a+)+$",
            "\u{1F4A5}", "\u{202E}abc", "\u{FEFF}", "\u{FFFE}", " ", "\"; drop table", "{}", String(repeating: "x", count: 65_535),
        ]
        try await withBroker(loops) { harness in
            for identifier in identifiers {
                let client = try await harness.subscriber(identifier, "t", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
                await client.close()
                let again = try await harness.open()
                #expect(try await again.connect(identifier, cleanStart: false).sessionPresent, "\(identifier.prefix(30))")
                try await again.publish(message("t", "x", qos: .atLeastOnce))
                #expect(try await again.receive(1).count == 1)
                try await again.disconnect()
            }
            try await harness.wait(for: "no session") { $0.sessions == 0 }
        }
    }

    @Test("the largest values of every number are accepted and cut where the server has limits")
    func largeNumbers() async throws {
        try await withBroker(1) { harness in
            let client = try await harness.open()
            let answer = try await client.connect("client") { connect in
                connect.keepAliveSeconds = .max
                connect.sessionExpirySeconds = .max
                connect.receiveMaximum = .max
                connect.maximumPacketSize = .max
                connect.topicAliasMaximum = .max
                connect.will = Connect.Will(topic: "w", payload: [UInt8](repeating: 1, count: 65_535))
                connect.will?.delaySeconds = .max
                connect.will?.expirySeconds = .max
            }
            #expect(answer.reason == .success && answer.sessionExpirySeconds == 604_800)
            try await client.ping()
        }
    }
}
