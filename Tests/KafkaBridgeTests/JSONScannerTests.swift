import Foundation
import Testing

@testable import KafkaBridge

@Suite("Values out of JSON payloads")
struct JSONScannerTests {
    private static func values(_ payload: [UInt8], _ paths: [PayloadPath]) -> PayloadValues {
        payload.withUnsafeBytes { PayloadValues(of: $0, at: PayloadTree(paths)) }
    }

    private static func value(_ payload: String, _ path: String) throws -> String? {
        let path = try PayloadPath(path)
        return values(Array(payload.utf8), [path])[path].map { String(decoding: $0, as: UTF8.self) }
    }

    private static func isJSON(_ payload: [UInt8]) -> Bool { values(payload, []).isJSON }

    @Test(
        "a path finds texts unescaped, numbers as written, true and false",
        arguments: [
            (#"{"a":{"b":"x"}}"#, "payload.a.b", "x"), (#"{"items":[{"id":7},{"id":8}]}"#, "payload.items[1].id", "8"), ("[1,[2,3]]", "payload[1][0]", "2"),
            (#"{"odd key":1}"#, #"payload["odd key"]"#, "1"), (#"{"a.b":1,"a":{"b":2}}"#, #"payload["a.b"]"#, "1"), (#"{"q\"\\":1}"#, #"payload["q\"\\"]"#, "1"),
            (#"{"a":-0.50E+07}"#, "payload.a", "-0.50E+07"), (#"{"a":true}"#, "payload.a", "true"), (#"{"a":false}"#, "payload.a", "false"),
            (#"{"a":"\u0041\n\t\"\\\/\b\f\r"}"#, "payload.a", "A\n\t\"\\/\u{8}\u{c}\r"), (#"{"a":"\uD83D\ude00ü"}"#, "payload.a", "😀ü"),
            (#"{"\u0061":1}"#, "payload.a", "1"), (" {\r\n\t\"a\" : [ 1 , 2 ] } ", "payload.a[1]", "2"), (#"{"ü":1}"#, "payload.ü", "1"),
            (#"{"":{"a":1}}"#, #"payload[""].a"#, "1"),
        ])
    func found(payload: String, path: String, value: String) throws {
        #expect(try Self.value(payload, path) == value)
    }

    @Test(
        "null, objects, arrays, half a surrogate pair and what is not there are no values",
        arguments: [
            #"{"a":null}"#, #"{"a":{}}"#, #"{"a":[1]}"#, #"{"b":1}"#, "{}", "[]", "1", #"{"a":"\ud800"}"#, #"{"a":"\udc00"}"#, #"{"a":"\ud800\u0041"}"#,
            #"{"a":"\ud800x"}"#, #"{"A":1}"#, #"{"x":{"a":1}}"#, #"[{"a":1}]"#,
        ])
    func absent(payload: String) throws {
        #expect(Self.isJSON(Array(payload.utf8)))
        #expect(try Self.value(payload, "payload.a") == nil)
    }

    @Test("names that are equal to a reader of Unicode but not byte for byte are different names")
    func exactNames() throws {
        #expect(try Self.value("{\"e\u{301}\":1}", "payload.\u{e9}") == nil)
    }

    @Test("of a name that comes twice the last counts, with all that is in it")
    func duplicates() throws {
        #expect(try Self.value(#"{"a":1,"a":2}"#, "payload.a") == "2")
        #expect(try Self.value(#"{"a":1,"a":null}"#, "payload.a") == nil)
        #expect(try Self.value(#"{"a":{"b":1},"a":{"c":2}}"#, "payload.a.b") == nil)
        #expect(try Self.value(#"{"a":{"b":[{"c":1}]},"\u0061":7}"#, "payload.a.b[0].c") == nil)
    }

    @Test("one pass finds all paths of a route, also such as lie within each other")
    func several() throws {
        let paths = try ["payload.a", "payload.a.b", "payload.a[0]", "payload.c", #"payload["a"].b"#].map { try PayloadPath($0) }
        let object = Self.values(Array(#"{"a":{"b":1},"c":"x"}"#.utf8), paths)
        #expect(paths.map { object[$0] } == [nil, Array("1".utf8), nil, Array("x".utf8), Array("1".utf8)])
        let array = Self.values(Array(#"{"a":[5]}"#.utf8), paths)
        #expect(paths.map { array[$0] } == [nil, nil, Array("5".utf8), nil, nil])
        #expect(array[try PayloadPath("payload.other")] == nil)
    }

    @Test(
        "what RFC 8259 does not allow is no JSON, and gives no value though it stood before the fault",
        arguments: [
            "", " ", "{", "}", "[", "]", "{]", "[1,]", "[,1]", "[1 2]", #"{"a":1,}"#, #"{"a" 1}"#, #"{"a":}"#, "{a:1}", "{'a':1}", #"{"a":1}}"#, #"{"a":1} x"#,
            #"{"a":1}{"a":2}"#, "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "tru", "truex", "nul", "True", #"""#, #""a"#,
            #""\x""#, #""\u12"#, #""\u12g4""#, #""\"#, "\"\n\"", "\"\u{0}\"", "/* c */ 1", "1 // c", "\u{FEFF}1", "\u{A0}1", "1\u{0}", #"{"a":1,1:2}"#, #"{null:1}"#,
        ])
    func invalid(payload: String) throws {
        #expect(!Self.isJSON(Array(payload.utf8)))
        #expect(try Self.value(#"{"a":1,"b":"# + payload + "}", "payload.a") == nil || Self.isJSON(Array((#"{"a":1,"b":"# + payload + "}").utf8)))
    }

    @Test("a fault behind a value takes the value back")
    func faultBehind() throws {
        #expect(try Self.value(#"{"a":1,"b":[}"#, "payload.a") == nil)
    }

    @Test(
        "invalid UTF-8 is no JSON",
        arguments: [[0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0x80]] as [[UInt8]])
    func invalidUTF8(bytes: [UInt8]) {
        #expect(!Self.isJSON([UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")]))
        #expect(!Self.isJSON(Array(#"{""#.utf8) + bytes + Array(#"":1}"#.utf8)))
        #expect(!Self.isJSON(bytes))
    }

    @Test("64 containers deep is JSON, 65 is not, and a million does not end the process")
    func depth() {
        func nested(_ depth: Int, _ open: String, _ close: String) -> [UInt8] {
            Array((String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)).utf8)
        }
        #expect(Self.isJSON(nested(64, "[", "]")) && !Self.isJSON(nested(65, "[", "]")) && !Self.isJSON(nested(1_000_000, "[", "]")))
        #expect(Self.isJSON(nested(64, #"{"a":"#, "}")) && !Self.isJSON(nested(65, #"{"a":"#, "}")))
        #expect(!Self.isJSON(Array(repeating: UInt8(ascii: "["), count: 1_000_000)))
    }

    @Test("a path longer than the deepest payload is refused, since it could find nothing")
    func longPath() throws {
        _ = try PayloadPath("payload" + String(repeating: ".a", count: 64))
        #expect(throws: TemplateError.self) { try PayloadPath("payload" + String(repeating: ".a", count: 65)) }
    }

    @Test("every prefix of a payload is read without a trap, and none but the whole is JSON")
    func prefixes() throws {
        let payload = Array(#"{"a":{"b":[1.5e3,"\ud83d\ude00ü",true,null]},"c":"\\"}"#.utf8)
        let path = try PayloadPath("payload.a.b[1]")
        for count in 0..<payload.count { #expect(!Self.values(Array(payload.prefix(count)), [path]).isJSON) }
        #expect(Self.values(payload, [path])[path] == Array("😀ü".utf8))
    }

    @Test("random damage never traps, and the verdict is that of Foundation's reader, but for the trailing commas that it lets pass")
    func damaged() throws {
        var random = SplitMix(state: 7)
        let seed = Array(#"{"a":{"b":[1.5,-20,"x\n\"y",true,null,false]},"c":"\\","d":[],"e":{}}"#.utf8)
        let alphabet = Array(#"{}[]:,"\ 0123.-truefalsn"#.utf8)
        let paths = try ["payload.a.b[2]", "payload.c", "payload.d[0]", "payload.e.f"].map { try PayloadPath($0) }
        var sound = 0
        for _ in 0..<20_000 {
            var payload = seed
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                let place = Int.random(in: 0..<payload.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: payload[place] = alphabet.randomElement(using: &random) ?? 0
                case 1: payload.remove(at: place)
                default: payload.insert(alphabet.randomElement(using: &random) ?? 0, at: place)
                }
            }
            let verdict = Self.values(payload, paths).isJSON
            if verdict { sound += 1 }
            let isObject = (try? JSONSerialization.jsonObject(with: Data(payload), options: .fragmentsAllowed)) != nil
            let text = String(decoding: payload, as: UTF8.self).filter { $0 != " " }
            #expect(verdict == isObject || isObject && (text.contains(",}") || text.contains(",]")), "\(String(decoding: payload, as: UTF8.self))")
        }
        #expect(sound > 500)
    }

    @Test("random bytes never trap")
    func randomBytes() throws {
        var random = SplitMix(state: 11)
        let path = try PayloadPath("payload.a")
        let marks = Array(#"{"a":"\u"#.utf8)
        for _ in 0..<20_000 {
            let payload = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                Bool.random(using: &random) ? marks.randomElement(using: &random) ?? 0 : UInt8.random(in: 0...255, using: &random)
            }
            _ = Self.values(payload, [path])[path]
        }
    }
}

/// The same numbers in each run, so that a find can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
