import Encodings
import CAvro

/// Fills one value of libavro's from a JSON document, once.
struct AvroFiller {
    private let schema: AvroSchema
    private var path = JSONPath()
    /// Types looked at. Unions in unions, and defaults in defaults, could multiply a small document by millions.
    private var steps = 0
    private var depth = 0
    private var isInDefault = false

    private static let maxSteps = 2_000_000
    /// Twice the depth of JSON, a union around each level, and a little for defaults.
    private static let maxDepth = 140

    init(schema: AvroSchema) { self.schema = schema }

    private func fault(_ reason: String) -> SchemaFailure {
        isInDefault ? .misconfigured("\(path): the default doesn't fit: \(reason)") : .invalid("\(path): \(reason)")
    }
    private func expected(_ what: String, _ json: JSONValue) -> SchemaFailure { fault("expected \(what), found \(json.kind)") }

    private mutating func step() throws(SchemaFailure) {
        steps += 1
        guard steps <= Self.maxSteps else { throw fault("the document costs too much to convert") }
    }

    /// libavro refuses what was checked here: out of memory, or it and we disagree about the schema.
    private func done(_ code: Int32) throws(SchemaFailure) {
        guard code == 0 else { throw .misconfigured("\(path): libavro refuses with code \(code)") }
    }

    mutating func fill(_ value: inout avro_value_t, _ type: Int, _ json: JSONValue) throws(SchemaFailure) {
        try step()
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maxDepth else { throw fault("nested deeper than \(Self.maxDepth)") }
        // What holds others is apart from what doesn't: the frames that repeat on the stack stay small.
        switch schema.nodes[type] {
        case .array(let items): try fill(&value, arrayOf: items, json)
        case .map(let values): try fill(&value, mapOf: values, json)
        case .record(let record): try fill(&value, record, json)
        case .union(let branches): try fill(&value, oneOf: branches, json)
        default: try fillPlain(&value, type, json)
        }
    }

    private func fillPlain(_ value: inout avro_value_t, _ type: Int, _ json: JSONValue) throws(SchemaFailure) {
        switch schema.nodes[type] {
        case .null:
            guard case .null = json else { throw expected("null", json) }
            try done(headwater_avro_set_null(&value))
        case .boolean:
            guard case .bool(let flag) = json else { throw expected("boolean", json) }
            try done(headwater_avro_set_boolean(&value, flag ? 1 : 0))
        case .int:
            guard case .number(let number) = json else { throw expected("int", json) }
            guard let int = number.int64.flatMap({ Int32(exactly: $0) }) else {
                throw fault("expected int, found a number that 32 bits don't hold")
            }
            try done(headwater_avro_set_int(&value, int))
        case .long:
            guard case .number(let number) = json else { throw expected("long", json) }
            guard let int = number.int64 else { throw fault("expected long, found a number that 64 bits don't hold") }
            try done(headwater_avro_set_long(&value, int))
        case .float:
            guard case .number(let number) = json else { throw expected("float", json) }
            guard Float(number.double).isFinite else { throw fault("expected float, found a number beyond its range") }
            try done(headwater_avro_set_float(&value, Float(number.double)))
        case .double:
            guard case .number(let number) = json else { throw expected("double", json) }
            guard number.double.isFinite else { throw fault("expected double, found a number beyond its range") }
            try done(headwater_avro_set_double(&value, number.double))
        case .string:
            guard case .text(let text) = json else { throw expected("string", json) }
            try done(text.string.withCString { headwater_avro_set_string(&value, $0, text.string.utf8.count) })
        case .bytes:
            guard case .text(let text) = json else { throw expected("bytes as a string", json) }
            guard let bytes = Self.bytes(text) else { throw fault("bytes as a string have characters up to U+00FF only") }
            // One more, since an empty array has no address.
            try done((bytes + [0]).withUnsafeBytes { headwater_avro_set_bytes(&value, $0.baseAddress, bytes.count) })
        case .fixed(let name, let size):
            guard case .text(let text) = json else { throw expected("\(name) as a string", json) }
            guard let bytes = Self.bytes(text) else { throw fault("bytes as a string have characters up to U+00FF only") }
            guard bytes.count == size else { throw fault("expected \(size) bytes of \(name), found \(bytes.count)") }
            try done((bytes + [0]).withUnsafeBytes { headwater_avro_set_fixed(&value, $0.baseAddress, bytes.count) })
        case .enumeration(let enumeration):
            guard case .text(let text) = json else { throw expected("a symbol of \(enumeration.name)", json) }
            guard let place = enumeration.places[text] else { throw fault("\(enumeration.name) has no such symbol") }
            try done(headwater_avro_set_enum(&value, Int32(place)))
        case .array, .map, .record, .union: break
        }
    }

    private mutating func fill(_ value: inout avro_value_t, arrayOf items: Int, _ json: JSONValue) throws(SchemaFailure) {
        guard case .array(let list) = json else { throw expected("array", json) }
        for (index, item) in list.enumerated() {
            path.enter(index)
            var place = avro_value_t()
            try done(headwater_avro_append(&value, &place))
            try fill(&place, items, item)
            path.leave()
        }
    }

    private mutating func fill(_ value: inout avro_value_t, mapOf values: Int, _ json: JSONValue) throws(SchemaFailure) {
        guard case .object(let object) = json else { throw expected("map", json) }
        for member in object.members {
            path.enter(member.name)
            // libavro ends a key there.
            guard !member.name.string.utf8.contains(0) else { throw fault("the key of a map has a zero character") }
            var place = avro_value_t()
            try done(member.name.string.withCString { headwater_avro_add(&value, $0, &place) })
            try fill(&place, values, member.value)
            path.leave()
        }
    }

    private mutating func fill(_ value: inout avro_value_t, oneOf branches: [Int], _ json: JSONValue) throws(SchemaFailure) {
        let (place, inner, isTagged) = try branch(of: branches, json)
        var branch = avro_value_t()
        try done(headwater_avro_branch(&value, Int32(place), &branch))
        if isTagged { path.enter(ExactText(schema.name(of: branches[place]))) }
        try fill(&branch, branches[place], inner)
        if isTagged { path.leave() }
    }

    private mutating func fill(_ value: inout avro_value_t, _ record: AvroSchema.Record, _ json: JSONValue) throws(SchemaFailure) {
        guard case .object(let object) = json else { throw expected(record.name, json) }
        for member in object.members where record.places[member.name] == nil {
            path.enter(member.name)
            throw fault("\(record.name) has no such field")
        }
        for (index, field) in record.fields.enumerated() {
            path.enter(field.name)
            var place = avro_value_t()
            try done(headwater_avro_field(&value, index, &place))
            if let json = object[field.name.string] {
                try fill(&place, field.type, json)
            } else if let json = field.defaultValue {
                let outer = isInDefault
                isInDefault = true
                try fill(&place, field.type, json)
                isInDefault = outer
            } else {
                throw fault("missing, and has no default")
            }
            path.leave()
        }
    }

    /// - Returns: The branch that a value is of, and the value without the branch's name around it.
    private mutating func branch(of branches: [Int], _ json: JSONValue) throws(SchemaFailure) -> (Int, JSONValue, isTagged: Bool) {
        // A default is of the first branch that it fits: the first of all, after the specification.
        if isInDefault {
            for (place, branch) in branches.enumerated() where try fits(branch, json) { return (place, json, false) }
        }
        if let (place, inner) = tagged(branches, json), try fits(branches[place], inner) { return (place, inner, true) }
        var fitting: [Int] = []
        for (place, branch) in branches.enumerated() where try fits(branch, json) { fitting.append(place) }
        switch fitting.count {
        case 1: return (fitting[0], json, false)
        case 0:
            // Where one branch can be meant, its own fault says more.
            if let (place, inner) = tagged(branches, json) { return (place, inner, true) }
            let others = branches.indices.filter { if case .null = schema.nodes[branches[$0]] { false } else { true } }
            if others.count == 1 { return (others[0], json, false) }
            throw fault("expected one of \(names(branches.indices.map { $0 }, branches)), found \(json.kind) that fits none")
        default: throw fault("it could be \(names(fitting, branches)): write {\"\(schema.name(of: branches[fitting[0]]))\": …}")
        }
    }

    private func names(_ places: [Int], _ branches: [Int]) -> String {
        places.map { schema.name(of: branches[$0]) }.joined(separator: ", ")
    }

    /// `{"long": 5}`, `{"com.example.Reading": {…}}`, and the name without its namespace where one branch alone has it.
    private func tagged(_ branches: [Int], _ json: JSONValue) -> (Int, JSONValue)? {
        guard case .object(let object) = json, object.count == 1, let member = object.members.first else { return nil }
        if let place = branches.firstIndex(where: { ExactText(schema.name(of: $0)) == member.name }) { return (place, member.value) }
        let short = branches.indices.filter { place in
            schema.name(of: branches[place]).split(separator: ".").last.map { ExactText(String($0)) == member.name } ?? false
        }
        return short.count == 1 ? (short[0], member.value) : nil
    }

    /// Whether a value is of a type, without a word why not.
    private mutating func fits(_ type: Int, _ json: JSONValue) throws(SchemaFailure) -> Bool {
        try step()
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maxDepth else { throw fault("nested deeper than \(Self.maxDepth)") }
        switch (schema.nodes[type], json) {
        case (.array(let items), .array(let list)):
            for item in list where try !fits(items, item) { return false }
            return true
        case (.map(let values), .object(let object)):
            for member in object.members where try !fits(values, member.value) { return false }
            return true
        case (.record(let record), .object(let object)): return try fits(record, object)
        case (.union(let branches), _):
            if let (place, inner) = tagged(branches, json), try fits(branches[place], inner) { return true }
            for branch in branches where try fits(branch, json) { return true }
            return false
        default: return fitsPlain(type, json)
        }
    }

    private mutating func fits(_ record: AvroSchema.Record, _ object: JSONObject) throws(SchemaFailure) -> Bool {
        guard object.members.allSatisfy({ record.places[$0.name] != nil }) else { return false }
        for field in record.fields {
            guard let value = object[field.name.string] else {
                guard field.defaultValue != nil else { return false }
                continue
            }
            guard try fits(field.type, value) else { return false }
        }
        return true
    }

    private func fitsPlain(_ type: Int, _ json: JSONValue) -> Bool {
        switch (schema.nodes[type], json) {
        case (.null, .null), (.boolean, .bool), (.string, .text): return true
        case (.int, .number(let number)): return number.int64.flatMap { Int32(exactly: $0) } != nil
        case (.long, .number(let number)): return number.int64 != nil
        case (.float, .number(let number)): return Float(number.double).isFinite
        case (.double, .number(let number)): return number.double.isFinite
        case (.bytes, .text(let text)): return Self.bytes(text) != nil
        case (.fixed(_, let size), .text(let text)): return Self.bytes(text)?.count == size
        case (.enumeration(let enumeration), .text(let text)): return enumeration.places[text] != nil
        default: return false
        }
    }

    /// A character for a byte, as in ISO 8859-1.
    private static func bytes(_ text: ExactText) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.string.utf8.count)
        for scalar in text.string.unicodeScalars {
            guard let byte = UInt8(exactly: scalar.value) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }
}
