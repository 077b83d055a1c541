import Encodings

/// An Avro schema with its names resolved: types by their index, so that one may contain itself.
struct AvroSchema: Sendable {
    enum Node: Sendable {
        case null, boolean, int, long, float, double, bytes, string
        case record(Record)
        case enumeration(Enumeration)
        case fixed(name: String, size: Int)
        case array(items: Int)
        case map(values: Int)
        case union([Int])
    }

    struct Record: Sendable {
        let name: String
        var fields: [Field] = []
        /// Of names and aliases none but the names: an alias is the reader's, and we write.
        var places: [ExactText: Int] = [:]
    }

    struct Field: Sendable {
        let name: ExactText
        let type: Int
        let defaultValue: JSONValue?
    }

    struct Enumeration: Sendable {
        let name: String
        let symbols: [String]
        let places: [ExactText: Int]
    }

    let nodes: [Node]
    let root: Int

    /// As Avro's JSON encoding names a branch of a union.
    func name(of type: Int) -> String {
        switch nodes[type] {
        case .null: "null"
        case .boolean: "boolean"
        case .int: "int"
        case .long: "long"
        case .float: "float"
        case .double: "double"
        case .bytes: "bytes"
        case .string: "string"
        case .record(let record): record.name
        case .enumeration(let enumeration): enumeration.name
        case .fixed(let name, _): name
        case .array: "array"
        case .map: "map"
        case .union: "union"
        }
    }

    /// Name of the record at the root, which strategies put into a subject.
    var recordName: String { name(of: root) }

    /// The schema in the plainest words, for libavro.
    ///
    /// Names say nothing in Avro's binary encoding, so types and fields are numbered: namespaces, aliases, logical types and
    /// references to other subjects, which libavro knows in part or not at all, are gone.
    var plainText: String {
        var text = ""
        var written = Set<Int>()
        write(root, &text, &written)
        return text
    }

    private func write(_ type: Int, _ text: inout String, _ written: inout Set<Int>) {
        switch nodes[type] {
        case .record(let record):
            guard written.insert(type).inserted else {
                text += "\"t\(type)\""
                return
            }
            text += "{\"type\":\"record\",\"name\":\"t\(type)\",\"fields\":["
            for (place, field) in record.fields.enumerated() {
                text += "\(place > 0 ? "," : ""){\"name\":\"f\(place)\",\"type\":"
                write(field.type, &text, &written)
                text += "}"
            }
            text += "]}"
        case .enumeration(let enumeration):
            guard written.insert(type).inserted else {
                text += "\"t\(type)\""
                return
            }
            let symbols = enumeration.symbols.indices.map { "\"s\($0)\"" }.joined(separator: ",")
            text += "{\"type\":\"enum\",\"name\":\"t\(type)\",\"symbols\":[\(symbols)]}"
        case .fixed(_, let size):
            guard written.insert(type).inserted else {
                text += "\"t\(type)\""
                return
            }
            text += "{\"type\":\"fixed\",\"name\":\"t\(type)\",\"size\":\(size)}"
        case .array(let items):
            text += "{\"type\":\"array\",\"items\":"
            write(items, &text, &written)
            text += "}"
        case .map(let values):
            text += "{\"type\":\"map\",\"values\":"
            write(values, &text, &written)
            text += "}"
        case .union(let branches):
            text += "["
            for (place, branch) in branches.enumerated() {
                if place > 0 { text += "," }
                write(branch, &text, &written)
            }
            text += "]"
        default: text += "\"\(name(of: type))\""
        }
    }
}
