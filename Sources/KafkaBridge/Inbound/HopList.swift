import MQTTModel

/// The brokers that a record has passed, so that what goes from MQTT to Kafka and back ends somewhere.
///
/// The outbound side writes the record header `headwater.hop`: the list that the message brought, and this broker. The inbound side
/// drops a record whose list has this broker, or is longer than the route allows, and gives the list to the message as a user property.
/// Devices can neither forge nor hide it: the property is believed of messages alone that the bridge has published.
struct HopList: Equatable, Sendable {
    static let name = "headwater.hop"
    /// Brokers in a list. Longer ones are hostile or broken.
    static let longest = 16
    private static let longestBytes = 4_096

    /// In order of passing.
    private(set) var brokers: [String] = []
    /// The text has more than any list of ours.
    private(set) var isOverlong = false

    init() {}

    init(of record: InboundRecord) {
        for header in record.headers where header.name == Self.name {
            read(String(decoding: header.value.prefix(Self.longestBytes + 1), as: UTF8.self))
        }
    }

    init(of properties: [UserProperty]) {
        for property in properties where property.name == Self.name { read(property.value) }
    }

    private mutating func read(_ text: String) {
        guard text.utf8.count <= Self.longestBytes else { return isOverlong = true }
        for broker in text.split(separator: ",") {
            guard brokers.count < Self.longest else { return isOverlong = true }
            brokers.append(String(broker))
        }
    }

    var text: String { brokers.joined(separator: ",") }

    func isAllowed(at broker: String, maxHops: Int) -> Bool {
        !isOverlong && brokers.count <= maxHops && !brokers.contains(Self.entry(for: broker))
    }

    /// The text of this list and `broker`.
    func extended(by broker: String) -> String { (brokers + [Self.entry(for: broker)]).joined(separator: ",") }

    /// A broker's name as it stands in a list.
    private static func entry(for broker: String) -> String {
        String(broker.unicodeScalars.map { $0 == "," || $0.value < 0x20 ? "_" : Character($0) })
    }
}
