import MQTTModel
import MQTTSession
import Routing
import Storage

/// What one event loop says to another. Letters from one sender arrive in the order in which they were written, and so
/// MQTT's order holds across loops.
enum Letter: Sendable {
    /// A message for the subscribers of the receiving loop; `from` is slowed if they can't keep up.
    case publish(Message, from: ConnectionReference?, duty: StoreDuty?)
    /// From now on `loop` wants (or no longer wants, delta -1) what matches `pattern` of a tenant; `storedDelta`: for a session that the store
    /// has.
    case interest(pattern: String, tenant: UInt32, loop: Int, delta: Int, storedDelta: Int)

    /// For the shard of the topic: an empty payload clears.
    case retain(Message, duty: StoreDuty?)
    case retainedQuery(RetainedQuery)
    case retainedPage(RetainedPage)

    /// For the owner of the group.
    case joinShare(ShareReference, member: SessionReference, options: SubscriptionOptions, isOnline: Bool)
    case leaveShare(ShareReference, member: SessionReference)
    case shareMemberOnline(ShareReference, member: SessionReference, isOnline: Bool)
    case shareMemberCongested(ShareReference, member: SessionReference, isCongested: Bool)
    /// A member left with this message unacknowledged: to another one.
    case shareReturn(ShareReference, Message, retain: Bool, from: SessionReference, storage: ShareStorage)
    /// For the loop of the chosen member.
    case shareDelivery(
        ShareReference, Message, member: SessionReference, options: SubscriptionOptions, from: ConnectionReference?, storage: ShareStorage)

    /// A connection moves to the loop of its session.
    case adopt(ConnectionTransfer)

    /// Stop and go on reading from a publisher whose receivers are full.
    case slow(ConnectionReference)
    case resume(ConnectionReference)
    /// Answered with `backlogDrained` when everything written before has been read.
    case backlogQuery(from: Int)
    case backlogDrained(loop: Int)

    /// What it adds to a mailbox's backlog.
    var backlogBytes: Int {
        switch self {
        case .publish(let message, _, _), .retain(let message, _), .shareReturn(_, let message, _, _, _),
            .shareDelivery(_, let message, _, _, _, _):
            message.byteCount + 64
        default:
            64
        }
    }
}

/// What storing has to do with a message of a shared subscription on its way to a member.
struct ShareStorage: Sendable {
    /// Who waits until it is stored.
    var duty: StoreDuty?
    /// The place that it leaves: who stores it removes it there, in the same transaction.
    var replaced: StoreOperation?

    static let none = ShareStorage()
}

/// Asks a shard for retained messages: a page of a replay to one new subscription.
struct RetainedQuery: Sendable {
    let pattern: String
    let tenant: UInt32
    let session: SessionReference
    /// Tells this replay from others of the same session.
    let replay: UInt32
    /// Where the page begins; `nil` for the first page.
    let cursor: Int?
}

/// A shard's answer.
struct RetainedPage: Sendable {
    let shard: Int
    let session: SessionReference
    let replay: UInt32
    let messages: [Message]
    /// Where the next page begins; `nil`: this shard has no more.
    let next: Int?
}
