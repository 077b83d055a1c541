import MQTTModel
import MQTTWire
import Testing

/// Hostile input, class A: framing.
@Suite("Framing")
struct FramingTests {
    private func read(_ bytes: [UInt8], at offset: Int = 0, max: Int = 300_000_000) -> FrameResult {
        bytes.withUnsafeBytes { readFrame($0, at: offset, maxPacketBytes: max) }
    }

    @Test("variable byte integers of the specification", arguments: [
        (0, "00"), (127, "7F"), (128, "80 01"), (16_383, "FF 7F"), (16_384, "80 80 01"), (2_097_151, "FF FF 7F"),
        (2_097_152, "80 80 80 01"), (268_435_455, "FF FF FF 7F"),
    ])
    func integers(value: Int, text: String) {
        let bytes = wire(text)
        #expect(bytes.withUnsafeBytes { VariableByteInteger.read($0, at: 0) } == .value(value, length: bytes.count))
        #expect(VariableByteInteger.size(of: value) == bytes.count)
        var written = [UInt8](repeating: 0xEE, count: 5)
        #expect(written.withUnsafeMutableBytes { VariableByteInteger.write(value, to: $0.baseAddress!) } == bytes.count)
        #expect(written == bytes + [UInt8](repeating: 0xEE, count: 5 - bytes.count))
        for length in 0..<bytes.count {
            #expect(Array(bytes[..<length]).withUnsafeBytes { VariableByteInteger.read($0, at: 0) } == .incomplete)
        }
    }

    @Test("a value without an encoding never takes more than four bytes")
    func tooLargeInteger() {
        var written = [UInt8](repeating: 0xEE, count: 5)
        #expect(written.withUnsafeMutableBytes { VariableByteInteger.write(268_435_456, to: $0.baseAddress!) } == 4)
        #expect(written[4] == 0xEE)
    }

    @Test("five bytes and longer forms than needed are malformed", arguments: [
        "80 80 80 80", "FF FF FF FF", "80 80 80 80 01", "80 00", "FF 00", "80 80 00", "80 80 80 00", "81 80 80 00",
    ])
    func malformedIntegers(text: String) {
        #expect(wire(text).withUnsafeBytes { VariableByteInteger.read($0, at: 0) } == .malformed)
        #expect(read([0x30] + wire(text)) == .malformed(.lengthEncoding))
    }

    @Test("a length without its end asks for more and knows no size", arguments: ["", "30", "30 80", "30 80 80", "30 FF FF FF"])
    func incompleteLength(text: String) {
        #expect(read(wire(text)) == .needMore(totalBytes: 0))
    }

    @Test("a packet above the limit is refused before its body arrives")
    func tooLarge() {
        #expect(read(wire("10 FF FF FF 7F"), max: 268_435_459) == .malformed(.packetTooLarge))
        #expect(read(wire("10 FF FF FF 7F"), max: 268_435_460) == .needMore(totalBytes: 268_435_460))
        #expect(read(wire("10 80 01"), max: 130) == .malformed(.packetTooLarge))
        #expect(read(wire("10 80 01"), max: 131) == .needMore(totalBytes: 131))
        #expect(read(wire("10 0A"), max: 11) == .malformed(.packetTooLarge))
        #expect(read(wire("10 0A"), max: 12) == .needMore(totalBytes: 12))
    }

    @Test("10,000 packets in one segment are found one by one, and half a packet after them")
    func manyPackets() {
        let one = wire("32 08 00 03 'a/b' 00 0A '!'")
        var stream: [UInt8] = []
        for _ in 0..<10_000 { stream += one }
        stream += one.dropLast()
        stream.withUnsafeBytes { raw in
            var offset = 0
            var found = 0
            while case .frame(let frame) = readFrame(raw, at: offset, maxPacketBytes: 100) {
                #expect(frame.bodyStart == offset + 2)
                offset = frame.end
                found += 1
            }
            #expect(found == 10_000)
            #expect(readFrame(raw, at: offset, maxPacketBytes: 100) == .needMore(totalBytes: one.count))
            #expect(readFrame(raw, at: raw.count, maxPacketBytes: 100) == .needMore(totalBytes: 0))
        }
    }

    @Test("packet type 0, and type 15 below MQTT 5, are reserved")
    func reservedTypes() {
        for version in ProtocolVersion.allCases {
            #expect(refusal(wire("00 00"), version) == .reservedPacketType(0))
            #expect(refusal(wire("F0 00"), version, from: .server) == (version == .v5 ? nil : .reservedPacketType(15)))
        }
    }

    @Test("flags that the type does not have are malformed", arguments: GoldenPacket.all.filter { $0.packet.type != .publish })
    func reservedFlags(golden: GoldenPacket) {
        for flags in UInt8(0)...15 where flags != golden.packet.type.fixedFlags {
            var bytes = golden.bytes
            bytes[0] = bytes[0] & 0xF0 | flags
            #expect(refusal(bytes, golden.version, from: golden.peer) == .reservedFlags(type: golden.packet.type.rawValue))
        }
    }

    @Test("packets of the other side are protocol errors")
    func wrongPeer() {
        let fromServerOnly = ["20 02 00 00", "90 03 00 0A 00", "B0 02 00 0A", "D0 00"]
        for text in fromServerOnly {
            #expect(refusal(wire(text), .v3_1_1, from: .client) == .unexpectedPacket(type: wire(text)[0] >> 4))
            #expect(refusal(wire(text), .v3_1_1, from: .server) == nil)
        }
        let fromClientOnly = ["10 0D 00 04 'MQTT' 04 02 00 3C 00 01 'c'", "82 06 00 0A 00 01 'a' 01", "A2 05 00 0A 00 01 'a'", "C0 00", "E0 00"]
        for text in fromClientOnly {
            #expect(refusal(wire(text), .v3_1_1, from: .server) == .unexpectedPacket(type: wire(text)[0] >> 4))
            #expect(refusal(wire(text), .v3_1_1, from: .client) == nil)
        }
        #expect(refusal(wire("E0 00"), .v5, from: .server) == nil)
        #expect(DecodeError.unexpectedPacket(type: 2).reasonCode == .protocolError)
    }

    @Test("a packet that ends inside a field is malformed", arguments: [
        ("82 01 00", "packet identifier"), ("82 02 00 0A", "property length"), ("82 04 00 0A 03 0B", "property block"),
        ("82 04 00 0A 01 0B", "property value"), ("82 05 00 0A 02 0B 80", "property value of two bytes"),
        ("82 04 00 0A 00 00", "string length"), ("82 06 00 0A 00 00 02 'a'", "string"),
        ("82 06 00 0A 00 00 01 'a'", "filter without options"), ("30 01 00", "topic length"), ("30 02 00 01", "topic"),
        ("32 04 00 01 'a' 00", "packet identifier"), ("32 05 00 01 'a' 00 0A", "property length"),
        ("30 05 00 01 'a' 02 01", "property block"), ("30 05 00 01 'a' 01 01", "property value"), ("40 01 00", "packet identifier"),
    ])
    func endsInside(text: String, place: String) {
        #expect(refusal(wire(text)) == .truncated, "\(place)")
        #expect(DecodeError.truncated.reasonCode == .malformedPacket)
    }

    @Test("empty payloads of SUBSCRIBE, UNSUBSCRIBE and their answers are protocol errors")
    func emptyPayloads() {
        #expect(refusal(wire("82 02 00 0A"), .v3_1_1) == .emptyPayload)
        #expect(refusal(wire("A2 02 00 0A"), .v3_1_1) == .emptyPayload)
        #expect(refusal(wire("82 03 00 0A 00")) == .emptyPayload)
        #expect(refusal(wire("A2 03 00 0A 00")) == .emptyPayload)
        #expect(refusal(wire("90 02 00 0A"), .v3_1_1, from: .server) == .emptyPayload)
        #expect(refusal(wire("90 03 00 0A 00"), from: .server) == .emptyPayload)
        #expect(refusal(wire("B0 03 00 0A 00"), from: .server) == .emptyPayload)
        #expect(DecodeError.emptyPayload.reasonCode == .protocolError)
    }

    @Test("bytes after the last field are malformed")
    func trailingBytes() {
        for (text, version, peer) in [
            ("C0 01 00", .v5, .client), ("E0 01 00", .v3_1_1, .client), ("40 03 00 0A 00", .v3_1_1, .client),
            ("40 05 00 0A 00 00 00", .v5, .client), ("B0 03 00 0A 00", .v3_1_1, .server), ("20 03 00 00 00", .v3_1_1, .server),
            ("10 0E 00 04 'MQTT' 04 02 00 3C 00 01 'c' 00", .v3_1_1, .client),
        ] as [(String, ProtocolVersion, Peer)] {
            #expect(refusal(wire(text), version, from: peer) == .trailingBytes, "\(text)")
        }
    }

    @Test("packet identifier 0 is refused wherever there is one")
    func zeroPacketID() {
        for text in ["32 06 00 01 'a' 00 00 00", "40 02 00 00", "50 02 00 00", "62 02 00 00", "70 02 00 00", "82 07 00 00 00 00 01 'a' 00", "A2 06 00 00 00 00 01 'a'"] {
            #expect(refusal(wire(text)) == .zeroPacketID, "\(text)")
        }
        #expect(refusal(wire("90 04 00 00 00 00"), from: .server) == .zeroPacketID)
        #expect(refusal(wire("B0 04 00 00 00 00"), from: .server) == .zeroPacketID)
    }

    @Test("reason codes that a packet does not have are protocol errors")
    func reasonCodes() {
        for (text, peer) in [
            ("40 03 00 0A 92", .client), ("62 03 00 0A 10", .client), ("E0 01 8E", .client), ("E0 01 04", .server),
            ("F0 06 00 04 15 00 01 'm'", .client), ("F0 06 19 04 15 00 01 'm'", .server), ("20 03 00 8E 00", .server),
            ("90 04 00 0A 00 03", .server), ("B0 04 00 0A 00 01", .server),
        ] as [(String, Peer)] {
            guard case .invalidReasonCode = refusal(wire(text), from: peer) else {
                Issue.record("\(text): \(String(describing: refusal(wire(text), from: peer)))")
                continue
            }
        }
        #expect(refusal(wire("90 03 00 0A 8F"), .v3_1_1, from: .server) == .invalidReasonCode(0x8F))
        #expect(refusal(wire("20 02 00 06"), .v3_1_1, from: .server) == .invalidReasonCode(6))
        #expect(refusal(wire("20 02 01 05"), .v3_1_1, from: .server) == .connAckFlags)
        #expect(refusal(wire("20 02 02 00"), .v3_1_1, from: .server) == .connAckFlags)
    }
}
