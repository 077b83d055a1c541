import MQTTModel
import MQTTWire

/// A connection on its way to the loop of its session: authenticated, CONNECT read, CONNACK not sent.
///
/// The session stays where it is, because messages for it are under way to its loop, and the connection follows: order
/// and exactly-once then need no protocol between loops (docs/adr/0003).
struct ConnectionTransfer: Sendable {
    /// A duplicate that keeps the socket open while the first channel is closed. Owned by the transfer.
    let descriptor: CInt
    /// `nil`: plain TCP.
    let wire: DetachedWire?
    let connect: Connect
    let admission: Admission
    let listener: ListenerProfile
    let peer: PeerFacts
    /// Bytes read after CONNECT.
    let unread: [UInt8]
}

/// What authentication decided.
struct Admission: Sendable {
    var client: ClientInfo
    let assignedClientID: Bool
    let keepAliveIsServerChoice: Bool
    /// Authentication Data for CONNACK.
    let authenticationData: [UInt8]?
    let credential: Credential
    /// Its CONNECT has been counted among those of its client and tenant.
    var isCounted = false
}
