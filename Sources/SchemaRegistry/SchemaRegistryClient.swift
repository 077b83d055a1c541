import Encodings
import Dispatch
import Synchronization

/// Knows the schemas of a registry that speaks Confluent's interface, and goes on knowing them while it is away.
///
/// Calls are synchronous and wait for the registry within its timeouts, those named `cached…` never do. What has an id or a
/// numbered version never changes and is fetched once. `latest` is used while it is older than `refreshSeconds`, and
/// asked for again behind the caller's back.
package final class SchemaRegistryClient: Sendable {
    /// What is remembered under a subject and a version.
    private struct Known {
        let id: Int32
        var at: ContinuousClock.Instant
    }
    private struct VersionKey: Hashable {
        let subject: ExactText
        let version: SchemaVersion
    }
    private struct Membership: Hashable {
        let id: Int32
        let subject: ExactText
    }
    private struct Memory {
        var schemas: [Int32: RegisteredSchema] = [:]
        var versions: [VersionKey: Known] = [:]
        var memberships: Set<Membership> = []
        /// Not there when asked, and until when that is believed.
        var strangers: [Membership: ContinuousClock.Instant] = [:]
        var descriptors: [Int32: [UInt8]] = [:]
        /// Failures, each by the path that was asked for, until they are worth another try.
        var failures: [String: (failure: SchemaRegistryFailure, until: ContinuousClock.Instant)] = [:]
        var refreshing: Set<VersionKey> = []
    }

    private let requests: RegistryRequests
    private let options: SchemaRegistryOptions
    private let folder: SchemaFolder?
    private let now: @Sendable () -> ContinuousClock.Instant
    private let memory = Mutex(Memory())
    private let refreshes = DispatchQueue(label: "headwater.schema-registry")

    /// Topics and ids come from clients: what they can make the client remember is bounded.
    private static let maxRemembered = 10_000
    private static let maxReferences = 256

    /// - Parameter now: The time; tests have their own.
    /// - Throws: `.invalid` for a URL that is none, and for a cache directory that can't be made.
    package init(
        _ options: SchemaRegistryOptions, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) throws(SchemaRegistryFailure) {
        requests = try RegistryRequests(options)
        self.options = options
        self.now = now
        if let directory = options.cacheDirectory {
            guard let folder = SchemaFolder(directory) else { throw .invalid("the schema cache \(directory) can't be made") }
            self.folder = folder
        } else {
            folder = nil
        }
    }

    // MARK: By id

    package func cachedSchema(id: Int32) -> RegisteredSchema? { memory.withLock { $0.schemas[id] } }

    /// - Throws: `.notFound` when the registry has no such id.
    package func schema(id: Int32) throws(SchemaRegistryFailure) -> RegisteredSchema {
        if let schema = cachedSchema(id: id) { return schema }
        if let document = folder?.read("id-\(id)", maxBytes: 2 * options.maxBytes),
            let schema = try? RegisteredSchema(answer: document, id: id)
        {
            remember(schema, onDisk: false)
            return schema
        }
        let schema = try RegisteredSchema(answer: try get("/schemas/ids/\(id)"), id: id)
        remember(schema, onDisk: true)
        return schema
    }

    // MARK: By subject

    /// What was known last, of whatever age.
    package func cachedSchema(subject: String, version: SchemaVersion) -> RegisteredSchema? {
        let key = VersionKey(subject: ExactText(subject), version: version)
        return memory.withLock { memory in memory.versions[key].flatMap { memory.schemas[$0.id] } }
    }

    /// - Throws: `.notFound` when the subject or its version doesn't exist.
    package func schema(subject: String, version: SchemaVersion) throws(SchemaRegistryFailure) -> RegisteredSchema {
        let key = VersionKey(subject: ExactText(subject), version: version)
        let time = now()
        let (known, mustRefresh) = memory.withLock { memory -> (RegisteredSchema?, Bool) in
            guard let known = memory.versions[key], let schema = memory.schemas[known.id] else { return (nil, false) }
            let isOld = version == .latest && time - known.at >= .seconds(options.refreshSeconds)
            return (schema, isOld && memory.refreshing.insert(key).inserted)
        }
        if mustRefresh { refreshes.async { self.refresh(key) } }
        if let known { return known }

        let file = fileName(key)
        if version != .latest, let schema = kept(file, key, at: time) { return schema }
        do throws(SchemaRegistryFailure) {
            return try fetch(key)
        } catch {
            guard case .unavailable = error, let schema = kept(file, key, at: time) else { throw error }
            return schema
        }
    }

    /// Returns when the refreshes are done that were begun before.
    package func waitForRefreshes() { refreshes.sync {} }

    private func refresh(_ key: VersionKey) {
        let time = now()
        let isFetched = (try? fetch(key)) != nil
        memory.withLock { memory in
            memory.refreshing.remove(key)
            // Away: what is known serves for another while, a short one.
            if !isFetched { memory.versions[key]?.at = time - .seconds(options.refreshSeconds) + .milliseconds(options.retryMilliseconds) }
        }
    }

    private func fetch(_ key: VersionKey) throws(SchemaRegistryFailure) -> RegisteredSchema {
        let answer = try get("/subjects/\(RegistryRequests.escaped(key.subject.string))/versions/\(key.version)")
        let schema = try RegisteredSchema(answer: answer)
        remember(schema, onDisk: true)
        remember(key, schema.id, at: now())
        folder?.write(fileName(key), .members(["id": .integer(Int(schema.id))]))
        return schema
    }

    /// From the disk.
    private func kept(_ file: String, _ key: VersionKey, at time: ContinuousClock.Instant) -> RegisteredSchema? {
        guard let id = folder?.read(file, maxBytes: 1 << 10)?["id"]?.int64.flatMap({ Int32(exactly: $0) }),
            let schema = try? schema(id: id)
        else { return nil }
        // Old from the beginning, so that the registry is asked as soon as it may be back.
        remember(key, id, at: time - .seconds(options.refreshSeconds) + .milliseconds(options.retryMilliseconds))
        return schema
    }

    private func fileName(_ key: VersionKey) -> String { "subject-\(RegistryRequests.escaped(key.subject.string))@\(key.version)" }

    // MARK: Whether an id belongs to a subject

    package func isCached(id: Int32, under subject: String) -> Bool {
        memory.withLock { $0.memberships.contains(Membership(id: id, subject: ExactText(subject))) }
    }

    /// Whether some version of the subject has that id. Yes is remembered for ever, no for `retryMilliseconds`: it may be
    /// registered any moment.
    package func isRegistered(id: Int32, under subject: String) throws(SchemaRegistryFailure) -> Bool {
        if isCached(id: id, under: subject) { return true }
        let membership = Membership(id: id, subject: ExactText(subject))
        let time = now()
        if let until = memory.withLock({ $0.strangers[membership] }), time < until { return false }
        let file = "member-\(id)-\(RegistryRequests.escaped(subject))"
        if folder?.read(file, maxBytes: 16) == nil {
            let pairs = try get("/schemas/ids/\(id)/versions").array ?? []
            let wanted = JSONValue.string(subject)
            guard pairs.contains(where: { pair in pair["subject"].map { $0 == wanted } ?? false }) else {
                memory.withLock { memory in
                    if memory.strangers.count >= 1_000 { memory.strangers.removeAll() }
                    memory.strangers[membership] = time + .milliseconds(options.retryMilliseconds)
                }
                return false
            }
            folder?.write(file, .bool(true))
        }
        memory.withLock { memory in
            if memory.memberships.count >= Self.maxRemembered { memory.memberships.removeAll() }
            memory.memberships.insert(membership)
        }
        return true
    }

    // MARK: References

    /// The schemas that one refers to, and those refer to, by the names they are referred to by.
    ///
    /// - Throws: `.invalid` for more than 256 of them, or two under one name.
    package func references(of schema: RegisteredSchema) throws(SchemaRegistryFailure) -> [String: RegisteredSchema] {
        var found: [String: RegisteredSchema] = [:]
        var open = schema.references
        while let reference = open.popLast() {
            let target = try self.schema(subject: reference.subject, version: .number(reference.version))
            if let other = found[reference.name] {
                guard other.id == target.id else { throw .invalid("two schemas are referred to as \(reference.name)") }
                continue
            }
            guard found.count < Self.maxReferences else { throw .invalid("schema \(schema.id) refers to more than \(Self.maxReferences)") }
            found[reference.name] = target
            open += target.references
        }
        return found
    }

    /// A protobuf schema as a `FileDescriptorProto`: the registry parses the language, so that nobody else has to.
    package func descriptor(id: Int32) throws(SchemaRegistryFailure) -> [UInt8] {
        if let bytes = memory.withLock({ $0.descriptors[id] }) { return bytes }
        let file = "descriptor-\(id)"
        let kept = folder?.read(file, maxBytes: 2 * options.maxBytes)
        let answer: JSONValue
        if let kept { answer = kept } else { answer = try get("/schemas/ids/\(id)?format=serialized") }
        guard let text = answer["schema"]?.string, let bytes = Base64.decode(text.utf8, .standard) else {
            throw .invalid("the registry doesn't hand out protobuf schema \(id) as a descriptor")
        }
        if kept == nil { folder?.write(file, .members(["schema": .string(text)])) }
        memory.withLock { $0.descriptors[id] = bytes }
        return bytes
    }

    // MARK: Registering

    /// Registers a schema under a subject; one that is there already keeps its id.
    ///
    /// - Returns: The id.
    /// - Throws: `.invalid` when the registry finds fault with it, or finds it incompatible.
    package func register(
        subject: String, format: SchemaFormat, text: String, references: [SchemaReference] = []
    ) throws(SchemaRegistryFailure) -> Int32 {
        let document = JSONValue.members([
            "schema": .string(text), "schemaType": format == .avro ? nil : .string(format.rawValue),
            "references": references.isEmpty ? nil : .array(references.map(\.document)),
        ])
        let answer = try requests.post("/subjects/\(RegistryRequests.escaped(subject))/versions", document)
        guard let id = answer["id"]?.int64.flatMap({ Int32(exactly: $0) }) else { throw .invalid("the registry's answer has no id") }
        remember(RegisteredSchema(id: id, format: format, text: text, references: references), onDisk: true)
        memory.withLock { memory in
            memory.failures.removeAll()
            memory.strangers.removeAll()
            memory.versions[VersionKey(subject: ExactText(subject), version: .latest)] = nil
        }
        return id
    }

    // MARK: Memory

    private func remember(_ schema: RegisteredSchema, onDisk: Bool) {
        let isNew = memory.withLock { memory in
            if memory.schemas.count >= Self.maxRemembered {
                memory.schemas.removeAll()
                memory.versions.removeAll()
                memory.descriptors.removeAll()
            }
            return memory.schemas.updateValue(schema, forKey: schema.id) != schema
        }
        if onDisk, isNew { folder?.write("id-\(schema.id)", schema.document) }
    }

    private func remember(_ key: VersionKey, _ id: Int32, at time: ContinuousClock.Instant) {
        memory.withLock { memory in
            if memory.versions.count >= Self.maxRemembered { memory.versions.removeAll() }
            memory.versions[key] = Known(id: id, at: time)
        }
    }

    private func get(_ path: String) throws(SchemaRegistryFailure) -> JSONValue {
        let time = now()
        if let known = memory.withLock({ $0.failures[path] }), time < known.until { throw known.failure }
        do throws(SchemaRegistryFailure) {
            return try requests.get(path)
        } catch {
            memory.withLock { memory in
                if memory.failures.count >= 1_000 { memory.failures.removeAll() }
                memory.failures[path] = (error, now() + .milliseconds(options.retryMilliseconds))
            }
            throw error
        }
    }
}
