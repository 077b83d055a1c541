import MQTTModel
import MQTTWire
import Testing

@Suite("Golden packets")
struct GoldenPacketTests {
    @Test("golden bytes decode to their packet", arguments: GoldenPacket.all)
    func decodes(golden: GoldenPacket) throws {
        #expect(try decode(golden.bytes, golden.version, from: golden.peer) == golden.packet)
    }

    @Test("a packet encodes to its golden bytes", arguments: GoldenPacket.all)
    func encodes(golden: GoldenPacket) {
        #expect(hex(encode(golden.packet, golden.version)) == hex(golden.bytes))
    }

    @Test("every packet type of every version has golden bytes")
    func areComplete() {
        for version in [ProtocolVersion.v3_1_1, .v5] {
            for type in PacketType.allCases where type != .auth && type != .pingReq && type != .pingResp || version == .v5 && type == .auth {
                #expect(GoldenPacket.all.contains { $0.version == version && $0.packet.type == type }, "\(type) \(version)")
            }
        }
    }

    @Test("split at every byte, a packet is found only when it is all there", arguments: GoldenPacket.all)
    func splits(golden: GoldenPacket) {
        for length in 0..<golden.bytes.count {
            // The prefix stands alone in memory, so that reading past it would be seen.
            let prefix = Array(golden.bytes[..<length])
            let expected = FrameResult.needMore(totalBytes: length < 2 ? 0 : golden.bytes.count)
            #expect(prefix.withUnsafeBytes { readFrame($0, at: 0, maxPacketBytes: 1_000) } == expected)
        }
        golden.bytes.withUnsafeBytes { raw in
            let frame = Frame(firstByte: raw[0], bodyStart: 2, end: raw.count)
            #expect(readFrame(raw, at: 0, maxPacketBytes: raw.count) == .frame(frame))
            #expect(frame.type == golden.packet.type.rawValue)
        }
    }

    @Test("a body cut at any byte never decodes to the whole packet", arguments: GoldenPacket.all)
    func cutBodies(golden: GoldenPacket) {
        let body = golden.bytes.dropFirst(2)
        for length in 0..<body.count {
            let cut = framed(golden.bytes[0], Array(body.prefix(length)))
            #expect((try? decode(cut, golden.version, from: golden.peer)) != golden.packet, "\(hex(cut))")
        }
    }

    @Test("a byte too many is refused or is payload", arguments: GoldenPacket.all)
    func trailingByte(golden: GoldenPacket) {
        let longer = framed(golden.bytes[0], Array(golden.bytes.dropFirst(2)) + [0x00])
        let decoded = try? decode(longer, golden.version, from: golden.peer)
        switch golden.packet {
        case .publish(var publish):
            publish.payload.append(0)
            #expect(decoded == .publish(publish))
        case .subAck, .unsubAck:
            #expect(decoded != golden.packet)
        case .pubAck, .pubRec, .pubRel, .pubComp, .disconnect, .auth:
            // In MQTT 5 the byte may be the reason code or property length that the shortest form leaves out.
            if golden.version < .v5 { #expect(decoded == nil) }
            if let decoded { #expect(decoded == golden.packet) }
        default:
            #expect(decoded == nil)
        }
    }

    @Test("long forms of short packets decode to the same", arguments: [
        ("40 03 00 0A 00", "40 02 00 0A"), ("40 04 00 0A 00 00", "40 02 00 0A"), ("E0 01 00", "E0 00"),
        ("E0 02 00 00", "E0 00"), ("62 04 00 0A 92 00", "62 03 00 0A 92"),
    ])
    func longForms(long: String, short: String) throws {
        #expect(try decode(wire(long)) == decode(wire(short)))
    }

    @Test("MQTT 3.1 allows DUP on PUBREL, SUBSCRIBE and UNSUBSCRIBE")
    func oldDUP() throws {
        for text in ["6A 02 00 0A", "8A 06 00 0A 00 01 'a' 01", "AA 05 00 0A 00 01 'a'"] {
            var plain = wire(text)
            plain[0] &= 0xF7
            #expect(try decode(wire(text), .v3_1) == decode(plain, .v3_1))
            #expect(refusal(wire(text), .v3_1_1) == .reservedFlags(type: wire(text)[0] >> 4))
        }
    }

    @Test("MQTT 3.1 lets the remaining length overrule the login flags")
    func oldLogin() throws {
        let decoded = try decode(wire("10 0F 00 06 'MQIsdp' 03 C2 00 3C 00 01 'c'"))
        #expect(decoded == .connect(Connect(.v3_1, "c") { $0.keepAliveSeconds = 60 }))
        #expect(refusal(wire("10 0D 00 04 'MQTT' 04 C2 00 3C 00 01 'c'")) == .truncated)
    }

    @Test("a CONNACK refusal below MQTT 5 has the nearest return code", arguments: [
        (ReasonCode.unsupportedProtocolVersion, 1), (.clientIdentifierNotValid, 2), (.serverUnavailable, 3),
        (.serverBusy, 3), (.quotaExceeded, 3), (.badUserNameOrPassword, 4), (.notAuthorized, 5), (.banned, 5),
        (.qosNotSupported, 5),
    ] as [(ReasonCode, UInt8)])
    func returnCodes(reason: ReasonCode, code: UInt8) {
        // Session Present never goes with a refusal.
        #expect(encode(.connAck(ConnAck(reason: reason, sessionPresent: true)), .v3_1_1) == [0x20, 2, 0, code])
        #expect(encode(.connAck(ConnAck(reason: reason, sessionPresent: true)), .v5) == [0x20, 3, 0, reason.rawValue, 0])
    }

    @Test("SUBACK of MQTT 3 knows one failure")
    func oldSubAck() {
        let subAck = Packet.subAck(SubAck(packetID: 1, reasons: [.grantedQoS1, .notAuthorized]))
        #expect(encode(subAck, .v3_1_1) == wire("90 04 00 01 01 80"))
        #expect(encode(subAck, .v3_1) == wire("90 04 00 01 01 80"))
    }

    @Test("an answer too large loses its reason string, then its user properties, then is not written")
    func detailIsDropped() {
        var acknowledgement = Acknowledgement(packetID: 10, reason: .quotaExceeded, "reason")
        func encoded(_ limit: Int) -> String? {
            var out: [UInt8] = [0xEE]
            let fits = encodePacket(.pubAck(acknowledgement), version: .v5, into: &out, maxPacketBytes: limit)
            #expect(fits == (out.count > 1))
            #expect(out.count - 1 <= limit)
            return fits ? hex(out.dropFirst()) : nil
        }
        let full = "40 14 00 0A 97 10 1F 00 06 72 65 61 73 6F 6E 26 00 01 6B 00 01 76"
        let withoutReason = "40 0B 00 0A 97 07 26 00 01 6B 00 01 76"
        #expect(encoded(22) == full)
        #expect(encoded(21) == withoutReason)
        #expect(encoded(13) == withoutReason)
        #expect(encoded(12) == "40 03 00 0A 97")
        #expect(encoded(5) == "40 03 00 0A 97")
        #expect(encoded(4) == nil)
        acknowledgement.reason = .success
        #expect(encoded(12) == "40 02 00 0A")
    }

    @Test("properties that are content are never dropped")
    func contentIsKept() {
        var out: [UInt8] = []
        let publish = Publish(topic: "t", payload: []) { $0.properties.userProperties = [UserProperty("k", "v")] }
        #expect(!encodePacket(.publish(publish), version: .v5, into: &out, maxPacketBytes: 12))
        #expect(out.isEmpty)
        #expect(encodePacket(.publish(publish), version: .v5, into: &out, maxPacketBytes: 13))
        #expect(out.count == 13)
    }

    @Test("text above 65,535 bytes is cut before a character, not inside")
    func longText() throws {
        let filter = String(repeating: "é", count: 32_767) + "aé"  // 65,537 bytes
        let bytes = encode(.unsubscribe(Unsubscribe(packetID: 1, filters: [filter])), .v3_1_1)
        let expected = Packet.unsubscribe(Unsubscribe(packetID: 1, filters: [String(repeating: "é", count: 32_767) + "a"]))
        #expect(try decode(bytes, .v3_1_1) == expected)
        let odd = encode(.unsubscribe(Unsubscribe(packetID: 1, filters: ["a" + filter.dropLast(2) + "é"])), .v3_1_1)
        #expect(try decode(odd, .v3_1_1) == .unsubscribe(Unsubscribe(packetID: 1, filters: ["a" + filter.dropLast(2)])))
        let even = encode(.unsubscribe(Unsubscribe(packetID: 1, filters: [filter.dropLast(2) + "é"])), .v3_1_1)
        #expect(try decode(even, .v3_1_1) == .unsubscribe(Unsubscribe(packetID: 1, filters: [String(filter.dropLast(2))])))
    }
}
