import SchemaRegistry

/// A route's schema at work, on shipping threads, and at the door.
final class SchemaConversion: RecordConversion {
    private let encoder: SchemaEncoder

    init(_ schema: RouteSchema, client: SchemaRegistryClient) throws(KafkaBridgeError) {
        guard let rule = schema.rule else { throw .schema(reason: schema.fault ?? "") }
        do throws(SchemaFailure) {
            encoder = try SchemaEncoder(rule: rule, client: client)
        } catch {
            throw .schema(reason: "\(error)")
        }
    }

    func convert(_ payload: UnsafeRawBufferPointer, topic: String) -> ConvertedPayload {
        do throws(SchemaFailure) {
            return .converted(try encoder.encode(payload: payload, topic: topic).bytes)
        } catch {
            switch error {
            case .invalid(let text): return .unfit(text, schema: encoder.rule.subject?.subject(topic: topic))
            // Nothing of the record is to blame: it waits for the registry, or for the operator.
            case .unavailable(let text), .misconfigured(let text): return .later(text)
            }
        }
    }

    /// What a publisher can be told at once; `nil`: nothing is wrong, or nothing is known yet.
    func fault(of payload: UnsafeRawBufferPointer, topic: String) -> String? {
        if case .invalid(let text) = encoder.verdictIfCached(payload: payload, topic: topic) { text } else { nil }
    }
}
