import Encodings

/// A JSON Schema with its keywords found and its references resolved: rules by their index, so that one may contain itself.
struct JSONSchema: Sendable {
    struct Rules: Sendable {
        /// `$ref`; in draft 7 and before the only rule where it stands.
        var reference: Int?
        var types: Set<String>?
        var values: Set<JSONValue>?
        var minimum: JSONNumber?
        var maximum: JSONNumber?
        var exclusiveMinimum: JSONNumber?
        var exclusiveMaximum: JSONNumber?
        var multipleOf: JSONNumber?
        var minLength: Int?
        var maxLength: Int?
        var pattern: Pattern?
        /// Rules of the first items, each its own.
        var firstItems: [Int] = []
        var otherItems: Int?
        var contains: Int?
        var minItems: Int?
        var maxItems: Int?
        var areItemsUnique = false
        var required: [ExactText] = []
        var minProperties: Int?
        var maxProperties: Int?
        var properties: [ExactText: Int] = [:]
        var patternProperties: [(pattern: Pattern, rules: Int)] = []
        var additionalProperties: Int?
        var propertyNames: Int?
        var requiredWith: [ExactText: [ExactText]] = [:]
        var rulesWith: [ExactText: Int] = [:]
        var allOf: [Int] = []
        var anyOf: [Int]?
        var oneOf: [Int]?
        var not: Int?
        var condition: Int?
        var then: Int?
        var otherwise: Int?
    }

    struct Pattern: Sendable {
        let text: String
        let compiled: BoundedPattern
    }

    enum Node: Sendable {
        case always
        case never
        case rules(Shared)
    }

    /// Rules are large, and those who walk them call themselves: what they hand on is a reference.
    final class Shared: Sendable {
        let rules: Rules
        init(_ rules: Rules) { self.rules = rules }
    }

    let nodes: [Node]
}
