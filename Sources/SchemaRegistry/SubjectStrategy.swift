/// Which subject a topic's schema is registered under, as Confluent's serializers name theirs.
package enum SubjectStrategy: Hashable, Sendable {
    /// TopicNameStrategy: `<topic>-value`.
    case topicName
    /// RecordNameStrategy: the record's full name, whatever the topic.
    case recordName(String)
    /// TopicRecordNameStrategy: `<topic>-<record's full name>`.
    case topicRecordName(String)
    case fixed(String)

    package func subject(topic: String) -> String {
        switch self {
        case .topicName: "\(topic)-value"
        case .recordName(let name): name
        case .topicRecordName(let name): "\(topic)-\(name)"
        case .fixed(let subject): subject
        }
    }
}
