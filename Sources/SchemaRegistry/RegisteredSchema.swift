import Encodings

/// The languages a registry keeps schemas in.
package enum SchemaFormat: String, Hashable, Sendable, CaseIterable {
    case avro = "AVRO"
    case json = "JSON"
    case protobuf = "PROTOBUF"
}

/// A version of a subject.
package enum SchemaVersion: Hashable, Sendable, CustomStringConvertible {
    case latest
    case number(Int)

    /// As the registry's paths have it.
    package var description: String {
        switch self {
        case .latest: "latest"
        case .number(let number): String(number)
        }
    }
}

/// Another subject's version that a schema speaks of by `name`: an Avro name, a `$ref`, or a protobuf import.
package struct SchemaReference: Hashable, Sendable {
    package let name: String
    package let subject: String
    package let version: Int

    package init(name: String, subject: String, version: Int) {
        self.name = name
        self.subject = subject
        self.version = version
    }
}

/// A schema as the registry keeps it. One with an id never changes.
package struct RegisteredSchema: Hashable, Sendable {
    package let id: Int32
    package let format: SchemaFormat
    package let text: String
    package let references: [SchemaReference]

    package init(id: Int32, format: SchemaFormat, text: String, references: [SchemaReference] = []) {
        self.id = id
        self.format = format
        self.text = text
        self.references = references
    }

    /// - Parameter id: Where the answer doesn't say it, since the question did.
    init(answer: JSONValue, id: Int32? = nil) throws(SchemaRegistryFailure) {
        guard let text = answer["schema"]?.string else { throw .invalid("the registry's answer has no schema") }
        guard let id = id ?? answer["id"]?.int64.flatMap({ Int32(exactly: $0) }), id >= 0 else {
            throw .invalid("the registry's answer has no id of 31 bits")
        }
        let name = answer["schemaType"]?.string ?? SchemaFormat.avro.rawValue
        guard let format = SchemaFormat(rawValue: name) else { throw .invalid("schema \(id) is of type \(name), which isn't known here") }
        var references: [SchemaReference] = []
        for reference in answer["references"]?.array ?? [] {
            guard let name = reference["name"]?.string, let subject = reference["subject"]?.string,
                let version = reference["version"]?.int64.flatMap({ Int(exactly: $0) })
            else { throw .invalid("schema \(id) has a reference without name, subject or version") }
            references.append(SchemaReference(name: name, subject: subject, version: version))
        }
        self.init(id: id, format: format, text: text, references: references)
    }

    /// What a registry is sent and answers with.
    var document: JSONValue {
        .members([
            "id": .integer(Int(id)), "schemaType": .string(format.rawValue), "schema": .string(text),
            "references": references.isEmpty ? nil : .array(references.map(\.document)),
        ])
    }
}

extension SchemaReference {
    var document: JSONValue { .members(["name": .string(name), "subject": .string(subject), "version": .integer(version)]) }
}
