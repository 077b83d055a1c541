import MQTTModel
import MQTTWire
import Testing

/// Hostile input, class C: properties. The table is the specification's (MQTT 5.0 table 2-4), written down a second time.
@Suite("Properties")
struct PropertyTests {
    enum Place: String, CaseIterable, Sendable {
        case connect, will, connAck, publishToServer, publishToClient, pubAck, pubRec, pubRel, pubComp, subscribe, subAck
        case unsubscribe, unsubAck, disconnectToServer, disconnectToClient, auth

        var peer: Peer {
            switch self {
            case .connAck, .publishToClient, .subAck, .unsubAck, .disconnectToClient: .server
            default: .client
            }
        }

        /// A packet with this property block and nothing else of interest.
        func packet(_ content: [UInt8]) -> [UInt8] {
            let block = block(content)
            switch self {
            case .connect: return framed(0x10, wire("00 04 'MQTT' 05 02 00 00") + block + field("c"))
            case .will: return framed(0x10, wire("00 04 'MQTT' 05 06 00 00 00") + field("c") + block + field("w") + field("x"))
            case .connAck: return framed(0x20, [0, 0] + block)
            case .publishToServer, .publishToClient: return framed(0x30, field("t") + block)
            case .pubAck: return framed(0x40, [0, 1, 0] + block)
            case .pubRec: return framed(0x50, [0, 1, 0] + block)
            case .pubRel: return framed(0x62, [0, 1, 0] + block)
            case .pubComp: return framed(0x70, [0, 1, 0] + block)
            case .subscribe: return framed(0x82, [0, 1] + block + field("f") + [0])
            case .subAck: return framed(0x90, [0, 1] + block + [0])
            case .unsubscribe: return framed(0xA2, [0, 1] + block + field("f"))
            case .unsubAck: return framed(0xB0, [0, 1] + block + [0])
            case .disconnectToServer, .disconnectToClient: return framed(0xE0, [0] + block)
            case .auth: return framed(0xF0, [0x18] + block)
            }
        }

        static let publish: Set<Place> = [.publishToServer, .publishToClient]
        static let acknowledgements: Set<Place> = [.pubAck, .pubRec, .pubRel, .pubComp]
        static let disconnect: Set<Place> = [.disconnectToServer, .disconnectToClient]
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let id: UInt8
        let legal: [UInt8]
        let illegal: [[UInt8]]
        let places: Set<Place>

        init(_ id: UInt8, _ legal: String, illegal: [String] = [], _ places: Set<Place>) {
            self.id = id
            self.legal = wire(legal)
            self.illegal = illegal.map(wire)
            self.places = places
        }

        /// The property, after an authentication method where the packet or the property needs one.
        func content(in place: Place) -> [UInt8] {
            let needsMethod = id != 0x15 && (place == .auth || id == 0x16 && places.contains(place))
            return (needsMethod ? wire("15 00 01 'm'") : []) + [id] + legal
        }

        var testDescription: String { "property \(id)" }
    }

    static let rows: [Row] = [
        Row(0x01, "01", illegal: ["02", "FF"], Place.publish.union([.will])),
        Row(0x02, "00 00 00 00", Place.publish.union([.will])),
        Row(0x03, "00 01 't'", illegal: ["00 01 00", "00 02 C0 80"], Place.publish.union([.will])),
        Row(0x08, "00 03 'a/b'", illegal: ["00 03 'a/#'", "00 01 '+'", "00 00", "00 01 FF"], Place.publish.union([.will])),
        Row(0x09, "00 02 00 FF", Place.publish.union([.will])),
        Row(0x0B, "01", illegal: ["00"], [.publishToClient, .subscribe]),
        Row(0x11, "FF FF FF FF", [.connect, .connAck, .disconnectToServer]),
        Row(0x12, "00 01 'c'", illegal: ["00 01 80"], [.connAck]),
        Row(0x13, "00 00", [.connAck]),
        Row(0x15, "00 01 'm'", illegal: ["00 03 ED A0 80"], [.connect, .connAck, .auth]),
        Row(0x16, "00 02 00 FF", [.connect, .connAck, .auth]),
        Row(0x17, "00", illegal: ["02"], [.connect]),
        Row(0x18, "00 00 00 07", [.will]),
        Row(0x19, "01", illegal: ["02"], [.connect]),
        Row(0x1A, "00 01 'i'", illegal: ["00 01 00"], [.connAck]),
        Row(0x1C, "00 01 's'", illegal: ["00 01 00"], Place.disconnect.union([.connAck])),
        Row(
            0x1F, "00 01 'r'", illegal: ["00 01 00"],
            Place.acknowledgements.union(Place.disconnect).union([.connAck, .subAck, .unsubAck, .auth])),
        Row(0x21, "00 01", illegal: ["00 00"], [.connect, .connAck]),
        Row(0x22, "00 00", [.connect, .connAck]),
        Row(0x23, "00 01", illegal: ["00 00"], Place.publish),
        Row(0x24, "01", illegal: ["02"], [.connAck]),
        Row(0x25, "00", illegal: ["02"], [.connAck]),
        Row(0x26, "00 01 'k' 00 00", illegal: ["00 01 FF 00 00", "00 00 00 01 00"], Set(Place.allCases)),
        Row(0x27, "00 00 00 01", illegal: ["00 00 00 00"], [.connect, .connAck]),
        Row(0x28, "00", illegal: ["02"], [.connAck]),
        Row(0x29, "00", illegal: ["02"], [.connAck]),
        Row(0x2A, "00", illegal: ["02"], [.connAck]),
    ]

    @Test("a property stands in the packets of the table and in no other", arguments: rows)
    func places(row: Row) {
        for place in Place.allCases {
            let error = refusal(place.packet(row.content(in: place)), from: place.peer)
            #expect(error == (row.places.contains(place) ? nil : .forbiddenProperty(row.id)), "\(place.rawValue)")
        }
        #expect(DecodeError.forbiddenProperty(row.id).reasonCode == .protocolError)
    }

    @Test("only user properties, and subscription identifiers to a client, stand twice", arguments: rows)
    func duplicates(row: Row) {
        for place in row.places {
            let error = refusal(place.packet(row.content(in: place) + [row.id] + row.legal), from: place.peer)
            let mayRepeat = row.id == 0x26 || row.id == 0x0B && place == .publishToClient
            #expect(error == (mayRepeat ? nil : .duplicateProperty(row.id)), "\(place.rawValue)")
        }
    }

    @Test("values that the specification forbids are refused", arguments: rows)
    func illegalValues(row: Row) {
        for place in row.places {
            for value in row.illegal {
                let error = refusal(place.packet([row.id] + value), from: place.peer)
                let allowed: [DecodeError] = [.propertyValue(row.id), .invalidUTF8, .topicAliasInvalid]
                #expect(error.map(allowed.contains) == true, "\(place.rawValue) \(hex(value)): \(String(describing: error))")
            }
        }
    }

    @Test("a value that ends with the block is truncated", arguments: rows)
    func truncated(row: Row) {
        for place in row.places {
            for length in 0..<row.legal.count {
                let error = refusal(place.packet([row.id] + row.legal[..<length]), from: place.peer)
                #expect(error == .truncated, "\(place.rawValue)")
            }
        }
    }

    @Test("identifiers that do not exist are malformed", arguments: Place.allCases)
    func unknown(place: Place) {
        let known = Set(Self.rows.map(\.id))
        for id in UInt8(0)...127 where !known.contains(id) {
            #expect(refusal(place.packet([id, 0, 0, 0, 0]), from: place.peer) == .unknownProperty(UInt32(id)))
        }
        #expect(refusal(place.packet([0x81, 0x02, 0]), from: place.peer) == .unknownProperty(257))
        #expect(refusal(place.packet([0x81, 0x00, 0]), from: place.peer) == .lengthEncoding)
        #expect(DecodeError.unknownProperty(257).reasonCode == .malformedPacket)
    }

    @Test("user properties are counted, not trusted", arguments: Place.allCases)
    func tooManyUserProperties(place: Place) {
        let one = wire("26 00 00 00 00")
        func content(_ count: Int) -> [UInt8] {
            var content = place == .auth ? wire("15 00 01 'm'") : []
            for _ in 0..<count { content += one }
            return content
        }
        #expect(refusal(place.packet(content(1_000)), from: place.peer) == nil)
        #expect(refusal(place.packet(content(1_001)), from: place.peer) == .tooManyUserProperties)
        #expect(refusal(place.packet(content(30_000)), from: place.peer) == .tooManyUserProperties)
        #expect(refusal(place.packet(content(1)), from: place.peer, limits: DecodeLimits(maxUserProperties: 0)) == .tooManyUserProperties)
    }

    @Test("a property length beyond the packet is truncated, whatever it says", arguments: ["7F", "FF FF FF 7F", "80 80 80 01"])
    func lengthBeyondPacket(length: String) {
        #expect(refusal(framed(0x30, field("t") + wire(length))) == .truncated)
        #expect(refusal(framed(0x82, [0, 1] + wire(length) + field("f") + [0])) == .truncated)
        #expect(refusal(framed(0x30, field("t") + wire("80 80 80 80 01"))) == .lengthEncoding)
    }

    @Test("the order of properties says nothing")
    func order() throws {
        var properties = [wire("01 01"), wire("02 00 00 00 05"), wire("03 00 01 't'"), wire("08 00 01 'r'"), wire("09 00 01 00"), wire("23 00 07")]
        let expected = try decode(Place.publishToServer.packet(properties.flatMap { $0 }))
        for _ in properties.indices {
            properties.append(properties.removeFirst())
            #expect(try decode(Place.publishToServer.packet(properties.flatMap { $0 })) == expected)
        }
    }

    @Test("authentication data needs a method, and AUTH needs one unless it is an empty success")
    func authentication() {
        #expect(refusal(Place.connect.packet(wire("16 00 01 00"))) == .authenticationMethodMissing)
        #expect(refusal(Place.connAck.packet(wire("16 00 01 00")), from: .server) == .authenticationMethodMissing)
        #expect(refusal(Place.auth.packet(wire("16 00 01 00"))) == .authenticationMethodMissing)
        #expect(refusal(Place.auth.packet([])) == .authenticationMethodMissing)
        #expect(refusal(wire("F0 01 18")) == .authenticationMethodMissing)
        #expect(refusal(wire("F0 00"), from: .client) == .invalidReasonCode(0))
        #expect(refusal(wire("F0 00"), from: .server) == nil)
        #expect(DecodeError.authenticationMethodMissing.reasonCode == .protocolError)
    }

    @Test("correlation data of 64 kB is data like any other")
    func longCorrelationData() throws {
        let data = [UInt8](repeating: 0, count: 65_535)
        let decoded = try decode(Place.publishToServer.packet([0x09] + field(data)))
        #expect(decoded == .publish(Publish(topic: "t", payload: []) { $0.properties.correlationData = data }))
    }
}
