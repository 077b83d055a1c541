import Encodings
import Testing

@testable import SchemaRegistry

@Suite struct ProtobufTests {
    @Test("Google's library takes and refuses the same payloads", .enabled(if: ForeignCases.areThere))
    func foreign() throws {
        let cases = try #require(try ForeignCases.lines("protobuf_cases").first)
        let files = try (cases["files"]?.array ?? []).map { try ProtobufDescriptor(try #require($0.string.flatMap({ Base64.decode($0.utf8, .standard) }))) }
        let check = try ProtobufCheck(files: files, messageName: "com.example.Reading")
        #expect(check.indexes == [1])
        for one in cases["valid"]?.array ?? [] {
            let bytes = try #require(one.string.flatMap({ Base64.decode($0.utf8, .standard) }))
            #expect(bytes.check { bytes throws(SchemaFailure) in try check.check(bytes) } == nil)
        }
        var refused = 0
        for one in cases["broken"]?.array ?? [] {
            let bytes = try #require(one["bytes"]?.string.flatMap({ Base64.decode($0.utf8, .standard) }))
            let fault = bytes.check { bytes throws(SchemaFailure) in try check.check(bytes) }
            #expect((fault == nil) == one["parses"]?.bool, "\(bytes) \(fault?.description ?? "valid")")
            if fault != nil { refused += 1 }
        }
        #expect(refused > 100)
        // The first message, the one made for a map, which no text has, and one that isn't there.
        #expect(try ProtobufCheck(files: files, messageName: nil).messageName == "com.example.First")
        #expect(try ProtobufCheck(files: files, messageName: "Reading.Spot").indexes == [1, 0])
        #expect(failure { () throws(SchemaFailure) in _ = try ProtobufCheck(files: files, messageName: "Nothing") } != nil)
        // Without what it imports.
        #expect(failure { () throws(SchemaFailure) in _ = try ProtobufCheck(files: [files[0]], messageName: nil) } != nil)
    }

    /// `message M { optional string s = 1; optional M m = 2; required int32 r = 3; }`
    static let small: [UInt8] = {
        func field(_ name: String, _ number: UInt8, _ label: UInt8, _ type: UInt8, _ typeName: String? = nil) -> [UInt8] {
            var bytes: [UInt8] = [10, UInt8(name.utf8.count)] + name.utf8 + [24, number, 32, label, 40, type]
            if let typeName { bytes += [50, UInt8(typeName.utf8.count)] + typeName.utf8 }
            return [18, UInt8(bytes.count)] + bytes
        }
        let message = [10, 1, 0x4D] + field("s", 1, 1, 9) + field("m", 2, 1, 11, ".M") + field("r", 3, 2, 5)
        return [34, UInt8(message.count)] + message
    }()

    @Test(
        "a fault names the field",
        arguments: [
            ([0x18, 1], nil), ([0x18, 1, 0x78, 5, 0x7B, 0x7C], nil), ([0x0A, 1, 0xFF, 0x18, 1], "$.s: a string that is not UTF-8"),
            ([], "$: required field r is missing"), ([0x0A, 1, 0x41], "$: required field r is missing"),
            ([0x12, 0, 0x18, 1], "$.m: required field r is missing"),
            ([0x12, 2, 0x18, 0x80], "$.m.r: it ends within a number"), ([0x08, 1], "$.s: expected wire type bytes, found varint"),
            ([0x00], "$: a field number out of range"), ([0x1F], "$: wire type 7, which doesn't exist"),
            ([0x0A, 5, 1], "$.s: a length beyond the end"),
            ([0x7C], "$: a group ends that didn't begin"), ([0x7B, 0x74], "$: group 15 ends as 14"),
            ([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], "$.s: a length beyond the end"),
        ] as [([UInt8], String?)])
    func faults(payload: [UInt8], text: String?) throws {
        let check = try ProtobufCheck(files: [try ProtobufDescriptor(Self.small)], messageName: nil)
        #expect(payload.check { bytes throws(SchemaFailure) in try check.check(bytes) } == text.map { .invalid($0) })
    }

    @Test("messages and groups deeper than a hundred are refused, known and unknown")
    func depth() throws {
        let check = try ProtobufCheck(files: [try ProtobufDescriptor(Self.small)], messageName: nil)
        let groups = [UInt8](repeating: 0x7B, count: 1_000_000)
        #expect(groups.check { bytes throws(SchemaFailure) in try check.check(bytes) } == .invalid("$: nested too deep"))
        var nested: [UInt8] = [0x18, 1]
        for level in 0..<150 {
            let length = nested.count
            nested = [0x12] + (length < 128 ? [UInt8(length)] : [UInt8(length & 0x7F) | 0x80, UInt8(length >> 7)]) + nested + [0x18, 1]
            let fault = nested.check { bytes throws(SchemaFailure) in try check.check(bytes) }
            #expect((fault == nil) == (level < 99), "\(level)")
        }
    }

    @Test("whatever the bytes, a payload and a descriptor are taken or refused")
    func anything() throws {
        let check = try ProtobufCheck(files: [try ProtobufDescriptor(Self.small)], messageName: nil)
        var dice = Dice(state: 5)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<40, using: &dice)).map { _ in
                UInt8.random(in: 0...255, using: &dice) >> UInt8.random(in: 0...5, using: &dice)
            }
            _ = bytes.check { bytes throws(SchemaFailure) in try check.check(bytes) }
            var broken = Self.small
            for _ in 0..<3 { broken[Int.random(in: 0..<broken.count, using: &dice)] = .random(in: 0...255, using: &dice) }
            _ = failure { () throws(SchemaFailure) in _ = try ProtobufCheck(files: [try ProtobufDescriptor(broken)], messageName: nil) }
        }
    }
}
