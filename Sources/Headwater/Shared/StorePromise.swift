import NIOCore
import Storage
import Synchronization

/// A promise that several loops keep together: each letter that carries a message which must be stored adds one keeper, and
/// each keeper says once when its part is stored or needs no storing. The last one tells the loop that began it.
///
/// One for each batch of a loop, or for each QoS 2 publish that spans loops. Sendable: a number that is changed atomically.
final class StorePromise: Sendable {
    enum Purpose: Sendable {
        /// All messages of a batch are stored wherever they went.
        case batch(UInt64)
        /// A held publish, by its token in `HeldPublishes`.
        case publish(UInt64)
        /// A will has been published: its session may forget it, or end in the store, where it has this number.
        case will(SessionReference, number: UInt64)
        /// What a plugin has published from elsewhere, by its token in `BrokerLoop.sourced`.
        case sourced(UInt64)
    }

    /// Named by the loop that made it, before it keeps its own part; nobody reads it before all have kept theirs.
    private let purpose: Mutex<Purpose>
    private let node: LoopNode
    private let keepers = Atomic<Int>(1)

    /// With one keeper: who makes it.
    init(_ purpose: Purpose, node: LoopNode) {
        self.purpose = Mutex(purpose)
        self.node = node
    }

    /// What it is for has a name only now.
    func name(_ purpose: Purpose) { self.purpose.withLock { $0 = purpose } }

    func addKeeper() { keepers.add(1, ordering: .relaxed) }

    /// One part is stored.
    func keep() {
        guard keepers.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        // Later, in any case: this may be the middle of a message.
        let purpose = purpose.withLock { $0 }
        node.eventLoop.execute { [node] in node.bound.value?.kept(purpose) }
    }
}

/// What a message that must be stored carries from loop to loop.
struct StoreDuty: Sendable {
    let promise: StorePromise
    /// A QoS 2 publish of a stored session that spans loops, or its will: where a part of it is stored, that is stored too.
    let origin: PublishOrigin?
    /// Who has it from before the broker was restarted.
    let exclusion: Relay?
}
