import Foundation
import Testing

@testable import Security

@Suite struct JWTJSONTests {
    @Test("values of every kind")
    func values() throws {
        let text =
            #" { "a" : [ 1 , -2, 0, 1.5, 1e2, -0, 9223372036854775807, 9223372036854775808 ], "b":{"c":null,"d":true,"e":false}, "f":"" } "#
        let value = try JSONReader.read(text.utf8)
        #expect(
            value["a"]
                == .array([
                    .integer(1), .integer(-2), .integer(0), .number(1.5), .number(100), .number(-0.0), .integer(.max),
                    .number(9_223_372_036_854_775_808),
                ]))
        #expect(value["b"] == .object(["c": .null, "d": .bool(true), "e": .bool(false)]) && value["f"] == .string(""))
        #expect(value["x"] == nil && value["a"]?["b"] == nil)
    }

    @Test("escapes, surrogate pairs and UTF-8")
    func strings() throws {
        #expect(try JSONReader.read(#""\"\\\/\b\f\n\r\tä\u00e4\uD83D\uDE00\u0000é""#.utf8) == .string("\"\\/\u{8}\u{C}\n\r\tää😀\0é"))
    }

    @Test(
        "what isn't JSON is refused",
        arguments: [
            "", " ", "{", "}", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{1:1}",
            "nul", "nulll", "True", "01", "-", "-01", "+1", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "1 1", "\"", "\"a",
            "\"\\x\"",
            "\"\\u12\"", "\"\\u12g4\"", "\"\\uD83D\"", "\"\\uDE00\"", "\"\\uD83D\\u0041\"", "\"\\uD83Dx\"", "\"\n\"", "\"\t\"", "\u{FEFF}1",
            "[1]x", "//\n1", "/**/1", "\"\\u+123\"", "\"\\u 123\"", "{\"a\":1 \"b\":2}", "[1]]", "tru", "-Infinity",
        ])
    func malformed(text: String) { #expect(throws: JSONFault.malformed) { try JSONReader.read(text.utf8) } }

    @Test(
        "bytes that aren't UTF-8 are refused",
        arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xC3], [0xF5, 0x80, 0x80, 0x80]] as [[UInt8]])
    func notUTF8(bytes: [UInt8]) { #expect(throws: JSONFault.malformed) { try JSONReader.read([0x22] + bytes + [0x22]) } }

    @Test("a name twice in an object is refused, however it is spelled")
    func duplicates() throws {
        for text in [#"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, #"{"x":{"b":1,"c":2,"b":3}}"#] {
            #expect(throws: JSONFault.duplicateName) { try JSONReader.read(text.utf8) }
        }
        #expect(throws: Never.self) { try JSONReader.read(#"{"a":{"a":1},"b":{"a":1}}"#.utf8) }
    }

    @Test("depth, number of values and length of numbers are bounded")
    func bounds() {
        func nested(_ depth: Int) -> [UInt8] { Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8) }
        #expect(throws: Never.self) { try JSONReader.read(nested(16)) }
        #expect(throws: JSONFault.tooLarge) { try JSONReader.read(nested(17)) }
        #expect(throws: JSONFault.tooLarge) { try JSONReader.read([UInt8](repeating: UInt8(ascii: "["), count: 1 << 20)) }
        #expect(throws: JSONFault.tooLarge) { try JSONReader.read("[\(String(repeating: "1,", count: 100_000))1]".utf8) }
        #expect(throws: JSONFault.tooLarge) { try JSONReader.read(String(repeating: "1", count: 10_000).utf8) }
        #expect(throws: JSONFault.tooLarge) { try JSONReader.read("1e999".utf8) }
    }

    @Test("what is taken, Foundation takes as well, for damaged texts of all sorts")
    func differential() {
        let seed = Array(#"{"alg":"RS256","kid":"a\u0041\"x","n":[1,-2.5e3,true,false,null,{"deep":[[]]}],"s":"ä😀"}"#.utf8)
        let alphabet = Array(#"{}[]:,"\u0eE+-.tfn 1x"#.utf8)
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...3) {
                let at = Int.random(in: 0..<bytes.count)
                switch Int.random(in: 0..<3) {
                case 0: bytes[at] = alphabet.randomElement()!
                case 1: bytes.remove(at: at)
                default: bytes.insert(alphabet.randomElement()!, at: at)
                }
            }
            let ours = (try? JSONReader.read(bytes)) != nil
            let theirs = (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
            #expect(!ours || theirs, "\(String(decoding: bytes, as: UTF8.self))")
        }
    }
}
