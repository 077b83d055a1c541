import Encodings
import CAvro

/// Turns JSON into Avro's binary encoding by one schema.
///
/// libavro holds the value and writes it. What fits where is decided here, after Avro's rules for JSON, relaxed: a branch of
/// a union needs its name only where more than one fits, and a field with a default may be left out. A member that the
/// record doesn't have is a fault: dropping it would lose data silently.
///
/// `@unchecked Sendable`: libavro's class is only read after `init`, and counts its references atomically.
final class AvroCodec: @unchecked Sendable {
    let schema: AvroSchema
    private let iface: UnsafeMutablePointer<avro_value_iface_t>

    /// - Throws: `.misconfigured` when libavro has no class for the schema.
    init(_ schema: AvroSchema) throws(SchemaFailure) {
        self.schema = schema
        let text = schema.plainText
        var parsed: avro_schema_t?
        guard avro_schema_from_json_length(text, text.utf8.count, &parsed) == 0, let parsed else {
            throw .misconfigured("libavro can't use the schema \(schema.recordName)")
        }
        defer { avro_schema_decref(parsed) }
        guard let iface = avro_generic_class_from_schema(parsed) else {
            throw .misconfigured("libavro has no class for the schema \(schema.recordName)")
        }
        self.iface = iface
    }

    deinit { headwater_avro_release_iface(iface) }

    /// - Parameter prefix: What the encoding begins with.
    /// - Throws: `.invalid` with the place in the document; `.misconfigured` when a default doesn't fit its field.
    func encode(_ json: JSONValue, prefix: [UInt8] = []) throws(SchemaFailure) -> [UInt8] {
        var value = avro_value_t()
        guard avro_generic_value_new(iface, &value) == 0 else { throw .misconfigured("libavro can't make a value of \(schema.recordName)") }
        defer { avro_value_decref(&value) }
        var filler = AvroFiller(schema: schema)
        try filler.fill(&value, schema.root, json)
        var size = 0
        guard avro_value_sizeof(&value, &size) == 0 else { throw .misconfigured("libavro can't measure a value of \(schema.recordName)") }
        var bytes = prefix + [UInt8](repeating: 0, count: size)
        let isWritten = bytes.withUnsafeMutableBytes { buffer in
            // A zero-byte encoding (a null at the root) needs no writer.
            guard size > 0, let start = buffer.baseAddress else { return true }
            guard let writer = avro_writer_memory((start + prefix.count).assumingMemoryBound(to: CChar.self), Int64(size)) else {
                return false
            }
            defer { avro_writer_free(writer) }
            return avro_value_write(writer, &value) == 0 && avro_writer_tell(writer) == size
        }
        guard isWritten else { throw .misconfigured("libavro can't write a value of \(schema.recordName)") }
        return bytes
    }

    /// Whether `encode` would succeed, without encoding.
    func check(_ json: JSONValue) throws(SchemaFailure) { _ = try encode(json) }
}
