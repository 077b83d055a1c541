import MQTTModel
import MQTTWire
import Testing

/// The hot path's forms of PUBLISH and its acknowledgements.
@Suite("PUBLISH in place")
struct PublishTests {
    /// Parses a packet and hands the fields out while the bytes live.
    private func parse<Result>(
        _ bytes: [UInt8], _ version: ProtocolVersion = .v5, limits: DecodeLimits = DecodeLimits(), fromClient: Bool = true,
        _ use: (PublishFields) -> Result
    ) throws(DecodeError) -> Result {
        let outcome: Swift.Result<Result, DecodeError> = bytes.withUnsafeBytes { raw in
            guard case .frame(let frame) = readFrame(raw, at: 0, maxPacketBytes: 1_000_000) else { return .failure(.truncated) }
            switch PublishFields.parse(
                firstByte: frame.firstByte, body: frame.body(in: raw), version: version, limits: limits, fromClient: fromClient)
            {
            case .fields(let fields): return .success(use(fields))
            case .malformed(let error): return .failure(error)
            }
        }
        return try outcome.get()
    }

    private func refusal(
        _ bytes: [UInt8], _ version: ProtocolVersion = .v5, limits: DecodeLimits = DecodeLimits(), fromClient: Bool = true
    ) -> DecodeError? {
        do throws(DecodeError) {
            return try parse(bytes, version, limits: limits, fromClient: fromClient) { _ in nil }
        } catch {
            return error
        }
    }

    @Test("fields of a PUBLISH below MQTT 5 lie where they lay")
    func oldFields() throws {
        try parse(wire("3B 08 00 03 'a/b' 00 0A '!'"), .v3_1_1) {
            #expect(Array($0.topic) == Array("a/b".utf8))
            #expect($0.packetID == 10)
            #expect(Array($0.payload) == [33])
            #expect($0.dup && $0.retain && $0.qos == .atLeastOnce)
            #expect($0.properties.isEmpty && $0.propertiesTravelWhole && !$0.hasTopicAlias && $0.expirySeconds == nil)
        }
    }

    @Test("properties that are the message's own travel whole")
    func travelWhole() throws {
        let content = wire("01 01 03 00 01 't' 08 00 01 'r' 09 00 01 00 26 00 01 'k' 00 01 'v'")
        try parse(framed(0x30, field("t") + block(content) + [1, 2])) {
            #expect($0.propertiesTravelWhole)
            #expect($0.payloadFormatIsUTF8)
            #expect(Array($0.properties) == content)
            #expect(Array($0.payload) == [1, 2])
            var out: [UInt8] = []
            PublishFields.travellingProperties($0.properties, into: &out)
            #expect(out == content)
        }
    }

    @Test("alias, expiry and subscription identifiers stay behind, each alone", arguments: ["23 00 07", "02 00 00 00 05", "0B FF 01"])
    func stayBehind(property: String) throws {
        for content in [wire("01 00 \(property) 26 00 01 'k' 00 01 'v'"), wire("\(property) 01 00 26 00 01 'k' 00 01 'v'"), wire("01 00 26 00 01 'k' 00 01 'v' \(property)")] {
            try parse(framed(0x30, field("t") + block(content)), fromClient: false) {
                #expect(!$0.propertiesTravelWhole)
                #expect($0.topicAlias == (property.hasPrefix("23") ? 7 : 0))
                #expect($0.expirySeconds == (property.hasPrefix("02") ? 5 : nil))
                var out: [UInt8] = [0xEE]
                PublishFields.travellingProperties($0.properties, into: &out)
                #expect(out == wire("EE 01 00 26 00 01 'k' 00 01 'v'"))
            }
        }
    }

    @Test("QoS 3 and DUP with QoS 0 are malformed in every version", arguments: ProtocolVersion.allCases)
    func flags(version: ProtocolVersion) {
        #expect(refusal(wire("36 06 00 01 't' 00 0A 00"), version) == .invalidQoS)
        #expect(refusal(wire("38 04 00 01 't' 00"), version) == .dupWithQoS0)
        #expect(DecodeError.invalidQoS.reasonCode == .malformedPacket)
        #expect(DecodeError.dupWithQoS0.reasonCode == .malformedPacket)
    }

    @Test("an empty topic needs an alias")
    func emptyTopic() throws {
        #expect(refusal(wire("30 02 00 00"), .v3_1_1) == .emptyTopic)
        #expect(refusal(wire("30 03 00 00 00")) == .emptyTopicWithoutAlias)
        #expect(refusal(wire("30 05 00 00 02 01 00")) == .emptyTopicWithoutAlias)
        #expect(try parse(wire("30 06 00 00 03 23 00 07")) { $0.topicAlias } == 7)
        #expect(DecodeError.emptyTopicWithoutAlias.reasonCode == .protocolError)
        #expect(DecodeError.emptyTopic.reasonCode == .malformedPacket)
    }

    @Test("alias 0 is refused as an alias, a client's subscription identifier as a protocol error")
    func clientProperties() {
        #expect(refusal(wire("30 07 00 01 't' 03 23 00 00")) == .topicAliasInvalid)
        #expect(DecodeError.topicAliasInvalid.reasonCode == .topicAliasInvalid)
        #expect(refusal(wire("30 06 00 01 't' 02 0B 01")) == .forbiddenProperty(0x0B))
        #expect(refusal(wire("30 06 00 01 't' 02 0B 01"), fromClient: false) == nil)
    }

    @Test("the topic's length is limited before it is read, its text is left to the router")
    func topics() {
        let long = framed(0x30, field(String(repeating: "/", count: 65_535)))
        #expect(refusal(long, .v3_1_1) == nil)
        #expect(refusal(long, .v3_1_1, limits: DecodeLimits(maxTopicBytes: 65_534)) == .topicNameInvalid)
        #expect(refusal(wire("30 03 00 01 '#'"), .v3_1_1) == nil)
    }

    @Test("decodePacket checks the topic's text too", arguments: [
        ("#", .topicNameInvalid), ("a/+", .topicNameInvalid), ("a\u{0}", .invalidUTF8), ("/////", .topicNameInvalid), ("$SYS/a", nil),
    ] as [(String, DecodeError?)])
    func topicTexts(topic: String, expected: DecodeError?) {
        let limits = DecodeLimits(maxTopicLevels: 5)
        #expect(MQTTWireTests.refusal(framed(0x30, field(topic)), .v3_1_1, limits: limits) == expected)
        #expect(DecodeError.topicNameInvalid.reasonCode == .topicNameInvalid)
    }

    @Test("payload format UTF-8 is a claim that can be checked", arguments: [
        ("", true), ("'text'", true), ("'a' 00 'b' 00", true), ("00", true), ("C3 A9", true), ("FF", false), ("C3 00 A9", false),
        ("'a' 00 ED A0 80", false),
    ])
    func payloadFormat(payload: String, isUTF8: Bool) throws {
        #expect(try parse(framed(0x30, wire("00 01 't' 02 01 01") + wire(payload))) { $0.payloadMatchesFormat() } == isUTF8)
        #expect(try parse(framed(0x30, wire("00 01 't' 02 01 00") + wire(payload))) { $0.payloadMatchesFormat() })
        #expect(try parse(framed(0x30, wire("00 01 't' 00") + wire(payload))) { $0.payloadMatchesFormat() })
    }

    @Test("travelling properties of damaged bytes end at the damage", arguments: ["", "26", "01", "26 00 05 'a'", "7F", "80 80 80 80 80", "03 FF FF"])
    func damagedBlocks(text: String) {
        var out: [UInt8] = []
        wire("01 01 " + text).withUnsafeBytes { PublishFields.travellingProperties($0, into: &out) }
        #expect(out == [1, 1])
    }

    @Test("an image writes what the general encoder writes", arguments: [0, 1, 127, 128, 16_383, 16_384, 200_000])
    func image(payloadBytes: Int) throws {
        let payload = [UInt8](repeating: 7, count: payloadBytes)
        for version in [ProtocolVersion.v3_1_1, .v5] {
            for qos in QoS.allCases {
                for variant in 0..<8 {
                    var publish = Publish(topic: variant & 1 == 0 ? "a/b" : "t", payload: payload, qos: qos, retain: true, packetID: qos == .atMostOnce ? 0 : 0x1234)
                    if version == .v5 {
                        if variant & 1 != 0 { publish.expirySeconds = 0xDEAD_BEEF }
                        if variant & 2 != 0 { publish.topicAlias = 0x1234 }
                        if variant & 4 != 0 {
                            publish.subscriptionIDs = [1, 128, 268_435_455]
                            publish.properties = PublishProperties(contentType: "x", userProperties: [UserProperty("k", "v")])
                        }
                    }
                    try check(publish, version)
                }
            }
        }
    }

    private func check(_ publish: Publish, _ version: ProtocolVersion) throws {
        let topic = Array(publish.topic.utf8)
        let travelling = publish.properties.encoded
        var out: [UInt8] = []
        topic.withUnsafeBytes { topic in
            travelling.withUnsafeBytes { properties in
                publish.payload.withUnsafeBytes { payload in
                    let image = PublishImage(
                        isV5: version == .v5, firstByte: PublishImage.firstByte(qos: publish.qos, retain: publish.retain), topic: topic,
                        packetID: publish.packetID, expirySeconds: publish.expirySeconds, topicAlias: publish.topicAlias,
                        subscriptionIDs: publish.subscriptionIDs.isEmpty ? nil : publish.subscriptionIDs, properties: properties,
                        payload: payload)
                    out = [UInt8](repeating: 0xEE, count: image.encodedSize + 1)
                    let written = out.withUnsafeMutableBytes { image.write(to: $0.baseAddress!) }
                    #expect(written == image.encodedSize)
                    #expect(out.removeLast() == 0xEE)
                    #expect(encode(.publish(publish), version).count == written)
                    if publish.qos == .atMostOnce {
                        #expect(image.packetIDOffset == -1)
                    } else {
                        #expect(Array(out[image.packetIDOffset..<(image.packetIDOffset + 2)]) == [0x12, 0x34])
                        // The two patches of a fan-out.
                        out[0] |= 0b1000
                        out[image.packetIDOffset] = 0xAB
                    }
                }
            }
        }
        var expected = publish
        if publish.qos != .atMostOnce {
            expected.dup = true
            expected.packetID = 0xAB34
        }
        #expect(try decode(out, version, from: .server) == .publish(expected))
    }

    @Test("an image may leave the topic to its alias")
    func aliasOnly() throws {
        let image = PublishImage(
            isV5: true, firstByte: 0x30, topic: UnsafeRawBufferPointer(start: nil, count: 0), topicAlias: 7,
            payload: UnsafeRawBufferPointer(start: nil, count: 0))
        var out = [UInt8](repeating: 0, count: image.encodedSize)
        _ = out.withUnsafeMutableBytes { image.write(to: $0.baseAddress!) }
        #expect(hex(out) == "30 06 00 00 03 23 00 07")
    }

    @Test("acknowledgements in place say what the general form says")
    func acknowledgements() throws {
        for golden in GoldenPacket.all {
            guard case .pubAck(let expected) = golden.packet.asPubAck else { continue }
            golden.bytes.withUnsafeBytes { raw in
                let body = UnsafeRawBufferPointer(rebasing: raw[2...])
                switch AcknowledgementFields.parse(firstByte: raw[0], body: body, version: golden.version, limits: DecodeLimits(), from: golden.peer) {
                case .fields(let fields):
                    #expect(fields == AcknowledgementFields(packetID: expected.packetID, reason: expected.reason))
                    if expected.reasonString == nil {
                        var out = [UInt8](repeating: 0xEE, count: AcknowledgementFields.maxEncodedSize)
                        let written = out.withUnsafeMutableBytes {
                            AcknowledgementFields.write(
                                golden.packet.type, packetID: fields.packetID, reason: fields.reason, isV5: golden.version == .v5,
                                to: $0.baseAddress!)
                        }
                        #expect(Array(out[..<written]) == golden.bytes)
                    }
                case .malformed(let error): Issue.record("\(golden.name): \(error)")
                }
            }
        }
    }

    @Test("acknowledgements in place refuse what the general form refuses", arguments: [
        ("40 02 00 00", .zeroPacketID), ("60 02 00 01", .reservedFlags(type: 6)), ("42 02 00 01", .reservedFlags(type: 4)),
        ("40 01 00", .truncated), ("40 03 00 01 92", .invalidReasonCode(0x92)), ("40 05 00 01 00 01 01", .truncated),
    ] as [(String, DecodeError)])
    func refusedAcknowledgements(text: String, expected: DecodeError) {
        wire(text).withUnsafeBytes { raw in
            let body = UnsafeRawBufferPointer(rebasing: raw[2...])
            guard case .malformed(let error) = AcknowledgementFields.parse(firstByte: raw[0], body: body, version: .v5, limits: DecodeLimits(), from: .client)
            else {
                Issue.record("\(text) was accepted")
                return
            }
            #expect(error == expected)
        }
    }
}

extension Packet {
    /// The same values as a PUBACK, for the four packets of that form.
    fileprivate var asPubAck: Packet? {
        switch self {
        case .pubAck(let value), .pubRec(let value), .pubRel(let value), .pubComp(let value): .pubAck(value)
        default: nil
        }
    }
}
