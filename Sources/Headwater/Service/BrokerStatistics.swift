/// The broker's counters and gauges at one moment, summed over its event loops. Counters only grow.
///
/// The balance that is tested: every delivery that a PUBLISH gave rise to is in one place,
/// `deliveriesDue = delivered + queued + expired + dropped` (sum over reasons), where `queued` counts what waits or is
/// in flight towards a client.
public struct BrokerStatistics: Sendable {
    /// Figures by QoS 0, 1, 2.
    public struct ByQoS: Sendable, Equatable {
        public var values: (Int, Int, Int) = (0, 0, 0)
        public var total: Int { values.0 + values.1 + values.2 }
        public init() {}
        public static func == (left: ByQoS, right: ByQoS) -> Bool { left.values == right.values }
        public subscript(qos: Int) -> Int {
            get { qos == 0 ? values.0 : qos == 1 ? values.1 : values.2 }
            set { if qos == 0 { values.0 = newValue } else if qos == 1 { values.1 = newValue } else { values.2 = newValue } }
        }
    }

    /// Why a delivery was not made.
    public enum DropReason: String, Sendable, CaseIterable {
        /// The receiver's queue was full and the policy dropped a message.
        case queueFull = "queue_full"
        /// The receiver's queue was full and the policy disconnected it.
        case slowConsumer = "slow_consumer"
        /// Larger than the receiver's Maximum Packet Size.
        case packetTooLarge = "packet_too_large"
        /// The session ended with messages waiting.
        case sessionEnded = "session_ended"
        /// QoS 0 for a session without a connection.
        case offline
        /// A plugin refused the delivery.
        case notAuthorized = "not_authorized"
        /// The receiver answered with an error reason code.
        case rejectedByReceiver = "rejected_by_receiver"
        /// A stored message that could not be read any more.
        case damaged
        /// A shared subscription without any member.
        case noShareMember = "no_share_member"
    }

    /// Why a PUBLISH was not routed at all.
    public enum RefusalReason: String, Sendable, CaseIterable {
        case notAuthorized = "not_authorized"
        case plugin
        case quota
        case invalid
    }

    public var startedUnixMilliseconds: Int64 = 0
    public var connections = 0
    public var connectionsAccepted = 0
    /// Network connections closed at once because of a limit on their number.
    public var connectionsTurnedAway = 0
    /// CONNECTs refused, by reason code.
    public var connectionsRefused: [UInt8: Int] = [:]
    /// Connections ended, by `DisconnectReason.Cause`.
    public var disconnects: [String: Int] = [:]
    /// TLS handshakes of all listeners.
    public struct Handshakes: Sendable, Equatable {
        public var completed = 0
        /// Of those, with the keys of an earlier connection.
        public var resumed = 0
        /// Not completed, by reason: a fixed set of words (docs/security.md).
        public var failed: [String: Int] = [:]
        /// Steps of handshakes that went to threads, since messages flowed.
        public var stepsOnThreads = 0
        public init() {}
    }
    public var handshakes = Handshakes()
    /// Handshakes under way, now.
    public var handshakesUnderWay = 0
    /// A server certificate in force.
    public struct Certificate: Sendable, Equatable {
        public let listener: String
        public let file: String
        /// Seconds since 1970.
        public let notAfter: Int64
        public let daysLeft: Double
    }
    public var certificates: [Certificate] = []
    public var reloads = 0
    /// Reloads that found a fault and changed nothing.
    public var reloadFailures = 0
    /// What was read last has a fault: what is in force is older than the files.
    public var isReloadFailed = false
    /// WebSocket upgrades refused and frames that were none.
    public var webSocketFailures = 0
    /// PROXY headers that were missing, malformed or from an address that is not trusted.
    public var proxyFailures = 0
    /// Connections closed because files have changed and their clients would not be let in now.
    public var connectionsRevoked = 0
    /// Logins refused, by reason.
    public var loginsFailed: [String: Int] = [:]
    /// Malformed packets and protocol errors, by reason code.
    public var protocolErrors: [UInt8: Int] = [:]
    public var sessions = 0
    public var sessionsOffline = 0
    public var takeovers = 0
    public var subscriptions = 0
    public var sharedSubscriptions = 0
    public var retainedMessages = 0
    public var retainedBytes = 0
    public var messagesReceived = ByQoS()
    public var messagesSent = ByQoS()
    public var payloadBytesReceived = ByQoS()
    public var payloadBytesSent = ByQoS()
    public var bytesReceived = 0
    public var bytesSent = 0
    public var packetsReceived = 0
    public var packetsSent = 0
    /// PUBLISH packets that were routed but had no receiver.
    public var messagesWithoutReceiver = 0
    public var messagesRefused: [RefusalReason: Int] = [:]
    public var duplicatesRecognized = 0
    public var willsPublished = 0

    public var deliveriesDue = 0
    public var delivered = 0
    public var expired = 0
    public var dropped: [DropReason: Int] = [:]
    /// Waiting or in flight towards clients, now.
    public var queuedMessages = 0
    /// Of those that wait; what is in flight is bounded by its number.
    public var queuedBytes = 0
    public var inflightMessages = 0
    /// Publishes whose acknowledgement waits for a plugin, now.
    public var heldPublishes = 0
    /// Connections whose socket is not being read, to slow the publisher, now.
    public var pausedPublishers = 0

    /// How often a connection was left unread because it had brought more than its client or tenant may.
    public var quotaPauses = 0

    /// From PUBLISH received to bytes handed to the socket, QoS 0 and first transmission of QoS 1 and 2.
    public var deliveryLatency = LatencyHistogram()
    /// How late a timer fires on an event loop.
    public var eventLoopLag = LatencyHistogram()
    public var eventLoops = 0
    /// By name, once there is any but the default tenant, whose name is empty. What belongs to no client yet counts for that one.
    public var tenants: [String: TenantStatistics] = [:]
    /// `nil`: there is no store.
    public var store: StoreStatistics?

    public init() {}
}
