import Encodings

/// Judges one document by a schema, once.
///
/// A schema may ask a great deal of a small document (`anyOf` in `anyOf`, patterns), so what is done is counted, and the count is
/// bounded; so is the depth. Beyond either the document is refused.
struct JSONSchemaCheck {
    private let schema: JSONSchema
    private var path = JSONPath()
    private var steps = JSONSchemaCheck.maxSteps
    private var depth = 0
    /// Above zero: a branch is tried, and why it doesn't fit is of no interest.
    private var trials = 0
    private var reason: String?

    private static let maxSteps = 2_000_000
    /// Of rules within rules: a document of 64 levels takes one to three for each.
    private static let maxDepth = 192

    /// - Throws: `.invalid` with the place in the document.
    static func check(_ json: JSONValue, _ schema: JSONSchema) throws(SchemaFailure) {
        var check = JSONSchemaCheck(schema: schema)
        guard try check.fits(0, json) else { throw .invalid(check.reason ?? "$: the document doesn't fit the schema") }
    }

    private init(schema: JSONSchema) { self.schema = schema }

    /// - Returns: `false`, always.
    private mutating func fails(_ text: @autoclosure () -> String) -> Bool {
        if trials == 0, reason == nil { reason = "\(path): \(text())" }
        return false
    }

    private mutating func spend(_ count: Int = 1) throws(SchemaFailure) {
        steps -= count
        guard steps >= 0 else { throw .invalid("\(path): the document costs too much to check") }
    }

    private mutating func trying(_ rules: Int, _ json: JSONValue) throws(SchemaFailure) -> Bool {
        trials += 1
        defer { trials -= 1 }
        // Left where it was found: a branch that is abandoned doesn't clean up.
        let outer = path
        let result = try fits(rules, json)
        path = outer
        return result
    }

    private mutating func fits(_ index: Int, _ json: JSONValue) throws(SchemaFailure) -> Bool {
        try spend()
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maxDepth else { throw .invalid("\(path): schema and document are nested deeper than \(Self.maxDepth)") }
        switch schema.nodes[index] {
        case .always: return true
        case .never: return fails("the schema allows nothing here")
        case .rules(let shared):
            if let reference = shared.rules.reference { guard try fits(reference, json) else { return false } }
            if let types = shared.rules.types, !isOf(types, json) {
                return fails("expected \(types.sorted().joined(separator: " or ")), found \(json.kind)")
            }
            if let values = shared.rules.values {
                guard values.contains(json) else { return fails("not one of the \(values.count) values that are allowed") }
            }
            switch json {
            case .number(let number): guard fits(shared, number) else { return false }
            case .text(let text): guard try fits(shared, text.string) else { return false }
            case .array(let items): guard try fits(shared, items) else { return false }
            case .object(let object): guard try fits(shared, object, json) else { return false }
            case .null, .bool: break
            }
            return try combined(shared, json)
        }
    }

    private func isOf(_ types: Set<String>, _ json: JSONValue) -> Bool {
        switch json {
        case .null: types.contains("null")
        case .bool: types.contains("boolean")
        case .number(let number): types.contains("number") || types.contains("integer") && number.isWhole
        case .text: types.contains("string")
        case .array: types.contains("array")
        case .object: types.contains("object")
        }
    }

    private mutating func combined(_ shared: JSONSchema.Shared, _ json: JSONValue) throws(SchemaFailure) -> Bool {
        for part in shared.rules.allOf where try !fits(part, json) { return false }
        if let parts = shared.rules.anyOf {
            var isAny = false
            for part in parts where try trying(part, json) {
                isAny = true
                break
            }
            if !isAny { return fails("it fits none of \(parts.count) alternatives") }
        }
        if let parts = shared.rules.oneOf {
            var count = 0
            for part in parts where try trying(part, json) { count += 1 }
            if count != 1 { return fails("it fits \(count) of \(parts.count) alternatives that exclude each other") }
        }
        if let part = shared.rules.not, try trying(part, json) { return fails("it fits what it must not") }
        if let condition = shared.rules.condition {
            let part = try trying(condition, json) ? shared.rules.then : shared.rules.otherwise
            if let part { return try fits(part, json) }
        }
        return true
    }

    private mutating func fits(_ shared: JSONSchema.Shared, _ number: JSONNumber) -> Bool {
        if let least = shared.rules.minimum, number < least { return fails("below \(least.text)") }
        if let most = shared.rules.maximum, most < number { return fails("above \(most.text)") }
        if let least = shared.rules.exclusiveMinimum, !(least < number) { return fails("not above \(least.text)") }
        if let most = shared.rules.exclusiveMaximum, !(number < most) { return fails("not below \(most.text)") }
        if let divisor = shared.rules.multipleOf, !number.isMultiple(of: divisor) { return fails("no multiple of \(divisor.text)") }
        return true
    }

    private mutating func fits(_ shared: JSONSchema.Shared, _ text: String) throws(SchemaFailure) -> Bool {
        if shared.rules.minLength != nil || shared.rules.maxLength != nil {
            let length = text.unicodeScalars.count
            if let least = shared.rules.minLength, length < least { return fails("shorter than \(least) characters") }
            if let most = shared.rules.maxLength, length > most { return fails("longer than \(most) characters") }
        }
        if let pattern = shared.rules.pattern, try !isFound(pattern, text) { return fails("it doesn't match \(pattern.text)") }
        return true
    }

    private mutating func isFound(_ pattern: JSONSchema.Pattern, _ text: String) throws(SchemaFailure) -> Bool {
        let isFound = pattern.compiled.isFound(in: text, steps: &steps)
        try spend(0)
        return isFound
    }

    private mutating func fits(_ shared: JSONSchema.Shared, _ items: [JSONValue]) throws(SchemaFailure) -> Bool {
        if let least = shared.rules.minItems, items.count < least { return fails("fewer than \(least) items") }
        if let most = shared.rules.maxItems, items.count > most { return fails("more than \(most) items") }
        if shared.rules.areItemsUnique, Set(items).count != items.count { return fails("two items are the same") }
        for (place, item) in items.enumerated() {
            guard let part = place < shared.rules.firstItems.count ? shared.rules.firstItems[place] : shared.rules.otherItems else { break }
            path.enter(place)
            guard try fits(part, item) else { return false }
            path.leave()
        }
        if let part = shared.rules.contains {
            var isThere = false
            for item in items where try trying(part, item) {
                isThere = true
                break
            }
            if !isThere { return fails("no item is as one must be") }
        }
        return true
    }

    private mutating func fits(_ shared: JSONSchema.Shared, _ object: JSONObject, _ json: JSONValue) throws(SchemaFailure) -> Bool {
        if let least = shared.rules.minProperties, object.count < least { return fails("fewer than \(least) members") }
        if let most = shared.rules.maxProperties, object.count > most { return fails("more than \(most) members") }
        for name in shared.rules.required where !object.contains(name) { return fails("\(name) is missing") }
        for member in object.members {
            path.enter(member.name)
            guard try fits(shared, member) else { return false }
            path.leave()
        }
        for (name, others) in shared.rules.requiredWith where object.contains(name) {
            for other in others where !object.contains(other) { return fails("\(other) is missing, which belongs to \(name)") }
        }
        for (name, part) in shared.rules.rulesWith where object.contains(name) {
            guard try fits(part, json) else { return false }
        }
        return true
    }

    private mutating func fits(_ shared: JSONSchema.Shared, _ member: JSONObject.Member) throws(SchemaFailure) -> Bool {
        if let part = shared.rules.propertyNames, try !trying(part, .text(member.name)) { return fails("no name that is allowed") }
        var isNamed = false
        if let part = shared.rules.properties[member.name] {
            isNamed = true
            guard try fits(part, member.value) else { return false }
        }
        for (pattern, part) in shared.rules.patternProperties where try isFound(pattern, member.name.string) {
            isNamed = true
            guard try fits(part, member.value) else { return false }
        }
        if !isNamed, let part = shared.rules.additionalProperties {
            if case .never = schema.nodes[part] { return fails("the schema has no such member") }
            return try fits(part, member.value)
        }
        return true
    }
}
