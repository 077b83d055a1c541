/// The part of a `FileDescriptorProto` (google/protobuf/descriptor.proto) that says how a message's bytes look.
struct ProtobufDescriptor: Sendable {
    enum FieldType: UInt64, Sendable {
        case double = 1
        case float, int64, uint64, int32, fixed64, fixed32, bool, string, group, message, bytes, uint32, enumeration, sfixed32,
            sfixed64, sint32, sint64
    }

    struct Field: Sendable {
        var name = ""
        var number = 0
        var type = FieldType.bytes
        var isRepeated = false
        var isRequired = false
        /// `.package.Message` for messages and groups.
        var typeName = ""
    }

    struct Message: Sendable {
        var name = ""
        var fields: [Field] = []
        var nested: [Message] = []
        /// Made by the compiler for a map field, and in no text.
        var isMapEntry = false
    }

    private(set) var package = ""
    private(set) var messages: [Message] = []

    private static let maxDepth = 32

    /// - Throws: `.misconfigured`: the bytes are no descriptor.
    init(_ bytes: [UInt8]) throws(SchemaFailure) {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(ProtobufWire.Fault) in try Self.file(bytes) }
        }
        do throws(ProtobufWire.Fault) { (package, messages) = try result.get() } catch {
            throw .misconfigured("the protobuf schema is no descriptor: \(error.reason)")
        }
    }

    private static func file(_ bytes: UnsafeRawBufferPointer) throws(ProtobufWire.Fault) -> (String, [Message]) {
        var wire = ProtobufWire(bytes)
        var package = ""
        var messages: [Message] = []
        while !wire.isAtEnd {
            let (number, type) = try wire.tag()
            switch (number, type) {
            case (2, .bytes): package = wire.text(try wire.range()) ?? ""
            case (4, .bytes): messages.append(try message(bytes, try wire.range(), depth: 0))
            default: try wire.skip(type, number: number, depth: maxDepth)
            }
        }
        return (package, messages)
    }

    private static func message(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, depth: Int) throws(ProtobufWire.Fault) -> Message {
        guard depth < maxDepth else { throw .init(reason: "messages nested deeper than \(maxDepth)") }
        var wire = ProtobufWire(bytes, range)
        var message = Message()
        while !wire.isAtEnd {
            let (number, type) = try wire.tag()
            switch (number, type) {
            case (1, .bytes): message.name = wire.text(try wire.range()) ?? ""
            // 6 are extensions of other messages: of them a payload's fields are unknown ones.
            case (2, .bytes): message.fields.append(try field(bytes, try wire.range()))
            case (3, .bytes): message.nested.append(try self.message(bytes, try wire.range(), depth: depth + 1))
            case (7, .bytes):
                var options = ProtobufWire(bytes, try wire.range())
                while !options.isAtEnd {
                    let (number, type) = try options.tag()
                    if number == 7, type == .varint {
                        message.isMapEntry = try options.varint() != 0
                    } else {
                        try options.skip(type, number: number, depth: maxDepth)
                    }
                }
            default: try wire.skip(type, number: number, depth: maxDepth)
            }
        }
        return message
    }

    private static func field(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) throws(ProtobufWire.Fault) -> Field {
        var wire = ProtobufWire(bytes, range)
        var field = Field()
        while !wire.isAtEnd {
            let (number, type) = try wire.tag()
            switch (number, type) {
            case (1, .bytes): field.name = wire.text(try wire.range()) ?? ""
            case (3, .varint): field.number = Int(truncatingIfNeeded: try wire.varint())
            case (4, .varint):
                let label = try wire.varint()
                (field.isRequired, field.isRepeated) = (label == 2, label == 3)
            case (5, .varint):
                guard let type = FieldType(rawValue: try wire.varint()) else { throw .init(reason: "a field of a type that doesn't exist") }
                field.type = type
            case (6, .bytes): field.typeName = wire.text(try wire.range()) ?? ""
            default: try wire.skip(type, number: number, depth: maxDepth)
            }
        }
        return field
    }
}

extension ProtobufDescriptor {
    private init(package: String, messages: [Message]) {
        self.package = package
        self.messages = messages
    }

    /// The messages of google/protobuf/*.proto: every compiler has them, so no registry lists them as references.
    static let wellKnown: ProtobufDescriptor = {
        func message(_ name: String, _ fields: [(Int, FieldType, String, Bool)], nested: [Message] = []) -> Message {
            Message(
                name: name, fields: fields.map { Field(name: "\($0.0)", number: $0.0, type: $0.1, isRepeated: $0.3, typeName: $0.2) },
                nested: nested)
        }
        let wrappers: [(String, FieldType)] = [
            ("DoubleValue", .double), ("FloatValue", .float), ("Int64Value", .int64), ("UInt64Value", .uint64), ("Int32Value", .int32),
            ("UInt32Value", .uint32), ("BoolValue", .bool), ("StringValue", .string), ("BytesValue", .bytes),
        ]
        let of = ".google.protobuf."
        return ProtobufDescriptor(
            package: "google.protobuf",
            messages: wrappers.map { message($0.0, [(1, $0.1, "", false)]) } + [
                message("Timestamp", [(1, .int64, "", false), (2, .int32, "", false)]),
                message("Duration", [(1, .int64, "", false), (2, .int32, "", false)]),
                message("Any", [(1, .string, "", false), (2, .bytes, "", false)]),
                message("Empty", []),
                message("FieldMask", [(1, .string, "", true)]),
                message(
                    "Struct", [(1, .message, of + "Struct.FieldsEntry", true)],
                    nested: [message("FieldsEntry", [(1, .string, "", false), (2, .message, of + "Value", false)])]),
                message(
                    "Value",
                    [
                        (1, .enumeration, "", false), (2, .double, "", false), (3, .string, "", false), (4, .bool, "", false),
                        (5, .message, of + "Struct", false), (6, .message, of + "ListValue", false),
                    ]),
                message("ListValue", [(1, .message, of + "Value", true)]),
            ])
    }()
}
