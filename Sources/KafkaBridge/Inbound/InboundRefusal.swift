/// Why a record becomes no message. It is counted, logged and passed: a record that nobody can mend must not hold up those behind it.
enum InboundRefusal: String, Error, Sendable, CaseIterable {
    /// The template gives no topic name: a wildcard, no UTF-8, U+0000, too long, too many levels.
    case illegalTopic = "illegal_topic"
    /// The template gives a topic that begins with `$`.
    case reservedTopic = "reserved_topic"
    /// A placeholder has no value in this record.
    case missingValue = "missing_value"
    /// A template asks for a part of the value, which is no JSON.
    case valueNotJSON = "value_not_json"
    /// The template gives no name of a tenant.
    case illegalTenant = "illegal_tenant"
    /// The record has been here before, or passed too many brokers.
    case looped = "looped"

    /// For the log: what happened and what an operator can do.
    var advice: String {
        switch self {
        case .illegalTopic: "the route's template gives no MQTT topic name for it (no + # or U+0000, UTF-8, at most 65,535 bytes and 200 levels)"
        case .reservedTopic: "the route's template gives a topic that begins with $, which is the broker's own"
        case .missingValue: "a placeholder of the route's template has no value in it"
        case .valueNotJSON: "the route's template asks for a part of its value, which is no JSON, or nested deeper than \(JSONScanner.deepest)"
        case .illegalTenant: "the route's template gives no legal name of a tenant for it (UTF-8, at most 256 bytes)"
        case .looped: "it has passed this broker before, or more brokers than max_hops allows"
        }
    }
}
