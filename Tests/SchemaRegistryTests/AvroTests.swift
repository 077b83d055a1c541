import Encodings
import Testing

@testable import SchemaRegistry

@Suite struct AvroTests {
    static let reading = #"""
        {"type":"record","name":"Reading","namespace":"com.example","fields":[
          {"name":"sensor","type":"string"},
          {"name":"reading","type":{"type":"record","name":"Values","fields":[
            {"name":"temp","type":"double"},
            {"name":"count","type":"int","default":7},
            {"name":"note","type":["null","string"],"default":null}]}},
          {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
          {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]},"default":"B"},
          {"name":"raw","type":["null","bytes",{"type":"array","items":"int"}],"default":null}]}
        """#

    func encode(_ schema: String, _ document: String) throws(SchemaFailure) -> [UInt8] {
        let json: JSONValue
        do throws(JSONFault) { json = try JSONReader.read(document) } catch { throw .invalid("\(error)") }
        return try AvroCodec(try AvroSchemaParser.parse(schema)).encode(json)
    }
    func fault(_ schema: String, _ document: String) -> SchemaFailure? {
        failure { () throws(SchemaFailure) in _ = try encode(schema, document) }
    }

    @Test("a document becomes the bytes that the specification says")
    func golden() throws {
        let bytes = try encode(Self.reading, #"{"sensor":"foo","reading":{"temp":1.5},"at":-1,"raw":"\u0001\u00ff"}"#)
        #expect(bytes == [6, 0x66, 0x6F, 0x6F] + [0, 0, 0, 0, 0, 0, 0xF8, 0x3F] + [14, 0, 1, 2, 2, 4, 1, 0xFF])
        #expect(try encode(#"{"type":"map","values":"long"}"#, #"{"a":1,"b":-64}"#) == [4, 2, 0x61, 2, 2, 0x62, 0x7F, 0])
        #expect(try encode(#""null""#, "null") == [])
        #expect(try encode("string", #""\u0000""#) == [2, 0])
    }

    @Test(
        "a fault names the place and both types",
        arguments: [
            (#"{"sensor":"x","reading":{"temp":"hot"},"at":1}"#, "$.reading.temp: expected double, found string"),
            (
                #"{"sensor":"x","reading":{"temp":1,"count":2147483648},"at":1}"#,
                "$.reading.count: expected int, found a number that 32 bits don't hold"
            ),
            (
                #"{"sensor":"x","reading":{"temp":1},"at":9223372036854775808}"#,
                "$.at: expected long, found a number that 64 bits don't hold"
            ),
            (#"{"sensor":"x","reading":{"temp":1e999},"at":1}"#, "$.reading.temp: expected double, found a number beyond its range"),
            (#"{"sensor":"x","reading":{"temp":1,"note":5},"at":1}"#, "$.reading.note: expected string, found integer"),
            (#"{"sensor":"x","reading":{"temp":1},"at":1,"kind":"C"}"#, "$.kind: com.example.Kind has no such symbol"),
            (
                #"{"sensor":"x","reading":{"temp":1},"at":1,"raw":"漢"}"#,
                "$.raw: expected one of null, bytes, array, found string that fits none"
            ),
            (#"{"sensor":"x","reading":{"temp":1},"at":1,"raw":{"array":[1,"x"]}}"#, "$.raw.array[1]: expected int, found string"),
            (#"{"sensor":"x","at":1}"#, "$.reading: missing, and has no default"),
            (#"{"sensor":"x","reading":{"temp":1},"at":1,"more ":1}"#, "$[\"more \"]: com.example.Reading has no such field"),
            ("[]", "$: expected com.example.Reading, found array"),
        ])
    func faults(document: String, text: String) { #expect(fault(Self.reading, document) == .invalid(text)) }

    @Test("a branch is named where more than one fits, and need not be where one does")
    func unions() throws {
        let numbers = #"["null","int","double","string"]"#
        #expect(try encode(numbers, "null") == [0])
        #expect(try encode(numbers, #""x""#) == [6, 2, 0x78])
        #expect(try encode(numbers, "1.5").first == 4)
        #expect(fault(numbers, "5") == .invalid("$: it could be int, double: write {\"int\": …}"))
        #expect(try encode(numbers, #"{"int":5}"#) == [2, 10])
        #expect(try encode(numbers, #"{"double":5}"#).first == 4)
        let records = #"""
            [{"type":"record","name":"a.One","fields":[{"name":"x","type":"int"}]},{"type":"record","name":"a.Two","fields":[{"name":"y","type":"int"}]}]
            """#
        #expect(try encode(records, #"{"y":1}"#) == [2, 2])
        #expect(try encode(records, #"{"a.Two":{"y":1}}"#) == [2, 2])
        #expect(try encode(records, #"{"Two":{"y":1}}"#) == [2, 2])
        #expect(fault(records, #"{"a.Two":{"x":1}}"#) == .invalid("$[\"a.Two\"].x: a.Two has no such field"))
    }

    @Test("a record may contain itself, and names find their namespace")
    func recursion() throws {
        let list =
            #"{"type":"record","name":"n.Node","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","Node"],"default":null}]}"#
        #expect(try encode(list, #"{"v":1,"next":{"v":2,"next":{"v":3}}}"#) == [2, 2, 4, 2, 6, 0])
    }

    @Test("a schema finds the names of its references")
    func references() throws {
        let schema = try AvroSchemaParser.parse(
            #"{"type":"record","name":"a.Outer","fields":[{"name":"x","type":"b.Inner"},{"name":"y","type":"b.Inner"}]}"#,
            references: [
                "b.Inner": #"{"type":"record","name":"Inner","namespace":"b","fields":[{"name":"k","type":"c.Kind"}]}"#,
                "c.Kind": #"{"type":"enum","name":"Kind","namespace":"c","symbols":["P","Q"]}"#,
            ])
        #expect(try AvroCodec(schema).encode(try JSONReader.read(#"{"x":{"k":"Q"},"y":{"k":"P"}}"#)) == [2, 0])
    }

    @Test(
        "a schema that is none, or whose plainest value has no end, is refused",
        arguments: [
            "{", "5", #""wrong""#, #"{"type":"record","name":"A","fields":[]}"#, #"{"type":"record","fields":[{"name":"x","type":"int"}]}"#,
            "[]",
            #"["int","int"]"#, #"["int",["null"]]"#, #"{"type":"enum","name":"E","symbols":["a","a"]}"#,
            #"{"type":"fixed","name":"F","size":-1}"#,
            #"{"type":"fixed","name":"F","size":99999999999}"#, #"{"type":"array"}"#, #"{"type":"map"}"#,
            #"{"type":"enum","name":"int","symbols":["a"]}"#,
            #"{"type":"record","name":"A","fields":[{"name":"a","type":"A"}]}"#,
            #"{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"x","type":"int"}]}"#,
            #"{"type":"record","name":"A","fields":[{"name":"b","type":{"type":"record","name":"B","fields":[{"name":"a","type":"A"}]}}]}"#,
        ])
    func schemas(text: String) {
        guard case .misconfigured? = failure({ () throws(SchemaFailure) in _ = try AvroSchemaParser.parse(text) }) else {
            Issue.record("taken: \(text)")
            return
        }
    }

    @Test("records that double with each level, and defaults that call each other, cost a bounded time")
    func bombs() {
        var inner = #""int""#
        for level in 0..<25 {
            inner =
                #"{"type":"record","name":"R\#(level)","fields":[{"name":"a","type":\#(inner)},{"name":"b","type":"\#(level == 0 ? "int" : "R\(level - 1)")"}]}"#
        }
        guard case .misconfigured? = failure({ () throws(SchemaFailure) in _ = try AvroSchemaParser.parse(inner) }) else {
            Issue.record("taken")
            return
        }
        let tree = #"""
            {"type":"record","name":"T","fields":[{"name":"a","type":["T","null"],"default":{}},{"name":"b","type":["T","null"],"default":{}}]}
            """#
        guard case .misconfigured? = fault(tree, "{}") else {
            Issue.record("endless")
            return
        }
    }

    @Test("the library of Apache writes the same bytes", .enabled(if: ForeignCases.areThere), arguments: ["1", "2", "3"])
    func foreign(seed: String) throws {
        let cases = try ForeignCases.lines("avro_cases", seed, "300")
        #expect(cases.count == 300)
        for one in cases {
            let schema = try #require(one["schema"]?.string)
            let document = try #require(one["document"]?.string)
            let expected = try #require(one["bytes"]?.string.flatMap({ Base64.decode($0.utf8, .standard) }))
            do throws(SchemaFailure) {
                let bytes = try encode(schema, document)
                #expect(bytes == expected, "\(schema) \(document)")
            } catch { Issue.record("\(error): \(schema) \(document)") }
            // And its bytes are a value of the schema, none of which can be missing.
            let parsed = try AvroSchemaParser.parse(schema)
            #expect(expected.check { bytes throws(SchemaFailure) in try AvroBinaryCheck.check(bytes, parsed) } == nil, "\(schema)")
            if !expected.isEmpty {
                #expect(
                    Array(expected.dropLast()).check { bytes throws(SchemaFailure) in try AvroBinaryCheck.check(bytes, parsed) } != nil,
                    "\(schema)")
            }
        }
    }

    @Test("whatever the bytes, checking them ends, and claims of billions cost nothing")
    func anything() throws {
        let schema = try AvroSchemaParser.parse(Self.reading)
        let nulls = try AvroSchemaParser.parse(#"{"type":"array","items":"null"}"#)
        let billions: [UInt8] = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0]
        #expect(billions.check { bytes throws(SchemaFailure) in try AvroBinaryCheck.check(bytes, nulls) } != nil)
        #expect(([0x80, 0x80, 0x80, 1] as [UInt8]).check { bytes throws(SchemaFailure) in try AvroBinaryCheck.check(bytes, nulls) } != nil)
        var dice = Dice(state: 2)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<40, using: &dice)).map { _ in
                UInt8.random(in: 0...255, using: &dice) >> UInt8.random(in: 0...7, using: &dice)
            }
            _ = bytes.check { bytes throws(SchemaFailure) in try AvroBinaryCheck.check(bytes, schema) }
        }
    }

    @Test("documents of every shape are converted or refused")
    func documents() throws {
        let codec = try AvroCodec(try AvroSchemaParser.parse(Self.reading))
        var dice = Dice(state: 3)
        let pieces = [
            "1", "-5", "2.5", "1e400", #""x""#, #""漢""#, "null", "true", "[]", "[1]", "{}", #"{"array":[1]}"#, #"{"bytes":"a"}"#,
            #"{"temp":1}"#,
        ]
        let names = ["sensor", "reading", "at", "kind", "raw", "other"]
        for _ in 0..<5_000 {
            let members = names.filter { _ in Bool.random(using: &dice) }.map { "\"\($0)\":\(pieces.randomElement(using: &dice)!)" }
            let json = try JSONReader.read("{\(members.joined(separator: ","))}")
            do throws(SchemaFailure) {
                let bytes = try codec.encode(json)
                #expect(bytes.check { bytes throws(SchemaFailure) in try AvroBinaryCheck.check(bytes, codec.schema) } == nil)
            } catch { #expect(error.description.hasPrefix("$"), "\(error)") }
        }
    }
}
