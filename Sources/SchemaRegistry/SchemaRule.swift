/// What is done with the payloads of a rule before they go to Kafka.
package struct SchemaRule: Hashable, Sendable {
    package enum Mode: Hashable, Sendable {
        /// JSON becomes Avro, in wire format. Avro alone.
        case convert
        /// The payload is checked, then put behind the wire format's head unchanged.
        case validate
        /// The payload is in wire format already: its head is checked, not its body.
        case passThrough
    }

    package var format: SchemaFormat
    package var mode: Mode
    /// `nil` only where payloads bring their schema's id: then any that the registry knows will do.
    package var subject: SubjectStrategy?
    package var version: SchemaVersion
    /// The protobuf message; `nil` for the first of the schema.
    package var messageName: String?

    package init(
        format: SchemaFormat, mode: Mode, subject: SubjectStrategy? = .topicName, version: SchemaVersion = .latest,
        messageName: String? = nil
    ) {
        self.format = format
        self.mode = mode
        self.subject = subject
        self.version = version
        self.messageName = messageName
    }

    /// What is wrong with the rule itself, told to an operator; `nil` when nothing is.
    package var fault: String? {
        if mode == .convert, format != .avro { return "only Avro is converted to; \(format.rawValue) payloads can be validated" }
        if mode != .passThrough, subject == nil { return "a subject is needed to know the schema by" }
        if messageName != nil, format != .protobuf { return "only protobuf schemas have messages to name" }
        if case .number(let number) = version, number < 1 { return "versions of a subject count from 1" }
        return nil
    }
}
