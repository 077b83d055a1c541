/// Why a payload isn't passed on, by who can mend it.
package enum SchemaFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The payload's fault: it stays wrong however often it is tried.
    case invalid(String)
    /// The registry can't be asked now: try later.
    case unavailable(String)
    /// The operator's or the registry's: no such subject, no access, a schema that can't be used.
    case misconfigured(String)

    package var description: String {
        switch self {
        case .invalid(let text), .unavailable(let text), .misconfigured(let text): text
        }
    }

    init(_ failure: SchemaRegistryFailure) {
        switch failure {
        case .unavailable: self = .unavailable(failure.description)
        case .notFound, .unauthorized, .invalid: self = .misconfigured(failure.description)
        }
    }
}
