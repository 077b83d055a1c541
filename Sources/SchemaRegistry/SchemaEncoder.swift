import Synchronization

/// Makes of a payload what Kafka's readers expect, by one rule.
///
/// `encode` may wait for the registry and is for worker threads; `verdictIfCached` never does and is for event loops. Both from any
/// thread.
package final class SchemaEncoder: Sendable {
    package let rule: SchemaRule
    private let client: SchemaRegistryClient
    /// By the schema's id.
    private let compiled = Mutex<[Int32: CompiledSchema]>([:])
    /// Those that can't be used, and until when that is believed: else each message would try again.
    private let unusable = Mutex<[Int32: (failure: SchemaFailure, until: ContinuousClock.Instant)]>([:])

    private static let maxCompiled = 1_000

    /// - Throws: `.misconfigured` for a rule that makes no sense.
    package init(rule: SchemaRule, client: SchemaRegistryClient) throws(SchemaFailure) {
        if let fault = rule.fault { throw .misconfigured(fault) }
        self.rule = rule
        self.client = client
    }

    /// - Parameter topic: Kafka's, which the subject is made of.
    /// - Returns: The payload in wire format.
    /// - Throws: `SchemaFailure`: the payload's fault, the registry's absence, or the operator's.
    package func encode(payload: UnsafeRawBufferPointer, topic: String) throws(SchemaFailure) -> EncodedPayload {
        let subject = rule.subject?.subject(topic: topic)
        guard rule.mode != .passThrough, let subject else {
            let id = try passThrough(payload, subject: subject)
            return EncodedPayload(bytes: Array(payload), schemaID: id, subject: subject)
        }
        let schema: RegisteredSchema
        do throws(SchemaRegistryFailure) { schema = try client.schema(subject: subject, version: rule.version) } catch {
            throw SchemaFailure(error)
        }
        let bytes = try ready(schema, subject).framed(payload, id: schema.id, mode: rule.mode)
        return EncodedPayload(bytes: bytes, schemaID: schema.id, subject: subject)
    }

    /// What is known of a payload already. Takes as long as checking it does, and asks nobody.
    package func verdictIfCached(payload: UnsafeRawBufferPointer, topic: String) -> SchemaVerdict {
        let subject = rule.subject?.subject(topic: topic)
        if rule.mode == .passThrough {
            guard let id = WireFormat.id(payload) else { return .invalid(Self.noHead) }
            guard let schema = client.cachedSchema(id: id) else { return .unknown }
            guard schema.format == rule.format else { return .invalid(formatFault(schema)) }
            return subject.map { client.isCached(id: id, under: $0) } ?? true ? .valid : .unknown
        }
        guard let subject, let schema = client.cachedSchema(subject: subject, version: rule.version),
            let ready = compiled.withLock({ $0[schema.id] })
        else { return .unknown }
        do throws(SchemaFailure) {
            try ready.check(payload, mode: rule.mode)
            return .valid
        } catch {
            if case .invalid(let text) = error { return .invalid(text) }
            return .unknown
        }
    }

    private static let noHead = "the payload is not in wire format: it doesn't begin with a zero and a schema's id"
    private func formatFault(_ schema: RegisteredSchema) -> String {
        "schema \(schema.id) is \(schema.format.rawValue), and \(rule.format.rawValue) is expected"
    }

    private func passThrough(_ payload: UnsafeRawBufferPointer, subject: String?) throws(SchemaFailure) -> Int32 {
        guard let id = WireFormat.id(payload) else { throw .invalid(Self.noHead) }
        do throws(SchemaRegistryFailure) {
            let schema = try client.schema(id: id)
            guard schema.format == rule.format else { throw .notFound(formatFault(schema)) }
            if let subject, try !client.isRegistered(id: id, under: subject) {
                throw .notFound("schema \(id) is not registered under \(subject)")
            }
            return id
        } catch {
            // Here the payload brought the id, so that there is no such thing is the payload's fault.
            if case .notFound(let text) = error { throw .invalid(text) }
            throw SchemaFailure(error)
        }
    }

    private func ready(_ schema: RegisteredSchema, _ subject: String) throws(SchemaFailure) -> CompiledSchema {
        if let known = compiled.withLock({ $0[schema.id] }) { return known }
        if let known = unusable.withLock({ $0[schema.id] }), .now < known.until { throw known.failure }
        do throws(SchemaFailure) {
            guard schema.format == rule.format else { throw .misconfigured("\(subject): \(formatFault(schema))") }
            let ready = try CompiledSchema(schema, messageName: rule.messageName, client: client)
            compiled.withLock { compiled in
                if compiled.count >= Self.maxCompiled { compiled.removeAll() }
                compiled[schema.id] = ready
            }
            unusable.withLock { $0[schema.id] = nil }
            return ready
        } catch {
            unusable.withLock { unusable in
                if unusable.count >= Self.maxCompiled { unusable.removeAll() }
                unusable[schema.id] = (error, .now + .seconds(1))
            }
            throw error
        }
    }
}
