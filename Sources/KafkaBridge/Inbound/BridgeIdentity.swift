import MQTTModel
import Synchronization

/// What this broker is called towards Kafka: in transactional identifiers, consumer groups and hop lists.
///
/// Known when the bridge starts, since the name may be that of the store; routes are made before. Sendable: set once, read by all.
final class BridgeIdentity: Sendable {
    private let value = Mutex<String?>(nil)

    var name: String? { value.withLock { $0 } }

    func set(_ name: String) { value.withLock { $0 = name } }

    /// The publisher of inbound messages of a tenant. No client can have its identifier: U+0000 is not allowed in one.
    static func publisher(route: String, tenant: String) -> ClientInfo {
        ClientInfo(tenant: tenant, clientID: "\0kafka/\(route)", username: nil, protocolVersion: .v5, peerAddress: "kafka", listener: "kafka")
    }

    /// Whether the broker itself has published the message, or a plugin of it, and no client.
    static func isOwn(_ message: Message) -> Bool { message.publisher.map { $0.clientID.utf8.first == 0 } ?? true }
}
