import Encodings
import Foundation
import Synchronization
import Testing

@testable import SchemaRegistry

@Suite struct SchemaEncoderTests {
    static let reading =
        #"{"type":"record","name":"Reading","fields":[{"name":"temp","type":"double"},{"name":"n","type":"int","default":0}]}"#

    func encode(_ encoder: SchemaEncoder, _ payload: [UInt8], topic: String = "t") throws(SchemaFailure) -> EncodedPayload {
        let result = payload.withUnsafeBytes { bytes in
            Result { () throws(SchemaFailure) in try encoder.encode(payload: bytes, topic: topic) }
        }
        return try result.get()
    }
    func fault(_ encoder: SchemaEncoder, _ payload: [UInt8], topic: String = "t") -> SchemaFailure? {
        failure { () throws(SchemaFailure) in _ = try encode(encoder, payload, topic: topic) }
    }
    func verdict(_ encoder: SchemaEncoder, _ payload: [UInt8]) -> SchemaVerdict {
        payload.withUnsafeBytes { encoder.verdictIfCached(payload: $0, topic: "t") }
    }

    @Test("strategies name subjects as Confluent's do")
    func subjects() {
        #expect(SubjectStrategy.topicName.subject(topic: "t") == "t-value")
        #expect(SubjectStrategy.recordName("a.B").subject(topic: "t") == "a.B")
        #expect(SubjectStrategy.topicRecordName("a.B").subject(topic: "t") == "t-a.B")
        #expect(SubjectStrategy.fixed("s").subject(topic: "t") == "s")
    }

    @Test("JSON becomes Avro behind a zero and the schema's id, and the verdict is known from then on")
    func converted() async throws {
        let registry = try await DevelopmentRegistry.start()
        for other in 0..<300 { registry.register(subject: "o", format: .json, text: "{\"minimum\":\(other)}") }
        let id = registry.register(subject: "t-value", format: .avro, text: Self.reading)
        let encoder = try SchemaEncoder(rule: .init(format: .avro, mode: .convert), client: try SchemaRegistryClient(options(registry.url)))
        let document = Array(#"{"temp":1.5}"#.utf8)
        #expect(verdict(encoder, document) == .unknown)
        let bytes: [UInt8] = [0, 0, 0, 1, 45, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0]
        #expect(try encode(encoder, document) == EncodedPayload(bytes: bytes, schemaID: id, subject: "t-value"))
        #expect(verdict(encoder, document) == .valid)
        #expect(verdict(encoder, Array(#"{"temp":"x"}"#.utf8)) == .invalid("$.temp: expected double, found string"))
        #expect(fault(encoder, Array("{".utf8)) == .invalid("no JSON at byte 1: expected a member's name"))
        guard case .misconfigured? = fault(encoder, document, topic: "other") else {
            Issue.record("found")
            return
        }
        await registry.stop()
        #expect(try encode(encoder, document).bytes == bytes)
    }

    @Test("JSON is checked and framed, with the references of its schema")
    func json() async throws {
        let registry = try await DevelopmentRegistry.start()
        registry.register(subject: "unit", format: .json, text: #"{"enum":["C","F"]}"#)
        let id = registry.register(
            subject: "s", format: .json, text: #"{"properties":{"unit":{"$ref":"unit.json"}}}"#,
            references: [.init(name: "unit.json", subject: "unit", version: 1)])
        let encoder = try SchemaEncoder(
            rule: .init(format: .json, mode: .validate, subject: .fixed("s"), version: .number(1)),
            client: try SchemaRegistryClient(options(registry.url)))
        let document = Array(#"{"unit" : "C"}"#.utf8)
        #expect(try encode(encoder, document).bytes == [0, 0, 0, 0, UInt8(id)] + document)
        #expect(fault(encoder, Array(#"{"unit":"K"}"#.utf8)) == .invalid("$.unit: not one of the 2 values that are allowed"))
        await registry.stop()
    }

    @Test("Avro and protobuf payloads are checked and framed; protobuf says which message it is")
    func binary() async throws {
        let registry = try await DevelopmentRegistry.start()
        registry.register(subject: "avro", format: .avro, text: Self.reading)
        // `message M { … }` of ProtobufTests.
        registry.register(subject: "protobuf", format: .protobuf, text: Base64Text.encoded(ProtobufTests.small))
        let client = try SchemaRegistryClient(options(registry.url))
        let avro = try SchemaEncoder(rule: .init(format: .avro, mode: .validate, subject: .fixed("avro")), client: client)
        #expect(try encode(avro, [0, 0, 0, 0, 0, 0, 0, 0, 2]).bytes == [0, 0, 0, 0, 1] + [0, 0, 0, 0, 0, 0, 0, 0, 2])
        #expect(fault(avro, [0]) != nil)
        let protobuf = try SchemaEncoder(
            rule: .init(format: .protobuf, mode: .validate, subject: .fixed("protobuf"), messageName: "M"), client: client)
        #expect(try encode(protobuf, [0x18, 1]).bytes == [0, 0, 0, 0, 2, 0, 0x18, 1])
        #expect(fault(protobuf, []) == .invalid("$: required field r is missing"))
        let wrong = try SchemaEncoder(
            rule: .init(format: .protobuf, mode: .validate, subject: .fixed("protobuf"), messageName: "N"), client: client)
        guard case .misconfigured? = fault(wrong, [0x18, 1]) else {
            Issue.record("taken")
            return
        }
        #expect(WireFormat.messageIndexes([1]) == [2, 2])
        #expect(WireFormat.messageIndexes([0]) == [0])
        #expect(WireFormat.messageIndexes([2, 70]) == [4, 4, 0x8C, 1])
        await registry.stop()
    }

    @Test("a payload in wire format passes when the registry knows its id, of that format and under that subject")
    func passed() async throws {
        let registry = try await DevelopmentRegistry.start()
        registry.register(subject: "t-value", format: .avro, text: Self.reading)
        registry.register(subject: "other", format: .avro, text: "\"int\"")
        registry.register(subject: "t-value", format: .json, text: "{}")
        let client = try SchemaRegistryClient(options(registry.url))
        let any = try SchemaEncoder(rule: .init(format: .avro, mode: .passThrough, subject: nil), client: client)
        let strict = try SchemaEncoder(rule: .init(format: .avro, mode: .passThrough), client: client)
        let (known, other, json, unknown): ([UInt8], [UInt8], [UInt8], [UInt8]) = (
            [0, 0, 0, 0, 1, 9], [0, 0, 0, 0, 2], [0, 0, 0, 0, 3], [0, 0, 0, 0, 9]
        )
        #expect(verdict(strict, known) == .unknown)
        #expect(try encode(any, known) == EncodedPayload(bytes: known, schemaID: 1, subject: nil))
        #expect(try encode(strict, known) == EncodedPayload(bytes: known, schemaID: 1, subject: "t-value"))
        #expect(try encode(any, other).schemaID == 2)
        for (encoder, payload) in [
            (strict, other), (any, json), (any, unknown), (any, [1, 0, 0, 0, 1]), (any, [0, 0, 0, 0]), (any, []),
            (any, [0, 0xFF, 0, 0, 0]),
        ] {
            guard case .invalid? = fault(encoder, payload) else {
                Issue.record("passed: \(payload)")
                continue
            }
        }
        #expect(verdict(strict, known) == .valid)
        #expect(verdict(strict, other) == .unknown)
        #expect(verdict(any, other) == .valid)
        await registry.stop()
        guard case .unavailable? = fault(any, [0, 0, 0, 0, 7]) else {
            Issue.record("available")
            return
        }
        #expect(try encode(strict, known).schemaID == 1)
    }

    @Test("a registry that is away makes nothing invalid, and a rule without sense is refused")
    func away() async throws {
        let client = try SchemaRegistryClient(options("http://127.0.0.1:1"))
        let encoder = try SchemaEncoder(rule: .init(format: .avro, mode: .convert), client: client)
        guard case .unavailable? = fault(encoder, Array("{}".utf8)) else {
            Issue.record("available")
            return
        }
        #expect(verdict(encoder, []) == .unknown)
        for rule in [
            SchemaRule(format: .json, mode: .convert), .init(format: .avro, mode: .convert, subject: nil),
            .init(format: .json, mode: .validate, messageName: "M"),
        ] {
            #expect(throws: SchemaFailure.self) { try SchemaEncoder(rule: rule, client: client) }
        }
    }

    @Test("what is nested as deep as allowed needs no more than half a megabyte of stack")
    func stack() throws {
        func nested(_ open: String, _ close: String, _ levels: Int) throws -> JSONValue {
            try JSONReader.read(String(repeating: open, count: levels) + "null" + String(repeating: close, count: levels))
        }
        let list = try AvroCodec(
            try AvroSchemaParser.parse(#"{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"],"default":null}]}"#))
        let endless = try AvroCodec(
            try AvroSchemaParser.parse(#"{"type":"record","name":"N","fields":[{"name":"n","type":["N","null"],"default":{}}]}"#))
        let circle = try JSONSchemaParser.parse(##"{"allOf":[{"$ref":"#"}]}"##)
        let tree = try JSONSchemaParser.parse(##"{"anyOf":[{"items":{"$ref":"#"},"type":"array"},{"type":"null"}]}"##)
        let protobuf = try ProtobufCheck(files: [try ProtobufDescriptor(ProtobufTests.small)], messageName: nil)
        let records = try nested("{\"n\":", "}", 64)
        let tagged = try JSONReader.read(String(repeating: #"{"n":{"N":"#, count: 31) + #"{"n":null}"# + String(repeating: "}}", count: 31))
        let arrays = try nested("[", "]", 60)
        let groups = [UInt8](repeating: 0x7B, count: 1_000)
        let failures = Mutex<[SchemaFailure?]>([])
        let thread = Thread {
            let all: [SchemaFailure?] = [
                failure { () throws(SchemaFailure) in _ = try list.encode(records) },
                failure { () throws(SchemaFailure) in _ = try list.encode(tagged) },
                failure { () throws(SchemaFailure) in try JSONSchemaCheck.check(arrays, tree) },
                failure { () throws(SchemaFailure) in try JSONSchemaCheck.check(.null, circle) },
                failure { () throws(SchemaFailure) in _ = try endless.encode(.object(JSONObject())) },
                groups.check { bytes throws(SchemaFailure) in try protobuf.check(bytes) },
            ]
            failures.withLock { $0 = all }
        }
        thread.stackSize = 512 << 10
        thread.start()
        while !thread.isFinished { usleep(1_000) }
        #expect(failures.withLock { $0.map { $0 == nil } } == [true, true, true, false, false, false])
    }

    @Test("many threads encode at once")
    func threads() async throws {
        let registry = try await DevelopmentRegistry.start()
        registry.register(subject: "t-value", format: .avro, text: Self.reading)
        let encoder = try SchemaEncoder(rule: .init(format: .avro, mode: .convert), client: try SchemaRegistryClient(options(registry.url)))
        let right = await withTaskGroup(of: Int.self) { group in
            for number in 0..<8 {
                group.addTask {
                    let expected = try? encode(encoder, Array("{\"temp\":\(number)}".utf8)).bytes
                    return (0..<200).reduce(0) { sum, _ in
                        sum
                            + ((try? encode(encoder, Array("{\"temp\":\(number)}".utf8)).bytes) == expected && expected?.count == 14
                                ? 1 : 0)
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(right == 1_600)
        await registry.stop()
    }
}
