/// Walks bytes that claim to be a value of an Avro schema, keeping nothing.
///
/// libavro's own reader takes memory on the word of a length; this one only moves forward.
struct AvroBinaryCheck {
    private let schema: AvroSchema
    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private var steps = 0

    private static let maxDepth = 64
    /// Values of no bytes cost nothing to claim.
    private static let maxSteps = 2_000_000

    /// - Throws: `.invalid` with the offset.
    static func check(_ bytes: UnsafeRawBufferPointer, _ schema: AvroSchema) throws(SchemaFailure) {
        var check = AvroBinaryCheck(schema: schema, bytes: bytes)
        try check.value(schema.root, depth: 0)
        guard check.at == bytes.count else { throw check.fault("\(bytes.count - check.at) bytes after the value's end") }
    }

    private init(schema: AvroSchema, bytes: UnsafeRawBufferPointer) {
        self.schema = schema
        self.bytes = bytes
    }

    private func fault(_ reason: String) -> SchemaFailure { .invalid("no \(schema.recordName) in Avro at byte \(at): \(reason)") }

    private mutating func skip(_ count: Int64) throws(SchemaFailure) {
        guard count >= 0, count <= bytes.count - at else { throw fault("it ends too early") }
        at += Int(count)
    }

    private mutating func long() throws(SchemaFailure) -> Int64 {
        var bits: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard at < bytes.count else { throw fault("it ends within a number") }
            let byte = bytes[at]
            at += 1
            guard shift < 63 || byte <= 1 else { throw fault("a number of more than 64 bits") }
            bits |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1) }
        }
        throw fault("a number of more than 64 bits")
    }

    private mutating func value(_ type: Int, depth: Int) throws(SchemaFailure) {
        steps += 1
        guard steps <= Self.maxSteps else { throw fault("more than \(Self.maxSteps) values") }
        guard depth <= Self.maxDepth else { throw fault("nested deeper than \(Self.maxDepth)") }
        switch schema.nodes[type] {
        case .null: break
        case .boolean:
            guard at < bytes.count, bytes[at] <= 1 else { throw fault("no boolean") }
            at += 1
        case .int: guard Int32(exactly: try long()) != nil else { throw fault("an int of more than 32 bits") }
        case .long: _ = try long()
        case .float: try skip(4)
        case .double: try skip(8)
        case .bytes: try skip(try long())
        case .string:
            let length = try long()
            let start = at
            try skip(length)
            guard String(validating: UnsafeRawBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self) != nil else {
                throw fault("a string that is not UTF-8")
            }
        case .fixed(_, let size): try skip(Int64(size))
        case .enumeration(let enumeration):
            let place = try long()
            guard place >= 0, place < enumeration.symbols.count else { throw fault("\(enumeration.name) has no symbol \(place)") }
        case .record(let record): for field in record.fields { try value(field.type, depth: depth + 1) }
        case .union(let branches):
            let place = try long()
            guard place >= 0, place < branches.count else { throw fault("a union has no branch \(place)") }
            try value(branches[Int(place)], depth: depth + 1)
        case .array(let items):
            try blocks { check throws(SchemaFailure) in try check.value(items, depth: depth + 1) }
        case .map(let values):
            try blocks { check throws(SchemaFailure) in
                let length = try check.long()
                try check.skip(length)
                try check.value(values, depth: depth + 1)
            }
        }
    }

    private mutating func blocks(_ item: (inout AvroBinaryCheck) throws(SchemaFailure) -> Void) throws(SchemaFailure) {
        while true {
            var count = try long()
            if count == 0 { return }
            if count < 0 {
                guard count != .min else { throw fault("a block of too many items") }
                count = -count
                let size = try long()
                guard size >= 0, size <= bytes.count - at else { throw fault("a block ends too late") }
            }
            guard count <= Self.maxSteps else { throw fault("a block of too many items") }
            for _ in 0..<count { try item(&self) }
        }
    }
}
