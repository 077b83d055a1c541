import Encodings

/// What a development registry keeps, and what it answers: paths, statuses and error codes as Confluent documents its own.
struct DevelopmentSchemas {
    struct Answer {
        var status = 200
        let body: JSONValue
    }
    private struct Refusal: Error {
        let status: Int
        let code: Int
        let message: String
    }

    /// By id minus one.
    private var schemas: [RegisteredSchema] = []
    /// Ids in the order of versions, from 1.
    private var subjects: [ExactText: [Int32]] = [:]

    /// - Parameters:
    ///   - path: Percent-encoded, with the query.
    ///   - body: Of a POST.
    mutating func answer(_ method: String, _ path: String, _ body: [UInt8]) -> Answer {
        do throws(Refusal) { return Answer(body: try route(method, path, body)) } catch {
            return Answer(status: error.status, body: .members(["error_code": .integer(error.code), "message": .string(error.message)]))
        }
    }

    /// - Returns: The id; one that is there already keeps it.
    mutating func register(_ subject: String, _ format: SchemaFormat, _ text: String, _ references: [SchemaReference]) -> Int32 {
        let id: Int32
        if let known = schemas.first(where: { $0.format == format && $0.text == text && $0.references == references }) {
            id = known.id
        } else {
            id = Int32(schemas.count + 1)
            schemas.append(RegisteredSchema(id: id, format: format, text: text, references: references))
        }
        if !(subjects[ExactText(subject)] ?? []).contains(id) { subjects[ExactText(subject), default: []].append(id) }
        return id
    }

    private mutating func route(_ method: String, _ path: String, _ body: [UInt8]) throws(Refusal) -> JSONValue {
        let parts = path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let isSerialized = parts.count > 1 && parts[1].split(separator: "&").contains("format=serialized")
        var steps: [String] = []
        for step in parts[0].split(separator: "/") {
            guard let name = Self.unescaped(step) else { throw Refusal(status: 400, code: 400, message: "Bad path") }
            steps.append(name)
        }
        switch (method, steps.count) {
        case ("GET", 0): return .object(JSONObject())
        case ("GET", 1) where steps[0] == "subjects": return .array(subjects.keys.map(\.string).sorted().map { .string($0) })
        case ("GET", 2) where steps == ["schemas", "types"]: return .array(SchemaFormat.allCases.map { .string($0.rawValue) })
        case ("GET", 3) where steps[0] == "schemas" && steps[1] == "ids":
            let schema = try schema(steps[2])
            if isSerialized, schema.format != .protobuf { throw Refusal(status: 422, code: 42201, message: "Only protobuf is serialized") }
            return Self.described(schema, with: [:])
        case ("GET", 4) where steps[0] == "schemas" && steps[1] == "ids" && (steps[3] == "versions" || steps[3] == "subjects"):
            let id = try schema(steps[2]).id
            let pairs = subjects.sorted { $0.key.string < $1.key.string }.compactMap { subject, ids in
                ids.firstIndex(of: id).map { (subject.string, $0 + 1) }
            }
            if steps[3] == "subjects" { return .array(pairs.map { .string($0.0) }) }
            return .array(pairs.map { .members(["subject": .string($0.0), "version": .integer($0.1)]) })
        case ("GET", 3) where steps[0] == "subjects" && steps[2] == "versions":
            return .array(try ids(steps[1]).indices.map { .integer($0 + 1) })
        case ("GET", 4) where steps[0] == "subjects" && steps[2] == "versions": return try version(steps[1], steps[3])
        case ("POST", 3) where steps[0] == "subjects" && steps[2] == "versions":
            let (format, text, references) = try request(body)
            return .members(["id": .integer(Int(register(steps[1], format, text, references)))])
        case ("POST", 2) where steps[0] == "subjects":
            let ids = try ids(steps[1])
            let (format, text, references) = try request(body)
            for (place, id) in ids.enumerated() {
                let schema = schemas[Int(id) - 1]
                guard schema.format == format, schema.text == text, schema.references == references else { continue }
                return Self.described(
                    schema, with: ["subject": .string(steps[1]), "version": .integer(place + 1), "id": .integer(Int(id))])
            }
            throw Refusal(status: 404, code: 40403, message: "Schema not found")
        default: throw Refusal(status: 404, code: 404, message: "HTTP 404 Not Found")
        }
    }

    private func schema(_ id: String) throws(Refusal) -> RegisteredSchema {
        guard let id = Int(id), schemas.indices.contains(id - 1) else {
            throw Refusal(status: 404, code: 40403, message: "Schema \(id) not found")
        }
        return schemas[id - 1]
    }

    private func ids(_ subject: String) throws(Refusal) -> [Int32] {
        guard let ids = subjects[ExactText(subject)] else {
            throw Refusal(status: 404, code: 40401, message: "Subject '\(subject)' not found.")
        }
        return ids
    }

    private func version(_ subject: String, _ text: String) throws(Refusal) -> JSONValue {
        let ids = try ids(subject)
        guard let version = text == "latest" ? ids.count : Int(text), version > 0 else {
            throw Refusal(status: 422, code: 42202, message: "The specified version '\(text)' is not a valid version id.")
        }
        guard version <= ids.count else { throw Refusal(status: 404, code: 40402, message: "Version \(version) not found.") }
        let id = ids[version - 1]
        return Self.described(
            schemas[Int(id) - 1], with: ["subject": .string(subject), "version": .integer(version), "id": .integer(Int(id))])
    }

    /// Avro isn't named, as Confluent doesn't.
    private static func described(_ schema: RegisteredSchema, with members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        var object = JSONObject()
        for (name, value) in members { object.set(ExactText(name), value) }
        if schema.format != .avro { object.set("schemaType", .string(schema.format.rawValue)) }
        object.set("schema", .string(schema.text))
        if !schema.references.isEmpty { object.set("references", .array(schema.references.map(\.document))) }
        return .object(object)
    }

    private func request(_ body: [UInt8]) throws(Refusal) -> (SchemaFormat, String, [SchemaReference]) {
        let document = body.withUnsafeBytes { bytes in try? JSONReader.read(bytes) }
        guard let document, document["schema"] != nil else { throw Refusal(status: 422, code: 42201, message: "Empty schema") }
        let schema: RegisteredSchema
        do throws(SchemaRegistryFailure) { schema = try RegisteredSchema(answer: document, id: 0) } catch {
            throw Refusal(status: 422, code: 42201, message: "Invalid schema: \(error)")
        }
        var texts: [String: String] = [:]
        var open = schema.references
        while let reference = open.popLast() {
            guard texts[reference.name] == nil else { continue }
            guard let ids = subjects[ExactText(reference.subject)], ids.indices.contains(reference.version - 1) else {
                throw Refusal(
                    status: 422, code: 42201,
                    message: "No schema reference found for subject \"\(reference.subject)\" and version \(reference.version)")
            }
            let target = schemas[Int(ids[reference.version - 1]) - 1]
            texts[reference.name] = target.text
            open += target.references
        }
        do throws(SchemaFailure) {
            switch schema.format {
            case .avro: _ = try AvroSchemaParser.parse(schema.text, references: texts)
            case .json: _ = try JSONSchemaParser.parse(schema.text, references: texts)
            case .protobuf:
                // Nobody here compiles protobuf's language; Confluent's registry takes the compiled form as well.
                guard let bytes = Base64.decode(schema.text.utf8, .standard) else {
                    throw .misconfigured("a development registry takes protobuf schemas as a FileDescriptorProto in base 64")
                }
                _ = try ProtobufDescriptor(bytes)
            }
        } catch { throw Refusal(status: 422, code: 42201, message: "Invalid schema: \(error)") }
        return (schema.format, schema.text, schema.references)
    }

    private static func unescaped(_ step: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = step.utf8
        while let byte = rest.popFirst() {
            if byte != UInt8(ascii: "%") {
                bytes.append(byte)
                continue
            }
            guard let text = String(rest.prefix(2)), text.utf8.count == 2, let value = UInt8(text, radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
