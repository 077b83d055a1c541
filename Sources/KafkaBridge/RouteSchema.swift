import HTTPFetch
import SchemaRegistry

/// What a route's payloads must be, by a schema of the cluster's registry (docs/schemas.md).
public struct RouteSchema: Sendable, Equatable {
    public enum Format: String, Sendable, CaseIterable { case avro, json, protobuf }

    public enum Mode: String, Sendable, CaseIterable {
        /// JSON becomes Avro. `avro` alone.
        case convert
        /// Payloads are checked, and sent in the registry's wire format.
        case validate
        /// Payloads are in the wire format already; its schema identifier is checked.
        case passThrough = "pass-through"
    }

    public var format: Format
    public var mode: Mode
    /// `topic`: `<Kafka topic>-value`; `record:NAME`; `topic-record:NAME`: `<Kafka topic>-NAME`; `subject:NAME`. As Confluent's strategies
    /// are named TopicName, RecordName and TopicRecordName.
    public var subject: String
    /// `nil`: the latest.
    public var version: Int?
    /// Full name of a protobuf message; `nil`: the schema's first.
    public var message: String?
    /// Whether a publisher is told (0x99 Payload format invalid) as soon as the schema is known; otherwise what does not fit goes to
    /// the dead letters.
    public var isEnforced: Bool

    public init(
        format: Format, mode: Mode, subject: String = "topic", version: Int? = nil, message: String? = nil, isEnforced: Bool = false
    ) {
        self.format = format
        self.mode = mode
        self.subject = subject
        self.version = version
        self.message = message
        self.isEnforced = isEnforced
    }

    /// What is wrong with it, for an operator; `nil`: nothing.
    var fault: String? { strategy == nil ? "its subject is none of topic, record:NAME, topic-record:NAME, subject:NAME" : rule?.fault }

    private var strategy: SubjectStrategy? {
        if subject == "topic" { return .topicName }
        guard let colon = subject.firstIndex(of: ":") else { return nil }
        let name = String(subject[subject.index(after: colon)...])
        guard !name.isEmpty else { return nil }
        switch subject[..<colon] {
        case "record": return .recordName(name)
        case "topic-record": return .topicRecordName(name)
        case "subject": return .fixed(name)
        default: return nil
        }
    }

    var rule: SchemaRule? {
        guard let strategy else { return nil }
        let format: SchemaFormat =
            switch self.format {
            case .avro: .avro
            case .json: .json
            case .protobuf: .protobuf
            }
        let mode: SchemaRule.Mode =
            switch self.mode {
            case .convert: .convert
            case .validate: .validate
            case .passThrough: .passThrough
            }
        return SchemaRule(format: format, mode: mode, subject: strategy, version: version.map { .number($0) } ?? .latest, messageName: message)
    }
}

/// The schema registry of a cluster.
public struct KafkaSchemaRegistry: Sendable, Equatable {
    /// Tried in turn. Empty for an embedded one.
    public var urls: [String]
    public var username: String?
    /// Secret, like `token`.
    public var password: String?
    /// In place of user name and password.
    public var token: String?
    /// PEM, in place of the system's authorities.
    public var caFile: String?
    /// Where schemas are kept over restarts; `nil`: in memory alone.
    public var cacheDirectory: String?
    /// Whether `http://` is allowed: whoever can change what comes that way decides what is sent.
    public var allowsPlain: Bool
    /// Seconds after which `latest` is asked for again.
    public var refreshSeconds: Int
    /// A registry inside this process, for development: in memory.
    public var isEmbedded: Bool
    /// Files of Avro or JSON schemas (`.avsc`, `.json`) that the embedded registry has from the start, by subject.
    public var schemaFiles: [String: String]

    public init(
        urls: [String] = [], username: String? = nil, password: String? = nil, token: String? = nil, caFile: String? = nil,
        cacheDirectory: String? = nil, allowsPlain: Bool = false, refreshSeconds: Int = 300, isEmbedded: Bool = false,
        schemaFiles: [String: String] = [:]
    ) {
        self.urls = urls
        self.username = username
        self.password = password
        self.token = token
        self.caFile = caFile
        self.cacheDirectory = cacheDirectory
        self.allowsPlain = allowsPlain
        self.refreshSeconds = refreshSeconds
        self.isEmbedded = isEmbedded
        self.schemaFiles = schemaFiles
    }

    func options(embeddedURL: String?) -> SchemaRegistryOptions {
        let credentials: HTTPCredentials? =
            if let token { .bearer(token: token) } else if let username { .basic(user: username, password: password ?? "") } else { nil }
        return SchemaRegistryOptions(
            urls: embeddedURL.map { [$0] } ?? urls, credentials: credentials, caFile: caFile, allowsPlain: allowsPlain || embeddedURL != nil,
            cacheDirectory: cacheDirectory, refreshSeconds: refreshSeconds)
    }
}

extension KafkaSchemaRegistry: CustomStringConvertible, CustomReflectable {
    /// Without secrets.
    public var description: String { isEmbedded ? "embedded" : urls.joined(separator: ",") }
    public var customMirror: Mirror { Mirror(self, children: ["urls": urls, "isEmbedded": isEmbedded]) }
}
