import MQTTModel
import MQTTWire
import Testing

/// Hostile input, class B: what can be judged of a CONNECT by its bytes.
@Suite("CONNECT")
struct ConnectTests {
    /// A CONNECT with the given name, level and flags, and a client identifier.
    private func connect(_ name: String, _ level: UInt8, flags: UInt8 = 0x02, properties: [UInt8] = [], rest: [UInt8] = []) -> [UInt8] {
        framed(0x10, field(name) + [level, flags, 0, 60] + properties + field("c") + rest)
    }

    private func answer(_ bytes: [UInt8]) -> ProtocolVersion? {
        guard let error = refusal(bytes) else { return nil }
        return bytes.withUnsafeBytes { raw in
            guard case .frame(let frame) = readFrame(raw, at: 0, maxPacketBytes: 1_000_000) else { return nil }
            return Connect.refusalVersion(error, body: frame.body(in: raw))
        }
    }

    @Test("names and levels of the three versions, with the bridge bit where it exists", arguments: [
        ("MQIsdp", 0x03, .v3_1, false), ("MQIsdp", 0x83, .v3_1, true), ("MQTT", 0x04, .v3_1_1, false), ("MQTT", 0x84, .v3_1_1, true),
    ] as [(String, UInt8, ProtocolVersion, Bool)])
    func levels(name: String, level: UInt8, version: ProtocolVersion, isBridge: Bool) throws {
        guard case .connect(let decoded) = try decode(connect(name, level)) else { return }
        #expect(decoded.protocolVersion == version)
        #expect(decoded.isBridge == isBridge)
        #expect(decoded.clientID == "c")
    }

    @Test("an unknown level is answered in the nearest version", arguments: [
        ("MQIsdp", 4, .v3_1_1), ("MQIsdp", 5, .v3_1_1), ("MQTT", 3, .v3_1_1), ("MQTT", 0, .v3_1_1), ("MQTT", 6, .v5),
        ("MQTT", 255, .v5), ("MQTT", 0x83, .v3_1_1), ("MQTT", 0x85, .v3_1_1), ("MQIsdp", 0x84, .v3_1_1),
    ] as [(String, UInt8, ProtocolVersion)])
    func unknownLevels(name: String, level: UInt8, version: ProtocolVersion) {
        #expect(refusal(connect(name, level)) == .unsupportedProtocolVersion(level: level))
        #expect(answer(connect(name, level)) == version)
    }

    @Test("another protocol name closes without an answer", arguments: ["", "mqtt", "MQTt", "MQISDP", "MQTTX", "MQT", "MQTT\u{0}"])
    func unknownNames(name: String) {
        #expect(refusal(connect(name, 4)) == .protocolName)
        #expect(answer(connect(name, 4)) == nil)
    }

    @Test("HTTP and TLS on the port are no CONNECT")
    func otherProtocols() {
        #expect(refusal(Array("GET / HTTP/1.1\r\n\r\n".utf8)) != nil)
        #expect(refusal(wire("16 03 01 00 FA 01 00 00 F6 03 03")) != nil)
    }

    @Test("reserved and contradictory flags are malformed", arguments: [
        (0x03, "reserved"), (0x1E, "will QoS 3"), (0x1A, "QoS 3 without will"), (0x0A, "will QoS without will"),
        (0x12, "will QoS 2 without will"), (0x22, "will retain without will"),
    ] as [(UInt8, String)])
    func flags(flags: UInt8, name: String) {
        #expect(refusal(connect("MQTT", 4, flags: flags)) == .connectFlags, "\(name)")
        #expect(answer(connect("MQTT", 4, flags: flags)) == nil)
        #expect(refusal(connect("MQTT", 5, flags: flags, properties: [0])) == .connectFlags)
        #expect(answer(connect("MQTT", 5, flags: flags, properties: [0])) == .v5)
    }

    @Test("a password without a user name is for MQTT 5 alone")
    func passwordAlone() throws {
        let password = field("p")
        #expect(refusal(connect("MQTT", 4, flags: 0x42, rest: password)) == .passwordWithoutUsername)
        #expect(refusal(connect("MQIsdp", 3, flags: 0x42, rest: password)) == .passwordWithoutUsername)
        guard case .connect(let decoded) = try decode(connect("MQTT", 5, flags: 0x42, properties: [0], rest: password)) else { return }
        #expect(decoded.password == Array("p".utf8))
        #expect(decoded.username == nil)
    }

    @Test("below MQTT 5 a password without a user name is not encoded")
    func passwordIsLeftOut() throws {
        let connect = Connect(.v3_1_1, "c") { $0.password = [1] }
        #expect(encode(.connect(connect), .v3_1_1) == wire("10 0D 00 04 'MQTT' 04 02 00 00 00 01 'c'"))
    }

    @Test("a client identifier may be empty without a clean session: that is the broker's to answer")
    func emptyClientID() throws {
        guard case .connect(let decoded) = try decode(wire("10 0C 00 04 'MQTT' 04 00 00 00 00 00")) else { return }
        #expect(decoded.clientID.isEmpty)
        #expect(!decoded.cleanStart)
    }

    @Test("a client identifier above the limit is refused with its own code")
    func longClientID() throws {
        let id = String(repeating: "x", count: 65_535)
        for (level, properties, version) in [(4, [], .v3_1_1), (5, [0], .v5)] as [(UInt8, [UInt8], ProtocolVersion)] {
            let bytes = framed(0x10, field("MQTT") + [level, 2, 0, 0] + properties + field(id))
            #expect(refusal(bytes) == nil)
            #expect(refusal(bytes, limits: DecodeLimits(maxClientIDBytes: 65_534)) == .clientIdentifierTooLong)
            bytes.withUnsafeBytes { raw in
                let body = UnsafeRawBufferPointer(rebasing: raw[4...])
                #expect(Connect.refusalVersion(.clientIdentifierTooLong, body: body) == version)
            }
        }
        #expect(DecodeError.clientIdentifierTooLong.reasonCode == .clientIdentifierNotValid)
    }

    @Test("a will on no topic name is refused", arguments: ["", "a/#", "+", "a\u{0}"])
    func willTopic(topic: String) {
        let will = field(topic) + field("x")
        let expected: DecodeError = topic.contains("\u{0}") ? .invalidUTF8 : .willTopicInvalid
        #expect(refusal(connect("MQTT", 4, flags: 0x06, rest: will)) == expected)
        #expect(refusal(connect("MQTT", 5, flags: 0x06, properties: [0], rest: [0] + will)) == expected)
    }

    @Test("a will's topic is within the limits for topics")
    func willTopicLimits() {
        let bytes = connect("MQTT", 4, flags: 0x06, rest: field("a/b/c") + field(""))
        #expect(refusal(bytes) == nil)
        #expect(refusal(bytes, limits: DecodeLimits(maxTopicLevels: 2)) == .willTopicInvalid)
        #expect(refusal(bytes, limits: DecodeLimits(maxTopicBytes: 4)) == .willTopicInvalid)
    }
}
