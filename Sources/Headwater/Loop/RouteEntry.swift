import MQTTModel
import MQTTSession
import Routing

/// Where messages of one topic go, as seen from one loop: the cached answer of the topic tree.
///
/// Good until something changes beneath its tenant's root in the tree. It holds sessions unretained: a session leaves the tree before it goes, and
/// that is such a change.
struct RouteEntry {
    var targets: [RouteTarget] = []
    /// Subscription identifiers of targets that have some.
    var identifiers: [[UInt32]] = []
    /// Slots of shared groups that this loop owns.
    var shareSlots: [UInt32] = []
    /// Other loops that may care, one bit each.
    var otherLoops: UInt64 = 0
    /// Of those, loops with sessions that the store has.
    var storingLoops: UInt64 = 0
    /// Whether a receiver may want the message stored at QoS 1 or 2.
    var isStored = false
    /// Plugins whose `willPublish` wants the topic.
    var hookMask: UInt64 = 0
    /// `$SYS`, `$CONTROL`, `$share`: the broker's own; no client may publish there.
    var isReserved = false
    /// Session, QoS and RETAIN of the publish that the rules have allowed last (`BrokerLoop.mayPublish`); 0 is nobody's.
    var allowedPublisher: UInt64 = 0

    var isEmpty: Bool { targets.isEmpty && shareSlots.isEmpty && otherLoops == 0 && hookMask == 0 }

    mutating func removeAll() {
        targets.removeAll(keepingCapacity: true)
        identifiers.removeAll(keepingCapacity: true)
        shareSlots.removeAll(keepingCapacity: true)
        otherLoops = 0
        storingLoops = 0
        isStored = false
        hookMask = 0
        isReserved = false
        allowedPublisher = 0
    }
}

/// One session that gets the messages of a topic.
struct RouteTarget {
    let session: Unmanaged<Session>
    /// Index in `RouteEntry.identifiers`, -1 for none.
    let identifiers: Int32
    let qos: QoS
    let retainAsPublished: Bool
    let noLocalAll: Bool
    let noLocalSome: Bool
    /// The rules let its client have the topic.
    let isAllowed: Bool
}

/// What a slot of the topic tree stands for.
enum Subscriber {
    case free
    case session(Session)
    case share(ShareState)
    case loop(Int)
}

/// A shared subscription on the loop that owns it.
final class ShareState {
    let reference: ShareReference
    let slot: UInt32
    var group = SharedGroup()
    /// Options by member, as the member asked for them.
    var members: [UInt64: (reference: SessionReference, options: SubscriptionOptions)] = [:]

    init(reference: ShareReference, slot: UInt32) {
        self.reference = reference
        self.slot = slot
    }
}
