import MQTTModel
import MQTTWire
import Testing

/// Hostile input, class D: texts, and the filters of SUBSCRIBE and UNSUBSCRIBE.
@Suite("Texts")
struct TextTests {
    static let invalid = [
        "C0 80", "C1 BF", "E0 80 80", "E0 9F BF", "F0 80 80 80", "F0 8F BF BF", "ED A0 80", "ED BF BF", "ED A0 80 ED B0 80",
        "F4 90 80 80", "F5 80 80 80", "FF", "FE", "80", "BF", "C2", "E2 82", "F0 9F 98", "'a' 00", "00", "'aaaaaaaa' 00",
        "'aaaaaaaa' 80", "C2 'a'",
    ]
    static let valid = ["'a'", "EF BF BE", "EF BF BF", "EF BB BF 'a'", "C2 80", "F4 8F BF BF", "ED 9F BF", "EE 80 80", "01", "7F", "0A"]

    /// Every place of a packet that holds text which is checked when it is decoded.
    private func packets(_ text: [UInt8]) -> [[UInt8]] {
        let name = field(text)
        return [
            framed(0x10, wire("00 04 'MQTT' 04 02 00 00") + name),
            framed(0x10, wire("00 04 'MQTT' 04 06 00 00 00 00") + name + field("")),
            framed(0x10, wire("00 04 'MQTT' 04 82 00 00 00 00") + name),
            framed(0x30, name + [0]),
            framed(0x82, [0, 1, 0] + name + [0]),
            framed(0xA2, [0, 1, 0] + name),
            framed(0x30, field("t") + block([0x08] + name)),
            framed(0x30, field("t") + block([0x26] + name + field(""))),
            framed(0x30, field("t") + block([0x26] + field("") + name)),
        ]
    }

    @Test("text that is not UTF-8 without U+0000 is malformed", arguments: invalid)
    func invalidText(text: String) {
        for packet in packets(wire(text)) { #expect(refusal(packet) == .invalidUTF8, "\(hex(packet))") }
        #expect(DecodeError.invalidUTF8.reasonCode == .malformedPacket)
    }

    @Test("all other text arrives as it was sent, byte for byte", arguments: valid)
    func validText(text: String) throws {
        for packet in packets(wire(text)) {
            let version: ProtocolVersion = packet[0] == 0x10 ? .v3_1_1 : .v5
            #expect(hex(encode(try decode(packet), version)) == hex(packet))
        }
    }

    @Test("a filter with misplaced wildcards decodes: SUBACK answers it", arguments: [
        "a#", "#/a", "a/+b", "$share", "$share/", "$share//x", "$share/g", "$share/+/x", "$share/a#/x",
        "$share/g/$share/h/t", "+/#/+",
    ])
    func misplacedWildcards(filter: String) throws {
        let subscribe = try decode(framed(0x82, [0, 1, 0] + field(filter) + [1]))
        #expect(subscribe == .subscribe(Subscribe(packetID: 1, entries: [.init(filter: filter, qos: .atLeastOnce)])))
        #expect(try decode(framed(0xA2, [0, 1, 0] + field(filter))) == .unsubscribe(Unsubscribe(packetID: 1, filters: [filter])))
    }

    @Test("an empty filter is malformed")
    func emptyFilter() {
        #expect(refusal(wire("82 06 00 01 00 00 00 00")) == .emptyTopicFilter)
        #expect(refusal(wire("A2 05 00 01 00 00 00")) == .emptyTopicFilter)
        #expect(DecodeError.emptyTopicFilter.reasonCode == .malformedPacket)
    }

    @Test("No Local on a shared subscription is a protocol error")
    func noLocal() {
        #expect(refusal(framed(0x82, [0, 1, 0] + field("$share/g/a") + [0b100])) == .noLocalOnSharedSubscription)
        #expect(refusal(framed(0x82, [0, 1, 0] + field("$shared/a") + [0b100])) == nil)
        #expect(DecodeError.noLocalOnSharedSubscription.reasonCode == .protocolError)
    }

    @Test("subscription options: reserved bits are malformed, undefined values protocol errors")
    func options() {
        for options in UInt8(0)...255 {
            let isReserved = options & 0b1100_0000 != 0
            let isUndefined = options & 0b11 == 3 || options >> 4 & 0b11 == 3
            let expected: DecodeError? = isReserved ? .reservedSubscriptionOptions : isUndefined ? .subscriptionOptions : nil
            #expect(refusal(framed(0x82, [0, 1, 0] + field("a") + [options])) == expected)
            let old = refusal(framed(0x82, [0, 1] + field("a") + [options]), .v3_1_1)
            #expect((old == nil) == (options < 3))
        }
        #expect(DecodeError.reservedSubscriptionOptions.reasonCode == .malformedPacket)
        #expect(DecodeError.subscriptionOptions.reasonCode == .protocolError)
    }

    @Test("filters are counted and measured")
    func filterLimits() {
        func subscribe(_ filter: String, times: Int = 1) -> [UInt8] {
            framed(0x82, [0, 1, 0] + (0..<times).flatMap { _ in field(filter) + [0] })
        }
        func unsubscribe(_ filter: String, times: Int = 1) -> [UInt8] {
            framed(0xA2, [0, 1, 0] + (0..<times).flatMap { _ in field(filter) })
        }
        let limits = DecodeLimits(maxFiltersPerPacket: 10, maxTopicBytes: 12, maxTopicLevels: 5)
        for packet in [subscribe, unsubscribe] {
            #expect(refusal(packet("a", 10), limits: limits) == nil)
            #expect(refusal(packet("a", 11), limits: limits) == .tooManyFilters)
            #expect(refusal(packet("a/b/c/d/e", 1), limits: limits) == nil)
            #expect(refusal(packet("a/b/c/d/e/", 1), limits: limits) == .topicFilterTooLong)
            #expect(refusal(packet("123456789012", 1), limits: limits) == nil)
            #expect(refusal(packet("1234567890123", 1), limits: limits) == .topicFilterTooLong)
        }
        #expect(refusal(framed(0x90, [0, 1, 0] + [UInt8](repeating: 0, count: 11)), from: .server, limits: limits) == .tooManyFilters)
        #expect(refusal(subscribe(String(repeating: "/", count: 32_767))) == .topicFilterTooLong)
    }

    @Test("a reason never quotes the peer and is fit for a reason string")
    func descriptions() {
        let errors: [DecodeError] = [.protocolName, .unknownProperty(99), .unsupportedProtocolVersion(level: 6), .reservedFlags(type: 8), .invalidUTF8]
        for error in errors {
            #expect(error.description.utf8.allSatisfy { (0x20..<0x7F).contains($0) })
            #expect(error.reasonCode.isError)
        }
    }
}
