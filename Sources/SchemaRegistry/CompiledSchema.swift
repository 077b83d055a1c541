import Encodings

/// A schema ready for use, its references with it.
enum CompiledSchema: Sendable {
    case avro(AvroCodec)
    case json(JSONSchema)
    case protobuf(ProtobufCheck)

    /// Asks the registry for what the schema refers to.
    init(_ schema: RegisteredSchema, messageName: String?, client: SchemaRegistryClient) throws(SchemaFailure) {
        let references: [String: RegisteredSchema]
        do throws(SchemaRegistryFailure) { references = try client.references(of: schema) } catch { throw SchemaFailure(error) }
        switch schema.format {
        case .avro:
            self = .avro(try AvroCodec(try AvroSchemaParser.parse(schema.text, references: references.mapValues(\.text))))
        case .json:
            self = .json(try JSONSchemaParser.parse(schema.text, references: references.mapValues(\.text)))
        case .protobuf:
            var files: [ProtobufDescriptor] = []
            for id in [schema.id] + Set(references.values.map(\.id)).sorted() {
                let bytes: [UInt8]
                do throws(SchemaRegistryFailure) { bytes = try client.descriptor(id: id) } catch { throw SchemaFailure(error) }
                files.append(try ProtobufDescriptor(bytes))
            }
            self = .protobuf(try ProtobufCheck(files: files, messageName: messageName))
        }
    }

    /// - Returns: The payload in wire format.
    /// - Throws: `.invalid` when it doesn't fit.
    func framed(_ payload: UnsafeRawBufferPointer, id: Int32, mode: SchemaRule.Mode) throws(SchemaFailure) -> [UInt8] {
        switch (self, mode) {
        case (.avro(let codec), .convert): return try codec.encode(try Self.document(payload), prefix: WireFormat.head(id))
        case (.protobuf(let check), _):
            try check.check(payload)
            return WireFormat.head(id) + WireFormat.messageIndexes(check.indexes) + payload
        default:
            try self.check(payload, mode: mode)
            return WireFormat.head(id) + payload
        }
    }

    func check(_ payload: UnsafeRawBufferPointer, mode: SchemaRule.Mode) throws(SchemaFailure) {
        switch self {
        case .avro(let codec) where mode == .convert: try codec.check(try Self.document(payload))
        case .avro(let codec): try AvroBinaryCheck.check(payload, codec.schema)
        case .json(let schema): try JSONSchemaCheck.check(try Self.document(payload), schema)
        case .protobuf(let check): try check.check(payload)
        }
    }

    private static func document(_ payload: UnsafeRawBufferPointer) throws(SchemaFailure) -> JSONValue {
        do throws(JSONFault) { return try JSONReader.read(payload) } catch { throw .invalid(error.description) }
    }
}
