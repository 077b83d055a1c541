/// Everything that an embedded or stand-alone broker can be told. Every value has a default that is safe.
public struct BrokerConfiguration: Sendable, Equatable {
    public var listeners: [ListenerConfiguration]
    /// Number of event loops; `nil`: one less than the processors, at least one, so that a processor is left for the
    /// threads of the store and the bridge.
    public var eventLoops: Int?
    public var limits = Limits()
    public var sessions = Sessions()
    public var retained = Retained()
    public var shutdown = Shutdown()
    public var store = Store()
    public var logins = Logins()
    public var quotas = Quotas()

    /// Without a listener named: MQTT on the loopback addresses alone, anonymous clients allowed, as Mosquitto does.
    public init(listeners: [ListenerConfiguration] = [.loopback(port: 1883)]) {
        self.listeners = listeners
    }

    /// Checked before memory is taken.
    public struct Limits: Sendable, Equatable {
        /// Largest packet in bytes, fixed header included, after CONNECT; announced as Maximum Packet Size. 20…268,435,460.
        public var maxPacketBytes = 2_000_000
        /// Largest first packet in bytes: a peer that is nobody yet.
        public var maxConnectPacketBytes = 100_000
        /// Seconds a connection may stay without a complete CONNECT.
        public var connectTimeoutSeconds = 10
        /// Levels of a topic name or filter, 1…65,535.
        public var maxTopicLevels = 200
        /// Bytes of a topic name or filter, 1…65,535.
        public var maxTopicBytes = 65_535
        public var maxSubscriptionsPerSession = 100_000
        /// Filters in one SUBSCRIBE or UNSUBSCRIBE.
        public var maxFiltersPerPacket = 10_000
        /// User properties in one packet.
        public var maxUserProperties = 1_000
        public var maxClientIDBytes = 65_535
        /// Network connections at once; `nil`: as many as descriptors allow.
        public var maxConnections: Int?
        /// Round trips of one enhanced authentication exchange.
        public var maxAuthenticationRounds = 16
        /// TLS handshakes that wait for a processor; when there are as many, listeners accept nobody until some are done.
        public var maxHandshakes = 1_000
        /// Connections of one address (IPv6: of one /64) that have no CONNACK yet; more are closed at once. `nil`: half of all that
        /// there may be, as a whole site may stand behind one address.
        public var maxHalfOpenPerAddress: Int?
        /// Threads that hash passwords; `nil`: half of the processors.
        public var hashingThreads: Int?
        /// Logins that may wait for those threads; more are refused with 0x97 Quota exceeded.
        public var maxWaitingLogins = 1_000
        public init() {}
    }

    public struct Sessions: Sendable, Equatable {
        /// Longest Session Expiry Interval in seconds; longer wishes are cut and v5 clients told. `UInt32.max`: no end.
        public var maxExpirySeconds: UInt32 = 604_800
        /// Messages in flight (QoS 1 and 2) towards one client; a v5 client's Receive Maximum may lower it. 1…65,535.
        public var maxInflightMessages = 256
        /// Messages waiting for one client, in flight not counted.
        public var maxQueuedMessages = 100_000
        /// Bytes waiting for one client.
        public var maxQueuedBytes = 64 * 1024 * 1024
        /// Bytes waiting for all clients together.
        public var maxTotalQueuedBytes = 1_073_741_824
        public var overflow = OverflowPolicy.dropNewest
        /// A publisher waits at most this long, in milliseconds, for a connected receiver that has stopped reading.
        /// After it the overflow policy applies, and that receiver slows nobody until it reads again.
        public var stalledReceiverMilliseconds = 1_000
        /// Keep QoS 0 messages for persistent sessions that are offline.
        public var queuesQoS0WhenOffline = false
        /// QoS 1 and 2 messages that a client may have unacknowledged; announced as Receive Maximum. 1…65,535.
        public var receiveMaximum = 1_024
        /// Topic aliases that a client may set; announced as Topic Alias Maximum. 0…65,535.
        public var topicAliasMaximum = 64
        /// Topic aliases that the broker sets towards a client that allows them.
        public var outboundTopicAliasMaximum = 64
        /// Longest keep alive in seconds, `nil`: the client's wish. v5 clients are told with Server Keep Alive.
        public var maxKeepAliveSeconds: Int?
        public var maxQoS = 2
        public init() {}
    }

    public enum OverflowPolicy: String, Sendable, Equatable, CaseIterable {
        case dropNewest = "drop-newest"
        case dropOldest = "drop-oldest"
        case disconnect
    }

    public struct Retained: Sendable, Equatable {
        public var isAvailable = true
        public var maxMessages = 1_000_000
        public var maxBytes = 1_073_741_824
        public init() {}
    }

    /// What an acknowledgement means, and where what it promises is kept (docs/durability.md).
    public struct Store: Sendable, Equatable {
        /// A directory for this broker alone. It is made if need be; its parent must be there. `nil`: sessions, queues and
        /// retained messages are in memory alone, and end with the broker.
        public var directory: String?
        public var durability = Durability.sync
        /// Milliseconds between synchronisations where commits don't wait for the disk, 10…3,600,000.
        public var syncIntervalMilliseconds = 1_000
        /// How long a batch may wait, in milliseconds, for receivers that make its writing unnecessary, 0…60,000. A batch with
        /// anything that must be written in any case does not wait.
        public var commitWindowMilliseconds = 2
        /// The largest environment in bytes, 1 MiB or more: address space, not disk space.
        public var maxBytes = 64 << 30
        public var onDamage = DamagePolicy.stop

        public init(directory: String? = nil) { self.directory = directory }
    }

    /// When PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK and CONNACK leave.
    public enum Durability: String, Sendable, Equatable, CaseIterable {
        /// After what they promise is on the disk: it survives a power cut.
        case sync
        /// After the transaction: it survives the end of the process, however it ends; a power cut takes what came after the last
        /// synchronisation.
        case commit
        /// At once: the end of the process takes what was not yet written.
        case relaxed
    }

    /// What takes the place of a damaged environment.
    public enum DamagePolicy: String, Sendable, Equatable, CaseIterable {
        /// Nothing: the broker does not start, and nothing is moved.
        case stop
        /// The last backup; without one the broker does not start.
        case restore
        /// An empty one.
        case empty
        /// The last backup; without one an empty one.
        case restoreOrEmpty = "restore-or-empty"
    }

    /// What is done about those who guess passwords.
    public struct Logins: Sendable, Equatable {
        /// Failed logins of one address (IPv6: of one /64) within the window, after which it is banned; 0: never.
        public var maxFailures = 20
        /// Seconds in which failures are counted.
        public var windowSeconds = 600
        /// Seconds that a ban lasts.
        public var banSeconds = 600
        public init() {}
    }

    public struct Shutdown: Sendable, Equatable {
        /// Seconds that plugins get to flush what they hold.
        public var flushSeconds = 10
        public init() {}
    }
}
