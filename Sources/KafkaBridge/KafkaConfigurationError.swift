/// One thing that is wrong with a `KafkaConfiguration`. Wrong is the operator; the text says what to write instead and
/// never holds the value of a secret property.
public enum KafkaConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    case clusterName(key: String, name: String)
    case noAddress(cluster: String)
    case embeddedWithAddress(cluster: String)
    case embeddedBrokers(cluster: String, count: Int)
    case maxTopics(cluster: String)
    /// librdkafka refuses the property; `reason` is its text.
    case property(cluster: String, name: String, reason: String)
    /// A property that the bridge decides itself.
    case reservedProperty(cluster: String, name: String, advice: String)
    /// librdkafka accepts each property, but not all together.
    case producer(cluster: String, reason: String)
    case unnamedRoute
    case duplicateRoute(String)
    case unknownCluster(route: String, cluster: String, known: [String])
    case noFilter(route: String)
    case sharedFilter(route: String, filter: String)
    case topicTemplate(route: String, template: String, fault: String)
    case header(route: String, name: String)
    /// A fixed Kafka topic that the route's own list does not allow.
    case topicNotAllowed(route: String, topic: String)
    /// A fixed text that is no number of a partition.
    case partition(route: String, text: String)
    /// A value without placeholder: all records would have the same.
    case constantValue(route: String, text: String)
    /// What the route promises can't be kept.
    case delivery(route: String, fault: String)
    /// Of a route from Kafka to MQTT.
    case inbound(route: String, fault: String)

    public var description: String {
        switch self {
        case .clusterName(let key, let name):
            "Kafka cluster \"\(key)\" calls itself \"\(name)\": both must be the same and not empty"
        case .noAddress(let cluster):
            "Kafka cluster \"\(cluster)\" has no address: give bootstrap servers (host:port,host:port) or make it embedded"
        case .embeddedWithAddress(let cluster):
            "Kafka cluster \"\(cluster)\" is embedded and has bootstrap servers too: keep one of them"
        case .embeddedBrokers(let cluster, let count):
            "Kafka cluster \"\(cluster)\": \(count) embedded brokers are not possible, 1 to 16 are"
        case .maxTopics(let cluster):
            "Kafka cluster \"\(cluster)\": maxTopics must be at least 1"
        case .property(let cluster, let name, let reason):
            "Kafka cluster \"\(cluster)\", property \(name): \(reason)"
        case .reservedProperty(let cluster, let name, let advice):
            "Kafka cluster \"\(cluster)\", property \(name) can't be set here: \(advice)"
        case .producer(let cluster, let reason):
            "Kafka cluster \"\(cluster)\": librdkafka refuses the properties together: \(reason). Unless set, the bridge uses "
                + ProducerProperties.defaults.map { "\($0.name)=\($0.value)" }.joined(separator: ", ")
        case .unnamedRoute:
            "a Kafka route has no name: give it one, it stands in logs and metrics"
        case .duplicateRoute(let name):
            "two Kafka routes are named \"\(name)\": rename one"
        case .unknownCluster(let route, let cluster, let known):
            "Kafka route \"\(route)\" names the cluster \"\(cluster)\", which is not configured; configured: "
                + (known.isEmpty ? "none" : known.joined(separator: ", "))
        case .noFilter(let route):
            "Kafka route \"\(route)\" has no topic filter: add one, # for every topic"
        case .sharedFilter(let route, let filter):
            "Kafka route \"\(route)\": \"\(filter)\" is a shared subscription, which a route can't be; leave $share/NAME/ out"
        case .topicTemplate(let route, let template, let fault):
            "Kafka route \"\(route)\": the topic \"\(template)\" \(fault)"
        case .header(let route, let name):
            "Kafka route \"\(route)\": \"\(name)\" can't be the name of a header; names must not be empty, \"content-type\", \"headwater.hop\" or begin with \"mqtt.\""
        case .topicNotAllowed(let route, let topic):
            "Kafka route \"\(route)\": its topic \"\(topic)\" is not in its list of allowed topics; add it there, or remove the list"
        case .partition(let route, let text):
            "Kafka route \"\(route)\": the partition \"\(text)\" is no number from 0 to \(Int32.max); write one, or a template such as "
                + "${payload.partition}"
        case .constantValue(let route, let text):
            "Kafka route \"\(route)\": every record would have the value \"\(text)\"; write payload, json, or a template with a placeholder "
                + "such as ${payload.temperature}"
        case .inbound(let route, let fault): "inbound Kafka route \"\(route)\": \(fault)"
        case .delivery(let route, let fault): "Kafka route \"\(route)\": \(fault)"
        }
    }
}

/// A configuration that the bridge can't start with.
public struct InvalidKafkaConfiguration: Error, Sendable, CustomStringConvertible {
    /// Not empty.
    public let errors: [KafkaConfigurationError]
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}
