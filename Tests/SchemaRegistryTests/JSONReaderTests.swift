import Testing

@testable import Encodings
@testable import SchemaRegistry

@Suite struct JSONReaderTests {
    @Test("a document keeps its numbers, its texts and the order of its members")
    func document() throws {
        let json = try JSONReader.read(#" {"b": [1, -0.50, 1E+2, true, false, null], "a": "é\u00e9\ud83d\ude00\n\/\"", "": {}} "#)
        #expect(json.object?.members.map(\.name.string) == ["b", "a", ""])
        #expect(json["a"]?.string == "éé😀\n/\"")
        #expect(JSONWriter.text(json) == #"{"b":[1,-0.50,1E+2,true,false,null],"a":"éé😀\n/\"","":{}}"#)
        #expect(try JSONReader.read(JSONWriter.text(json)) == json)
    }

    @Test(
        "what RFC 8259 doesn't have is refused",
        arguments: [
            "", " ", "01", "1.", ".5", "-", "+1", "1e", "0x1", "NaN", "Infinity", "tru", "nulll", "[1,]", "[,1]", "[1 2]", "{\"a\"}",
            "{\"a\":1,}", "{a:1}",
            "'a'", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\t\"", "[1]]", "1 2", "{\"a\":1",
            "[", "/**/1", "\u{FEFF}1",
        ])
    func refused(text: String) { #expect(throws: JSONFault.self) { try JSONReader.read(text) } }

    @Test("bytes that are no UTF-8 are refused, in texts with and without escapes")
    func utf8() {
        for bad: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF4, 0x90, 0x80, 0x80]] {
            #expect(throws: JSONFault.self) { try read([0x22] + bad + [0x22]) }
            #expect(throws: JSONFault.self) { try read([0x22, 0x5C, 0x6E] + bad + [0x22]) }
        }
    }

    @Test("64 levels are read, 65 are not, and a million don't exhaust the stack")
    func depth() throws {
        _ = try JSONReader.read(String(repeating: "[", count: 64) + String(repeating: "]", count: 64))
        #expect(throws: JSONFault.self) { try JSONReader.read(String(repeating: "[", count: 65) + String(repeating: "]", count: 65)) }
        #expect(throws: JSONFault.self) { try JSONReader.read(String(repeating: "{\"a\":", count: 1_000_000)) }
    }

    @Test("of members with one name the last wins, in small objects and large")
    func duplicates() throws {
        #expect(try JSONReader.read(#"{"a":1,"b":2,"a":3}"#) == JSONReader.read(#"{"b":2,"a":3}"#))
        let many = (0..<50).map { "\"m\($0 % 20)\":\($0)" }.joined(separator: ",")
        let json = try JSONReader.read("{\(many)}")
        #expect(json.object?.count == 20)
        #expect(json["m5"]?.int64 == 45)
        #expect(json["m15"]?.int64 == 35)
    }

    @Test("names and texts that only look the same are different")
    func exact() throws {
        let json = try JSONReader.read(#"{"\u00e9":1,"e\u0301":2}"#)
        #expect(json.object?.count == 2)
        #expect(try JSONReader.read(#""\u00e9""#) != JSONReader.read(#""e\u0301""#))
    }

    @Test(
        "whole numbers of 64 bits are exact, however they are written",
        arguments: [
            ("9223372036854775807", Int64.max), ("-9223372036854775808", .min), ("1.0", 1), ("100e-2", 1),
            ("1e18", 1_000_000_000_000_000_000), ("-0", 0),
            ("0e999999999999999999999", 0), ("1200.00e-2", 12), ("9223372036854775808", nil), ("1.5", nil), ("1e19", nil), ("1e999", nil),
            ("1e-99999999999999999999", nil),
        ] as [(String, Int64?)])
    func integers(text: String, value: Int64?) throws {
        guard case .number(let number) = try JSONReader.read(text) else { return #expect(Bool(false)) }
        #expect(number.int64 == value)
    }

    @Test("multiples are exact in decimal")
    func multiples() {
        func number(_ text: String) -> JSONNumber { JSONNumber(text: text) }
        #expect(number("0.3").isMultiple(of: number("0.1")))
        #expect(number("19.99").isMultiple(of: number("0.01")))
        #expect(!number("0.35").isMultiple(of: number("0.1")))
        #expect(number("1e300").isMultiple(of: number("2")))
        #expect(number("0").isMultiple(of: number("7")))
    }

    @Test("whatever the bytes, reading ends with a document or a fault")
    func anything() {
        var dice = Dice(state: 1)
        let pieces = ["{", "}", "[", "]", ",", ":", "\"", "\\u", "d800", "1", "-", "e", ".", "true", "null", " ", "\\", "é", "\u{0}"]
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0..<30, using: &dice) {
                if Int.random(in: 0..<8, using: &dice) == 0 {
                    bytes.append(.random(in: 0...255, using: &dice))
                } else {
                    bytes += pieces.randomElement(using: &dice)!.utf8
                }
            }
            if let json = try? read(bytes) { #expect((try? JSONReader.read(JSONWriter.text(json))) == json) }
        }
    }
}
