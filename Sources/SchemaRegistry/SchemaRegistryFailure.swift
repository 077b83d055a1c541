/// Why the registry gave no schema.
package enum SchemaRegistryFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// It doesn't answer, or says that it can't now: try later.
    case unavailable(String)
    /// It answers, and has no such thing.
    case notFound(String)
    /// It doesn't believe the credentials, or they don't suffice: the operator's to mend.
    case unauthorized(String)
    /// It answers with what makes no sense here, or was asked what makes none to it.
    case invalid(String)

    package var description: String {
        switch self {
        case .unavailable(let text): "the schema registry can't be reached: \(text)"
        case .notFound(let text): "the schema registry doesn't have it: \(text)"
        case .unauthorized(let text): "the schema registry refuses: \(text)"
        case .invalid(let text): text
        }
    }
}
