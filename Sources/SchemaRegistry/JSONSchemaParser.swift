import Encodings

/// Reads a JSON Schema: draft 7, with draft 4's `exclusiveMinimum: true` and draft 2020's `$defs`, `prefixItems`, `dependentRequired`
/// and `dependentSchemas`. `format`, `unevaluated…` and `$dynamicRef` judge nothing here.
struct JSONSchemaParser {
    /// A place in one of the documents, `name#pointer`.
    private struct Target: Hashable {
        let document: String
        let fragment: String
    }

    private var documents: [String: JSONValue] = [:]
    private var nodes: [JSONSchema.Node] = []
    private var targets: [Target: Int] = [:]
    /// Referred to, not yet read. A list and no recursion: references may be chained as long as the schema is.
    private var open: [Target] = []
    /// Before draft 2019, what stands beside `$ref` is nothing.
    private var isReferenceAlone = true

    private static let maxNodes = 20_000
    private static let own = ""

    /// - Parameter references: Texts by the names they are referred to by.
    /// - Throws: `.misconfigured`: what is wrong with the schema, or isn't known here.
    static func parse(_ text: String, references: [String: String] = [:]) throws(SchemaFailure) -> JSONSchema {
        var parser = JSONSchemaParser()
        parser.documents[own] = try document(text)
        for (name, text) in references { parser.documents[name] = try document(text) }
        if let dialect = parser.documents[own]?["$schema"]?.string, dialect.contains("/20") { parser.isReferenceAlone = false }
        _ = try parser.index(of: Target(document: own, fragment: ""))
        while let target = parser.open.popLast() {
            guard let place = parser.targets[target] else { continue }
            let json = try parser.find(target)
            parser.nodes[place] = try parser.node(json, in: target.document)
        }
        return JSONSchema(nodes: parser.nodes)
    }

    private static func document(_ text: String) throws(SchemaFailure) -> JSONValue {
        do throws(JSONFault) { return try JSONReader.read(text) } catch { throw .misconfigured("the JSON schema is \(error)") }
    }

    private mutating func reserve() throws(SchemaFailure) -> Int {
        guard nodes.count < Self.maxNodes else { throw .misconfigured("the JSON schema has more than \(Self.maxNodes) parts") }
        nodes.append(.always)
        return nodes.count - 1
    }

    private mutating func index(of target: Target) throws(SchemaFailure) -> Int {
        if let place = targets[target] { return place }
        let place = try reserve()
        targets[target] = place
        open.append(target)
        return place
    }

    private mutating func add(_ json: JSONValue, in document: String) throws(SchemaFailure) -> Int {
        let place = try reserve()
        nodes[place] = try node(json, in: document)
        return place
    }

    // MARK: References

    private func target(_ reference: String, from document: String) throws(SchemaFailure) -> Target {
        let parts = reference.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let base = parts[0]
        let fragment = parts.count > 1 ? parts[1] : ""
        if base.isEmpty { return Target(document: document, fragment: fragment) }
        if documents[base] != nil { return Target(document: base, fragment: fragment) }
        func isNamed(_ json: JSONValue, _ name: String) -> Bool {
            (json["$id"] ?? json["id"])?.string.map { $0 == name || $0 == name + "#" } ?? false
        }
        // As the schema's own name says where it lies, so does a reference beside it.
        let id = (documents[document]?["$id"] ?? documents[document]?["id"])?.string ?? ""
        let besides = id.lastIndex(of: "/").map { String(id[...$0]) + base }
        for name in [base, besides].compactMap({ $0 }) {
            if let found = documents.sorted(by: { $0.key < $1.key }).first(where: { isNamed($0.value, name) }) {
                return Target(document: found.key, fragment: fragment)
            }
            if documents[name] != nil { return Target(document: name, fragment: fragment) }
        }
        throw .misconfigured("the JSON schema refers to \(String(reference.prefix(200))), which is not among its references")
    }

    private func find(_ target: Target) throws(SchemaFailure) -> JSONValue {
        guard var json = documents[target.document] else { throw .misconfigured("the JSON schema refers to what isn't there") }
        if target.fragment.isEmpty { return json }
        let missing = SchemaFailure.misconfigured(
            "the JSON schema refers to \(target.document)#\(String(target.fragment.prefix(200))), which isn't there")
        guard target.fragment.hasPrefix("/") else {
            guard let anchored = anchor(target.fragment, in: json) else { throw missing }
            return anchored
        }
        for step in target.fragment.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let name = Self.unescaped(step) else { throw missing }
            if let next = json[name] {
                json = next
            } else if let items = json.array, let place = Int(name), items.indices.contains(place) {
                json = items[place]
            } else {
                throw missing
            }
        }
        return json
    }

    /// `{"$id": "#name"}` or `{"$anchor": "name"}`, anywhere.
    private func anchor(_ name: String, in json: JSONValue) -> JSONValue? {
        if json["$id"]?.string == "#" + name || json["$anchor"]?.string == name { return json }
        for inner in json.array ?? json.object?.members.map(\.value) ?? [] {
            if let found = anchor(name, in: inner) { return found }
        }
        return nil
    }

    /// A JSON pointer's step within a URI: `%25`, then `~1` and `~0`.
    private static func unescaped(_ step: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = step.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let text = String(rest.prefix(2)), let value = UInt8(text, radix: 16), text.utf8.count == 2 else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var name = ""
        var scalars = text.unicodeScalars.makeIterator()
        while let scalar = scalars.next() {
            guard scalar == "~" else {
                name.unicodeScalars.append(scalar)
                continue
            }
            switch scalars.next() {
            case "0": name += "~"
            case "1": name += "/"
            default: return nil
            }
        }
        return name
    }

    // MARK: Keywords

    private mutating func node(_ json: JSONValue, in document: String) throws(SchemaFailure) -> JSONSchema.Node {
        switch json {
        case .bool(true): return .always
        case .bool(false): return .never
        case .object(let object): return .rules(.init(try rules(object, in: document)))
        default: throw .misconfigured("a JSON schema is an object or a boolean, no \(json.kind)")
        }
    }

    private mutating func rules(_ json: JSONObject, in document: String) throws(SchemaFailure) -> JSONSchema.Rules {
        var rules = JSONSchema.Rules()
        if let reference = json["$ref"]?.string {
            rules.reference = try index(of: try target(reference, from: document))
            if isReferenceAlone { return rules }
        }
        if let types = json["type"] {
            let names = (types.array ?? [types]).compactMap(\.string)
            guard !names.isEmpty, names.allSatisfy({ Self.types.contains($0) }) else {
                throw .misconfigured("a JSON schema's type is unknown")
            }
            rules.types = Set(names)
        }
        if let values = json["enum"] {
            guard let values = values.array else { throw .misconfigured("a JSON schema's enum is no array") }
            rules.values = Set(values)
        }
        if let value = json["const"] { rules.values = rules.values.map { $0.intersection([value]) } ?? [value] }
        try numbers(json, &rules)
        rules.minLength = try count(json, "minLength")
        rules.maxLength = try count(json, "maxLength")
        rules.minItems = try count(json, "minItems")
        rules.maxItems = try count(json, "maxItems")
        rules.minProperties = try count(json, "minProperties")
        rules.maxProperties = try count(json, "maxProperties")
        if let text = json["pattern"] { rules.pattern = try pattern(text.string) }
        rules.areItemsUnique = json["uniqueItems"]?.bool ?? false
        try arrays(json, &rules, in: document)
        try objects(json, &rules, in: document)
        rules.allOf = try list(json, "allOf", in: document) ?? []
        rules.anyOf = try list(json, "anyOf", in: document)
        rules.oneOf = try list(json, "oneOf", in: document)
        rules.not = try one(json, "not", in: document)
        rules.condition = try one(json, "if", in: document)
        if rules.condition != nil {
            rules.then = try one(json, "then", in: document)
            rules.otherwise = try one(json, "else", in: document)
        }
        return rules
    }

    private static let types: Set<String> = ["null", "boolean", "object", "array", "number", "string", "integer"]

    private func numbers(_ json: JSONObject, _ rules: inout JSONSchema.Rules) throws(SchemaFailure) {
        func number(_ name: String) throws(SchemaFailure) -> JSONNumber? {
            guard let value = json[name] else { return nil }
            guard case .number(let number) = value else { throw .misconfigured("a JSON schema's \(name) is no number") }
            return number
        }
        rules.minimum = try number("minimum")
        rules.maximum = try number("maximum")
        // Draft 4 has a flag for what is a number of its own since draft 6.
        if let flag = json["exclusiveMinimum"]?.bool {
            if flag { (rules.exclusiveMinimum, rules.minimum) = (rules.minimum, nil) }
        } else {
            rules.exclusiveMinimum = try number("exclusiveMinimum")
        }
        if let flag = json["exclusiveMaximum"]?.bool {
            if flag { (rules.exclusiveMaximum, rules.maximum) = (rules.maximum, nil) }
        } else {
            rules.exclusiveMaximum = try number("exclusiveMaximum")
        }
        rules.multipleOf = try number("multipleOf")
        if let divisor = rules.multipleOf, !(divisor.double > 0) { throw .misconfigured("a JSON schema's multipleOf is not above zero") }
    }

    private mutating func arrays(_ json: JSONObject, _ rules: inout JSONSchema.Rules, in document: String) throws(SchemaFailure) {
        if let first = json["prefixItems"]?.array {
            for item in first { rules.firstItems.append(try add(item, in: document)) }
            rules.otherItems = try one(json, "items", in: document)
        } else if let first = json["items"]?.array {
            for item in first { rules.firstItems.append(try add(item, in: document)) }
            rules.otherItems = try one(json, "additionalItems", in: document)
        } else {
            rules.otherItems = try one(json, "items", in: document)
        }
        rules.contains = try one(json, "contains", in: document)
    }

    private mutating func objects(_ json: JSONObject, _ rules: inout JSONSchema.Rules, in document: String) throws(SchemaFailure) {
        // In draft 3 a flag of a property; nothing here.
        rules.required = (json["required"]?.array ?? []).compactMap { $0.string.map { ExactText($0) } }
        for member in json["properties"]?.object?.members ?? [] { rules.properties[member.name] = try add(member.value, in: document) }
        for member in json["patternProperties"]?.object?.members ?? [] {
            rules.patternProperties.append((try pattern(member.name.string), try add(member.value, in: document)))
        }
        rules.additionalProperties = try one(json, "additionalProperties", in: document)
        rules.propertyNames = try one(json, "propertyNames", in: document)
        for keyword in ["dependencies", "dependentRequired", "dependentSchemas"] {
            for member in json[keyword]?.object?.members ?? [] {
                if let names = member.value.array {
                    rules.requiredWith[member.name] = names.compactMap { $0.string.map { ExactText($0) } }
                } else {
                    rules.rulesWith[member.name] = try add(member.value, in: document)
                }
            }
        }
    }

    private mutating func one(_ json: JSONObject, _ name: String, in document: String) throws(SchemaFailure) -> Int? {
        guard let value = json[name] else { return nil }
        return try add(value, in: document)
    }

    private mutating func list(_ json: JSONObject, _ name: String, in document: String) throws(SchemaFailure) -> [Int]? {
        guard let value = json[name] else { return nil }
        guard let items = value.array, !items.isEmpty else { throw .misconfigured("a JSON schema's \(name) is no list of schemas") }
        var list: [Int] = []
        for item in items { list.append(try add(item, in: document)) }
        return list
    }

    private func count(_ json: JSONObject, _ name: String) throws(SchemaFailure) -> Int? {
        guard let value = json[name] else { return nil }
        guard let count = value.int64, count >= 0 else { throw .misconfigured("a JSON schema's \(name) is no count") }
        return Int(count)
    }

    private func pattern(_ text: String?) throws(SchemaFailure) -> JSONSchema.Pattern {
        guard let text else { throw .misconfigured("a JSON schema's pattern is no text") }
        do throws(BoundedPattern.Fault) { return .init(text: text, compiled: try BoundedPattern(text)) } catch {
            throw .misconfigured("the pattern \(JSONWriter.quoted(String(text.prefix(200)))) can't be used: \(error.reason)")
        }
    }
}
