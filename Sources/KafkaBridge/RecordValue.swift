/// What the value of a record is.
public enum RecordValue: Sendable, Hashable {
    /// The payload, byte for byte.
    case payload
    /// A JSON object with the payload and where it came from: see `JSONEnvelope`.
    case json
    /// A text of the operator's. Values are put in as they are: nothing escapes them for JSON or another format.
    case template(RecordTemplate)

    /// `payload`, `json`, or a template.
    public init(_ text: String) throws(TemplateError) {
        switch text {
        case "payload": self = .payload
        case "json": self = .json
        default: self = .template(try RecordTemplate(text))
        }
    }

    /// As it is written in the configuration.
    public var text: String {
        switch self {
        case .payload: "payload"
        case .json: "json"
        case .template(let template): template.text
        }
    }

    /// Whether two messages of one client with equal topic, QoS and RETAIN may have to be rendered apart. The plain payload is not
    /// rendered at all.
    var variesByMessage: Bool {
        switch self {
        case .payload: false
        case .json: true
        case .template(let template): template.variesByMessage
        }
    }
}
