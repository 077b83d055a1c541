/// Knows one protobuf message, and whether bytes are one.
///
/// Stricter than a parser in one point: a field that is known but comes with another wire type is a fault, where a parser
/// would take it for an unknown field and lose it. Unknown fields are allowed, values of enumerations not looked at. A
/// required field is looked for in each part of a message that comes in several.
struct ProtobufCheck: Sendable {
    private struct Field: Sendable {
        let name: String
        let type: ProtobufDescriptor.FieldType
        let isRepeated: Bool
        /// Index of the message, for messages and groups.
        let message: Int
        /// Place among the required ones.
        let required: Int?
    }
    private struct Message: Sendable {
        let name: String
        var fields: [Int: Field] = [:]
        var required: [String] = []
    }

    private var messages: [Message] = []
    private let root: Int
    /// Of the message within its file: what the wire format says after the schema's id.
    let indexes: [Int]
    /// With its package, without a dot before.
    let messageName: String

    /// As protobuf's own parsers have it.
    private static let maxDepth = 100

    /// - Parameters:
    ///   - files: The schema's own first, then what it imports.
    ///   - messageName: With its package or, where the file has one, without; `nil` for the file's first message.
    /// - Throws: `.misconfigured` when there is no such message, or one has a field of a message that isn't there.
    init(files: [ProtobufDescriptor], messageName: String?) throws(SchemaFailure) {
        var places: [String: Int] = [:]
        var all: [(ProtobufDescriptor.Message, String)] = []
        var ownPaths: [String: [Int]] = [:]
        func collect(_ messages: [ProtobufDescriptor.Message], _ scope: String, _ path: [Int], isOwn: Bool) {
            var index = 0
            for message in messages {
                let name = "\(scope).\(message.name)"
                if places.updateValue(all.count, forKey: name) == nil, isOwn { ownPaths[name] = path + [index] }
                all.append((message, name))
                collect(message.nested, name, path + [index], isOwn: isOwn)
                // Counted as a text has them, which is how Confluent's own serializer counts.
                if !message.isMapEntry { index += 1 }
            }
        }
        for (place, file) in (files + [.wellKnown]).enumerated() {
            collect(file.messages, file.package.isEmpty ? "" : ".\(file.package)", [], isOwn: place == 0)
        }
        let package = files.first?.package ?? ""
        let scope = package.isEmpty ? "" : ".\(package)"
        guard let first = files.first?.messages.first else { throw .misconfigured("the protobuf schema declares no message") }
        let wanted = messageName.map { [".\($0)", "\(scope).\($0)"] } ?? ["\(scope).\(first.name)"]
        guard let name = wanted.first(where: { ownPaths[$0] != nil }), let path = ownPaths[name], let root = places[name] else {
            throw .misconfigured("the protobuf schema has no message \(messageName ?? first.name)")
        }
        self.root = root
        indexes = path
        self.messageName = String(name.dropFirst())
        for (descriptor, name) in all {
            var message = Message(name: String(name.dropFirst()))
            for field in descriptor.fields {
                var target = 0
                if field.type == .message || field.type == .group {
                    guard let place = places[field.typeName] else {
                        throw .misconfigured("the protobuf field \(message.name).\(field.name) is of \(field.typeName), which isn't there")
                    }
                    target = place
                }
                if field.isRequired { message.required.append(field.name) }
                message.fields[field.number] = Field(
                    name: field.name, type: field.type, isRepeated: field.isRepeated, message: target,
                    required: field.isRequired ? message.required.count - 1 : nil)
            }
            messages.append(message)
        }
    }

    /// - Throws: `.invalid` with the field's path.
    func check(_ bytes: UnsafeRawBufferPointer) throws(SchemaFailure) {
        var walk = Walk(check: self, bytes: bytes)
        do throws(ProtobufWire.Fault) { try walk.message(root, 0..<bytes.count, depth: Self.maxDepth) } catch {
            throw .invalid("\((["$"] + walk.path).joined(separator: ".")): \(error.reason)")
        }
    }

    private struct Walk {
        let check: ProtobufCheck
        let bytes: UnsafeRawBufferPointer
        /// Names of the fields that are being read.
        var path: [String] = []

        mutating func message(_ index: Int, _ range: Range<Int>, depth: Int) throws(ProtobufWire.Fault) {
            var wire = ProtobufWire(bytes, range)
            try fields(check.messages[index], &wire, group: nil, depth: depth)
        }

        /// - Parameter group: Number of the field whose end ends the message; `nil` when the bytes' end does.
        private mutating func fields(_ message: Message, _ wire: inout ProtobufWire, group: Int?, depth: Int) throws(ProtobufWire.Fault) {
            guard depth > 0 else { throw .init(reason: "nested deeper than \(ProtobufCheck.maxDepth)") }
            var isThere = [Bool](repeating: false, count: message.required.count)
            while true {
                if wire.isAtEnd {
                    guard group == nil else { throw .init(reason: "a group without its end") }
                    break
                }
                let (number, type) = try wire.tag()
                if type == .endGroup {
                    guard number == group else { throw .init(reason: "a group ends that didn't begin") }
                    break
                }
                guard let field = message.fields[number] else {
                    try wire.skip(type, number: number, depth: depth - 1)
                    continue
                }
                path.append(field.name)
                try value(field, type, number, &wire, depth: depth)
                path.removeLast()
                if let required = field.required { isThere[required] = true }
            }
            if let missing = isThere.firstIndex(of: false) { throw .init(reason: "required field \(message.required[missing]) is missing") }
        }

        private mutating func value(
            _ field: Field, _ type: ProtobufWire.WireType, _ number: Int, _ wire: inout ProtobufWire, depth: Int
        ) throws(ProtobufWire.Fault) {
            let own: ProtobufWire.WireType
            switch field.type {
            case .double, .fixed64, .sfixed64: own = .fixed64
            case .float, .fixed32, .sfixed32: own = .fixed32
            case .string, .bytes, .message: own = .bytes
            case .group: own = .startGroup
            case .int64, .uint64, .int32, .bool, .uint32, .enumeration, .sint32, .sint64: own = .varint
            }
            switch field.type {
            case .string where type == own:
                let range = try wire.range()
                guard wire.text(range) != nil else { throw .init(reason: "a string that is not UTF-8") }
            case .message where type == own: try message(field.message, try wire.range(), depth: depth - 1)
            case .group where type == own: try fields(check.messages[field.message], &wire, group: number, depth: depth - 1)
            case _ where type == own: try wire.skip(type, number: number, depth: 0)
            // Packed, whether the schema says so or not: parsers take both.
            case _ where type == .bytes && field.isRepeated && own != .startGroup:
                var packed = ProtobufWire(bytes, try wire.range())
                while !packed.isAtEnd { try packed.skip(own, number: number, depth: 0) }
            default: throw .init(reason: "expected wire type \(own), found \(type)")
            }
        }
    }
}
