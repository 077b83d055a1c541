/// The figures of one tenant at one moment, summed over the event loops. Those marked "now" go up and down, the others only
/// grow.
public struct TenantStatistics: Sendable, Equatable {
    /// Connections with CONNACK 0x00, now.
    public var connections = 0
    /// CONNECTs that were refused after it was known whose they were.
    public var connectionsRefused = 0
    /// Sessions, now.
    public var sessions = 0
    public var retainedMessages = 0
    /// Bytes of topics, properties and payloads of retained messages, now.
    public var retainedBytes = 0
    /// PUBLISH packets from clients.
    public var messagesReceived = 0
    /// PUBLISH packets to clients.
    public var messagesSent = 0
    /// Bytes after CONNECT, packets of all kinds.
    public var bytesReceived = 0
    public var bytesSent = 0
    /// Deliveries that were not made, for every reason.
    public var messagesDropped = 0
    /// PUBLISH packets that were not routed.
    public var messagesRefused = 0
    /// How often a connection was left unread because it had brought more than its client or tenant may.
    public var quotaPauses = 0

    public init() {}

    mutating func add(_ other: TenantStatistics) {
        for path in Self.figures { self[keyPath: path] += other[keyPath: path] }
    }

    private static var figures: [WritableKeyPath<TenantStatistics, Int>] {
        [
            \.connections, \.connectionsRefused, \.sessions, \.retainedMessages, \.retainedBytes, \.messagesReceived, \.messagesSent,
            \.bytesReceived, \.bytesSent, \.messagesDropped, \.messagesRefused, \.quotaPauses,
        ]
    }

    /// What is left of the broker's figures without those of the tenants: the default tenant's, and what belongs to nobody yet.
    init(restOf all: BrokerStatistics, without tenants: some Sequence<TenantStatistics>) {
        connections = all.connections
        connectionsRefused = all.connectionsRefused.values.reduce(0, +)
        sessions = all.sessions
        retainedMessages = all.retainedMessages
        retainedBytes = all.retainedBytes
        messagesReceived = all.messagesReceived.total
        messagesSent = all.messagesSent.total
        bytesReceived = all.bytesReceived
        bytesSent = all.bytesSent
        messagesDropped = all.dropped.values.reduce(0, +)
        messagesRefused = all.messagesRefused.values.reduce(0, +)
        quotaPauses = all.quotaPauses
        for tenant in tenants {
            for path in Self.figures { self[keyPath: path] -= tenant[keyPath: path] }
        }
    }
}
