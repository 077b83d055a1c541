/// A JSON document in memory, as exact as its text: numbers keep their digits, texts compare by their bytes.
///
/// Swift's own comparison takes `é` and `e` with an accent for the same text. A schema's enumeration and a member's name
/// don't, hence `ExactText`.
package enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case text(ExactText)
    case array([JSONValue])
    case object(JSONObject)

    /// What a fault calls it.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .number(let number): number.int64 != nil ? "integer" : "number"
        case .text: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    package var string: String? { if case .text(let text) = self { text.string } else { nil } }
    package var array: [JSONValue]? { if case .array(let items) = self { items } else { nil } }
    package var object: JSONObject? { if case .object(let object) = self { object } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var int64: Int64? { if case .number(let number) = self { number.int64 } else { nil } }

    /// A member of an object; `nil` where it has none, and of everything else.
    package subscript(name: String) -> JSONValue? { object?[name] }
}

/// Members in the order of the text, each name once.
package struct JSONObject: Hashable, Sendable {
    package struct Member: Sendable {
        package let name: ExactText
        package var value: JSONValue
    }

    package private(set) var members: [Member] = []
    /// Only of objects with many members: few are found sooner by looking at each.
    private var places: [ExactText: Int] = [:]
    private static let few = 8

    package init() {}
    package var count: Int { members.count }

    package subscript(name: String) -> JSONValue? { place(of: ExactText(name)).map { members[$0].value } }
    package func contains(_ name: ExactText) -> Bool { place(of: name) != nil }

    /// The last of those with the same name stays, in the place of the first.
    package mutating func set(_ name: ExactText, _ value: JSONValue) {
        if let place = place(of: name) {
            members[place].value = value
            return
        }
        members.append(Member(name: name, value: value))
        if members.count == Self.few + 1 {
            for (place, member) in members.enumerated() { places[member.name] = place }
        } else if members.count > Self.few {
            places[name] = members.count - 1
        }
    }

    private func place(of name: ExactText) -> Int? {
        members.count > Self.few ? places[name] : members.firstIndex { $0.name == name }
    }

    /// The order of members is none of an object's meaning.
    package static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.count == b.count
            && a.members.allSatisfy { member in b.place(of: member.name).map { b.members[$0].value == member.value } ?? false }
    }
    package func hash(into hasher: inout Hasher) {
        var sum = 0
        for member in members {
            var own = Hasher()
            own.combine(member.name)
            own.combine(member.value)
            sum &+= own.finalize()
        }
        hasher.combine(sum)
    }
}
