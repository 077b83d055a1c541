import Encodings
import MQTTModel
import MQTTSession
import MQTTWire

/// The state of one client that outlives its connections (MQTT 5.0 section 4.1). Lives and dies on one loop.
///
/// Small, because ten thousand idle ones must be: what most sessions never need is in `Extras`.
final class Session {
    let key: SessionKey
    /// Unique in this process, never reused; 0 is nobody.
    let serial: UInt64
    let slot: UInt32
    /// Of the key's tenant, in this process.
    let tenantNumber: UInt32

    /// The connection that the session has now. It clears this when it ends.
    @exclusivity(unchecked) var connectionReference: Unmanaged<ConnectionHandler>?
    /// Where an embedded program's subscription gets its messages: such a session has no connection.
    @exclusivity(unchecked) var sink: MessageSink?

    @exclusivity(unchecked) var inbound = InboundFlow()
    @exclusivity(unchecked) var outbound = OutboundFlow()
    @exclusivity(unchecked) var pending = PendingQueue()
    /// Indices in the loop's topic tree.
    @exclusivity(unchecked) var subscriptions = SubscriptionList()
    @exclusivity(unchecked) var extras: Extras?
    /// `nil`: the session is in memory alone.
    @exclusivity(unchecked) var stored: StoredPart?
    /// What its client may; `nil`: everything.
    @exclusivity(unchecked) var access: Access?

    /// Seconds that the session outlives its connection; 0: ends with it; `UInt32.max`: never ends.
    @exclusivity(unchecked) var expirySeconds: UInt32 = 0
    /// Messages in flight at most: the client's Receive Maximum or the server's limit.
    @exclusivity(unchecked) var window: Int32 = 0
    /// Cannot be sent to, though it is connected: full and not reading. Slows nobody until it reads again.
    @exclusivity(unchecked) var isStalled = false

    /// What most sessions never have.
    final class Extras {
        /// Shared subscriptions by the whole filter, `$share/NAME/` included.
        @exclusivity(unchecked) var shares: [ExactText: ShareReference] = [:]
        /// The will of the current connection, or of the last one until its delay has passed.
        @exclusivity(unchecked) var will: PlannedWill?
        /// A will that was published, while other loops store it: the store keeps it until then.
        @exclusivity(unchecked) var leavingWill: PlannedWill?
        @exclusivity(unchecked) var replays = RetainedReplays()
        /// Tokens of held QoS 2 messages by packet identifier, for those that the client sends again.
        @exclusivity(unchecked) var heldExactlyOnce: [UInt16: UInt64] = [:]
        /// When the session ends, if nobody connects: milliseconds of the monotonic clock.
        @exclusivity(unchecked) var endsAtMilliseconds: UInt64?
        /// When the connection ended, milliseconds since 1970; `nil` while there is one.
        @exclusivity(unchecked) var disconnectedAt: Int64?
        /// Publishers that wait for this receiver.
        @exclusivity(unchecked) var waitingPublishers: Set<ConnectionReference> = []
        /// The receiver's `progressMark` when it was looked at last.
        @exclusivity(unchecked) var progressAtCongestion: UInt64 = 0
        @exclusivity(unchecked) var isCongestionKnownToShares = false
    }

    init(key: SessionKey, tenantNumber: UInt32, serial: UInt64, slot: UInt32) {
        self.key = key
        self.tenantNumber = tenantNumber
        self.serial = serial
        self.slot = slot
    }

    var connection: ConnectionHandler? {
        get { connectionReference?.takeUnretainedValue() }
        set { connectionReference = newValue.map { Unmanaged.passUnretained($0) } }
    }

    func withExtras<Result>(_ body: (Extras) -> Result) -> Result {
        if let extras { return body(extras) }
        let made = Extras()
        extras = made
        return body(made)
    }

    var isOnline: Bool { connectionReference != nil || sink != nil }

    /// Whether the session survives its connection.
    var isPersistent: Bool { expirySeconds > 0 }
}

/// A will and who left it.
struct PlannedWill {
    let will: Connect.Will
    let client: ClientInfo
    /// Published at this time unless the session is resumed; `nil` while the connection lives.
    var dueAtMilliseconds: UInt64?
}

/// Takes messages for a subscription in this process.
struct MessageSink: Sendable {
    /// - Returns: `false`: there was no room for it.
    let receive: @Sendable (Message) -> Bool
    /// Nothing more comes.
    let finish: @Sendable () -> Void
}
