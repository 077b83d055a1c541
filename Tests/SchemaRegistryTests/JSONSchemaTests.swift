import Encodings
import Testing

@testable import SchemaRegistry

@Suite struct JSONSchemaTests {
    func fault(_ schema: String, _ document: String, references: [String: String] = [:]) -> SchemaFailure? {
        failure { () throws(SchemaFailure) in
            let parsed = try JSONSchemaParser.parse(schema, references: references)
            let json: JSONValue
            do throws(JSONFault) { json = try JSONReader.read(document) } catch { throw .misconfigured("\(error)") }
            try JSONSchemaCheck.check(json, parsed)
        }
    }

    @Test("Python's jsonschema judges the same", .enabled(if: ForeignCases.areThere), arguments: ["1", "2", "3"])
    func foreign(seed: String) throws {
        let cases = try ForeignCases.lines("json_schema_cases", seed, "400")
        #expect(cases.count == 400)
        var verdicts = [true: 0, false: 0]
        for one in cases {
            let schema = try #require(one["schema"]?.string)
            for (document, verdict) in zip(one["documents"]?.array ?? [], one["verdicts"]?.array ?? []) {
                let fault = fault(schema, try #require(document.string))
                if case .misconfigured(let text)? = fault { Issue.record("\(text): \(schema)") }
                let isValid = verdict == .bool(true)
                verdicts[isValid, default: 0] += 1
                #expect((fault == nil) == isValid, "\(schema) \(document) \(fault?.description ?? "valid")")
            }
        }
        // Both kinds, in numbers: else the comparison says nothing.
        #expect(verdicts.values.allSatisfy { $0 > 200 }, "\(verdicts)")
    }

    @Test(
        "a fault names the place",
        arguments: [
            (#"{"properties":{"a":{"items":{"type":"integer"}}}}"#, #"{"a":[1,"x"]}"#, "$.a[1]: expected integer, found string"),
            (#"{"required":["a"]}"#, "{}", "$: a is missing"),
            (#"{"additionalProperties":false}"#, #"{"b":1}"#, "$.b: the schema has no such member"),
            (#"{"properties":{"a":{"anyOf":[{"type":"null"},{"minimum":3}]}}}"#, #"{"a":2}"#, "$.a: it fits none of 2 alternatives"),
            (#"{"maximum":3}"#, "4", "$: above 3"), (#"{"pattern":"^a+$"}"#, #""ab""#, "$: it doesn't match ^a+$"),
            (#"{"const":"\u00e9"}"#, #""e\u0301""#, "$: not one of the 1 values that are allowed"),
        ])
    func places(schema: String, document: String, text: String) { #expect(fault(schema, document) == .invalid(text)) }

    @Test("references lead into the schema, by pointer and by name, and into the registry's references")
    func references() {
        let tree = ##"""
            {"$id":"http://x/tree.json",
             "properties":{"next":{"$ref":"#"},"v":{"$ref":"#/definitions/a~1b%25"},"n":{"$ref":"#named"}},
             "definitions":{"a/b%":{"type":"integer"},"q":{"$id":"#named","type":"null"}}}
            """##
        #expect(fault(tree, #"{"next":{"next":{"v":1,"n":null}}}"#) == nil)
        #expect(fault(tree, #"{"next":{"next":{"v":"x"}}}"#) == .invalid("$.next.next.v: expected integer, found string"))
        #expect(fault(tree, #"{"n":1}"#) == .invalid("$.n: expected null, found integer"))
        let others = ["unit.json": ##"{"definitions":{"u":{"enum":["C"]}},"properties":{"u":{"$ref":"#/definitions/u"}}}"##]
        let outer = #"{"$id":"http://x/outer.json","properties":{"a":{"$ref":"unit.json"},"b":{"$ref":"unit.json#/definitions/u"}}}"#
        #expect(fault(outer, #"{"a":{"u":"C"},"b":"C"}"#, references: others) == nil)
        #expect(fault(outer, #"{"a":{"u":"F"}}"#, references: others) != nil)
        for missing in [##"{"$ref":"#/nothing"}"##, ##"{"$ref":"#nothing"}"##, #"{"$ref":"nothing.json"}"#] {
            guard case .misconfigured? = fault(missing, "1") else {
                Issue.record("taken: \(missing)")
                continue
            }
        }
    }

    @Test("draft 4's flags and draft 2020's names are understood")
    func drafts() {
        #expect(fault(#"{"minimum":3,"exclusiveMinimum":true}"#, "3") != nil)
        #expect(fault(#"{"minimum":3,"exclusiveMinimum":false}"#, "3") == nil)
        #expect(fault(#"{"prefixItems":[{"type":"null"}],"items":{"type":"integer"}}"#, "[null,1]") == nil)
        #expect(fault(#"{"dependentRequired":{"a":["b"]}}"#, #"{"a":1}"#) != nil)
        let beside = ##""$ref":"#/$defs/i","minimum":3,"$defs":{"i":{"type":"integer"}}}"##
        #expect(fault(#"{"$schema":"https://json-schema.org/draft/2020-12/schema","# + beside, "2") != nil)
        #expect(fault("{" + beside, "2") == nil)
    }

    @Test("circles, and alternatives within alternatives, cost a bounded time and stack")
    func bombs() {
        #expect(fault(##"{"$ref":"#"}"##, "1") != nil)
        #expect(fault(##"{"allOf":[{"$ref":"#"}]}"##, "1") != nil)
        let doubling =
            ##"{"anyOf":[{"not":{"items":{"$ref":"#"}}},{"not":{"items":{"$ref":"#"}}},{"type":"array","items":{"$ref":"#"}},{"type":"null"}]}"##
        _ = fault(doubling, String(repeating: "[", count: 60) + "1" + String(repeating: "]", count: 60))
        #expect(fault(#"{"pattern":"^(a|a)*(a|a)*(a|a)*b$"}"#, "\"" + String(repeating: "a", count: 20_000) + "\"") != nil)
    }

    @Test(
        "a pattern finds what ECMA's does",
        arguments: [
            ("a.c", "xabcx", true), ("^a", "ba", false), ("a$", "ab", false), ("^(ab|c)+$", "abcab", true), ("^[^a-c]*$", "xyz", true),
            ("^[^a-c]*$", "xbz", false),
            ("^\\d{3}-\\d{2,}$", "123-4567", true), ("^\\d{3}-\\d{2,}$", "123-4", false), ("^x{0,2}$", "xxx", false),
            ("\\bfoo\\b", "a foo b", true),
            ("\\bfoo\\b", "afoob", false), ("^\\u00e9\\x41\\u{1F600}$", "éA😀", true), ("^(?:a|b)?c$", "bc", true),
            ("^(?<n>a)b$", "ab", true), ("^a{,2}$", "a{,2}", true),
            ("^[]a]", "a", false), ("[\\w-]+@x\\.de", "a-b@x.de", true), ("^$", "", true), ("^$", "a", false), ("", "anything", true),
            (".", "\n", false),
            ("^a*?b+?$", "aab", true), ("^[\\]]$", "]", true), ("\\S", " \t", false),
        ])
    func patterns(pattern: String, text: String, isThere: Bool) throws {
        var steps = 10_000
        #expect(try BoundedPattern(pattern).isFound(in: text, steps: &steps) == isThere)
    }

    @Test(
        "a pattern that needs memory, or makes no sense, is refused",
        arguments: [
            "(a)\\1", "(?=a)", "(?!a)", "(?<=a)", "\\p{L}", "(", ")", "[", "a**", "*", "a{3,2}", "a{1001}", "(a{100}){100}", "\\",
            "(((){1000}){1000}){1000}",
            String(repeating: "(", count: 100_000), "[z-a]", "\\q",
        ])
    func refused(pattern: String) { #expect(throws: BoundedPattern.Fault.self) { try BoundedPattern(pattern) } }

    @Test("whatever the pattern, it is compiled or refused, and a search ends")
    func anything() {
        var dice = Dice(state: 4)
        let pieces = [
            "a", "b", "(", ")", "[", "]", "*", "+", "?", "{2}", "{1,}", "|", "^", "$", ".", "\\d", "\\b", "-", "(?:", "é", "\\", "{",
        ]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0..<12, using: &dice)).map { _ in pieces.randomElement(using: &dice)! }.joined()
            guard let pattern = try? BoundedPattern(text) else { continue }
            var steps = 5_000
            _ = pattern.isFound(in: "aabé-a", steps: &steps)
        }
    }
}
