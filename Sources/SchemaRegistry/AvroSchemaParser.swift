import Encodings

/// Reads an Avro schema (specification 1.11) and resolves its names, also those of schemas that it refers to.
///
/// A schema comes from a registry, which many may write to: it is bounded in depth and in the number of types, and one whose
/// plainest value would be endless or enormous is refused, since libavro makes that value.
struct AvroSchemaParser {
    private var nodes: [AvroSchema.Node] = []
    private var named: [String: Int] = [:]
    /// Documents of other subjects, each taken when the first of its names is met.
    private var references: [String: JSONValue]

    private static let maxDepth = 100
    private static let maxNodes = 10_000
    /// Fields in a value that holds nothing but what it must.
    private static let maxPlainSize = 10_000

    /// - Parameter references: Texts by the names they are referred to by.
    /// - Throws: `.misconfigured`: what is wrong with the schema.
    static func parse(_ text: String, references: [String: String] = [:]) throws(SchemaFailure) -> AvroSchema {
        var documents: [String: JSONValue] = [:]
        for (name, text) in references { documents[name] = try document(text) }
        var parser = AvroSchemaParser(references: documents)
        let root = try parser.type(try document(text), namespace: "", depth: 0)
        var sizes: [Int: Int] = [:]
        _ = try parser.plainSize(root, depth: 0, &sizes)
        // Others are met as elements of arrays, maps and unions.
        for type in parser.nodes.indices { _ = try parser.plainSize(type, depth: 0, &sizes) }
        return AvroSchema(nodes: parser.nodes, root: root)
    }

    private init(references: [String: JSONValue]) { self.references = references }

    private static func document(_ text: String) throws(SchemaFailure) -> JSONValue {
        do throws(JSONFault) { return try JSONReader.read(text) } catch {
            // A bare name is what some registries answer for a primitive type.
            if text.utf8.allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }), primitive(text) != nil {
                return .string(text)
            }
            throw .misconfigured("the Avro schema is \(error)")
        }
    }

    private static func primitive(_ name: String) -> AvroSchema.Node? {
        switch name {
        case "null": .null
        case "boolean": .boolean
        case "int": .int
        case "long": .long
        case "float": .float
        case "double": .double
        case "bytes": .bytes
        case "string": .string
        default: nil
        }
    }

    private mutating func add(_ node: AvroSchema.Node) throws(SchemaFailure) -> Int {
        guard nodes.count < Self.maxNodes else { throw .misconfigured("the Avro schema has more than \(Self.maxNodes) types") }
        nodes.append(node)
        return nodes.count - 1
    }

    private mutating func type(_ json: JSONValue, namespace: String, depth: Int) throws(SchemaFailure) -> Int {
        guard depth <= Self.maxDepth else { throw .misconfigured("the Avro schema is nested deeper than \(Self.maxDepth)") }
        switch json {
        case .text(let name): return try resolve(name.string, namespace: namespace, depth: depth)
        case .array(let branches): return try union(branches, namespace: namespace, depth: depth)
        case .object: break
        default: throw .misconfigured("an Avro type is a name, a list or an object, no \(json.kind)")
        }
        guard let kind = json["type"] else { throw .misconfigured("an Avro type has no \"type\"") }
        switch kind.string {
        case "record", "error": return try record(json, namespace: namespace, depth: depth)
        case "enum": return try enumeration(json, namespace: namespace)
        case "fixed":
            guard let size = json["size"]?.int64, (0...(1 << 20)).contains(size) else {
                throw .misconfigured("a fixed Avro type has no size between 0 and 1048576")
            }
            let (name, _) = try Self.fullName(json, namespace: namespace)
            return try declare(name, .fixed(name: name, size: Int(size)))
        case "array":
            guard let items = json["items"] else { throw .misconfigured("an Avro array has no \"items\"") }
            let type = try type(items, namespace: namespace, depth: depth + 1)
            return try add(.array(items: type))
        case "map":
            guard let values = json["values"] else { throw .misconfigured("an Avro map has no \"values\"") }
            let type = try type(values, namespace: namespace, depth: depth + 1)
            return try add(.map(values: type))
        // A primitive or a name with attributes: a logical type is written as the type beneath.
        default: return try type(kind, namespace: namespace, depth: depth + 1)
        }
    }

    private mutating func union(_ branches: [JSONValue], namespace: String, depth: Int) throws(SchemaFailure) -> Int {
        var types: [Int] = []
        var names = Set<String>()
        for branch in branches {
            let type = try type(branch, namespace: namespace, depth: depth + 1)
            if case .union = nodes[type] { throw .misconfigured("an Avro union stands directly in another") }
            let name = AvroSchema(nodes: nodes, root: type).recordName
            guard names.insert(name).inserted else { throw .misconfigured("an Avro union has \(name) twice") }
            types.append(type)
        }
        guard !types.isEmpty else { throw .misconfigured("an Avro union has no branch") }
        return try add(.union(types))
    }

    private mutating func record(_ json: JSONValue, namespace: String, depth: Int) throws(SchemaFailure) -> Int {
        let (name, inner) = try Self.fullName(json, namespace: namespace)
        guard let list = json["fields"]?.array, !list.isEmpty else { throw .misconfigured("the Avro record \(name) has no fields") }
        // Declared before its fields are read: they may speak of it.
        let place = try declare(name, .record(AvroSchema.Record(name: name)))
        var record = AvroSchema.Record(name: name)
        for field in list {
            guard let fieldName = field["name"]?.string, Self.isName(fieldName[...]), let type = field["type"] else {
                throw .misconfigured("a field of the Avro record \(name) has no proper name or type")
            }
            let exact = ExactText(fieldName)
            guard record.places.updateValue(record.fields.count, forKey: exact) == nil else {
                throw .misconfigured("the Avro record \(name) has the field \(fieldName) twice")
            }
            let index = try self.type(type, namespace: inner, depth: depth + 1)
            record.fields.append(.init(name: exact, type: index, defaultValue: field["default"]))
        }
        nodes[place] = .record(record)
        return place
    }

    private mutating func enumeration(_ json: JSONValue, namespace: String) throws(SchemaFailure) -> Int {
        let (name, _) = try Self.fullName(json, namespace: namespace)
        var places: [ExactText: Int] = [:]
        var symbols: [String] = []
        for symbol in json["symbols"]?.array ?? [] {
            guard let text = symbol.string, Self.isName(text[...]), places.updateValue(symbols.count, forKey: ExactText(text)) == nil else {
                throw .misconfigured("the Avro enum \(name) has a symbol twice, or one that is no name")
            }
            symbols.append(text)
        }
        guard !symbols.isEmpty else { throw .misconfigured("the Avro enum \(name) has no symbols") }
        return try declare(name, .enumeration(.init(name: name, symbols: symbols, places: places)))
    }

    private mutating func declare(_ name: String, _ node: AvroSchema.Node) throws(SchemaFailure) -> Int {
        guard named[name] == nil else { throw .misconfigured("the Avro schema declares \(name) twice") }
        let place = try add(node)
        named[name] = place
        return place
    }

    private mutating func resolve(_ name: String, namespace: String, depth: Int) throws(SchemaFailure) -> Int {
        if let node = Self.primitive(name) { return try add(node) }
        let candidates = name.contains(".") || namespace.isEmpty ? [name] : ["\(namespace).\(name)", name]
        for candidate in candidates {
            if let place = named[candidate] { return place }
            if let document = references.removeValue(forKey: candidate) {
                _ = try type(document, namespace: "", depth: depth + 1)
                if let place = named[candidate] { return place }
            }
        }
        throw .misconfigured("the Avro schema speaks of \(String(name.prefix(200))), which is declared nowhere")
    }

    private static func fullName(_ json: JSONValue, namespace: String) throws(SchemaFailure) -> (name: String, namespace: String) {
        guard let name = json["name"]?.string else { throw .misconfigured("an Avro type that needs a name has none") }
        var full = name
        if !name.contains(".") {
            let own = json["namespace"]?.string ?? namespace
            if !own.isEmpty { full = "\(own).\(name)" }
        }
        guard full.utf8.count <= 1_000, full.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isName),
            primitive(full) == nil
        else { throw .misconfigured("\(String(full.prefix(200))) is no name for an Avro type") }
        return (full, full.lastIndex(of: ".").map { String(full[..<$0]) } ?? "")
    }

    private static func isName(_ name: Substring) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return name.utf8.allSatisfy { $0 == 0x5F || (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) && $0 < 0x80 }
    }

    /// Fields of a value with empty arrays, maps and no branch chosen.
    private func plainSize(_ type: Int, depth: Int, _ sizes: inout [Int: Int]) throws(SchemaFailure) -> Int {
        guard case .record(let record) = nodes[type] else { return 1 }
        if let size = sizes[type] { return size }
        guard depth <= Self.maxDepth else { throw .misconfigured("the Avro record \(record.name) contains itself, or records too deep") }
        var size = 1
        for field in record.fields { size += try plainSize(field.type, depth: depth + 1, &sizes) }
        guard size <= Self.maxPlainSize else {
            throw .misconfigured("the Avro record \(record.name) has more than \(Self.maxPlainSize) fields with those of its records")
        }
        sizes[type] = size
        return size
    }
}
