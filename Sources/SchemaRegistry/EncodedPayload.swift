/// What goes to Kafka.
package struct EncodedPayload: Hashable, Sendable {
    /// In wire format: a zero, the schema's id in four bytes, the body.
    package let bytes: [UInt8]
    package let schemaID: Int32
    /// The subject that the schema was found under; `nil` where the payload brought its id and the rule names none.
    package let subject: String?
}

/// What can be said of a payload without asking anybody.
package enum SchemaVerdict: Hashable, Sendable {
    case valid
    case invalid(String)
    /// The schema isn't here yet, or can't be used: only `encode` will tell.
    case unknown
}
