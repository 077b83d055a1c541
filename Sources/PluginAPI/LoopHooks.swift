import MQTTModel

/// Which hooks a `LoopHooks` object wants called. The broker reads it once per loop and pays nothing for the others.
public struct HookInterests: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let connect = HookInterests(rawValue: 1 << 0)
    public static let connected = HookInterests(rawValue: 1 << 1)
    public static let disconnected = HookInterests(rawValue: 1 << 2)
    public static let authorizePublish = HookInterests(rawValue: 1 << 3)
    public static let authorizeSubscribe = HookInterests(rawValue: 1 << 4)
    public static let authorizeDelivery = HookInterests(rawValue: 1 << 5)
    public static let subscribed = HookInterests(rawValue: 1 << 6)
    public static let unsubscribed = HookInterests(rawValue: 1 << 7)
    public static let publish = HookInterests(rawValue: 1 << 8)
    public static let delivered = HookInterests(rawValue: 1 << 9)
}

/// A plugin's hooks on one event loop. Called on that loop only, one at a time; must not block.
public protocol LoopHooks: AnyObject {
    /// Read once, before the first call.
    var interests: HookInterests { get }

    /// Topic filters that `willPublish` is called for, read once; an empty list means every topic. Checked once per
    /// topic, not once per message.
    var publishFilters: [TopicFilter] { get }

    /// A CONNECT that is well-formed, before authentication.
    func clientConnecting(_ client: ClientInfo) -> ConnectDecision
    /// After CONNACK 0x00.
    func clientConnected(_ client: ClientInfo, sessionPresent: Bool)
    /// After the network connection has gone, for clients that had CONNACK 0x00.
    func clientDisconnected(_ client: ClientInfo, reason: DisconnectReason)

    /// May `client` publish this? Called for wills too, when they are published.
    func mayPublish(_ client: ClientInfo, topic: UnsafeRawBufferPointer, qos: QoS, isRetained: Bool) -> AccessDecision
    /// May `client` subscribe to `filter`? A granted QoS below the requested one is sent in SUBACK.
    func maySubscribe(_ client: ClientInfo, filter: TopicFilter, qos: QoS) -> SubscribeDecision
    /// May `client` receive `message`? Refused messages are counted, not reported to the peer.
    func mayReceive(_ client: ClientInfo, message: Message) -> Bool

    func subscribed(_ client: ClientInfo, filter: TopicFilter, qos: QoS)
    func unsubscribed(_ client: ClientInfo, filter: TopicFilter)

    /// A PUBLISH that is authorised and not a duplicate, before it is routed. `completion` matters with `.hold` alone.
    func willPublish(_ message: Message, completion: PublishCompletion) -> PublishDecision
    /// The same with an outbox, for a plugin that stores what it does with the message. Also called for wills, whose `completion`
    /// nobody waits for.
    func willPublish(_ message: Message, completion: PublishCompletion, outbox: PublishOutbox) -> PublishDecision
    /// Whether `willPublish` may store entries. While the store takes nothing, such messages of QoS 1 and 2 are refused before it
    /// is called. Read once.
    var storesEntries: Bool { get }
    /// `message` has been written to `client` (QoS 0) or acknowledged by it (QoS 1 and 2).
    func delivered(_ client: ClientInfo, message: Message)
}

extension LoopHooks {
    public var publishFilters: [TopicFilter] { [] }
    public func clientConnecting(_ client: ClientInfo) -> ConnectDecision { .proceed }
    public func clientConnected(_ client: ClientInfo, sessionPresent: Bool) {}
    public func clientDisconnected(_ client: ClientInfo, reason: DisconnectReason) {}
    public func mayPublish(_ client: ClientInfo, topic: UnsafeRawBufferPointer, qos: QoS, isRetained: Bool) -> AccessDecision { .allow }
    public func maySubscribe(_ client: ClientInfo, filter: TopicFilter, qos: QoS) -> SubscribeDecision { .grant(qos) }
    public func mayReceive(_ client: ClientInfo, message: Message) -> Bool { true }
    public func subscribed(_ client: ClientInfo, filter: TopicFilter, qos: QoS) {}
    public func unsubscribed(_ client: ClientInfo, filter: TopicFilter) {}
    public func willPublish(_ message: Message, completion: PublishCompletion) -> PublishDecision { .proceed }
    public func willPublish(_ message: Message, completion: PublishCompletion, outbox: PublishOutbox) -> PublishDecision {
        willPublish(message, completion: completion)
    }
    public var storesEntries: Bool { false }
    public func delivered(_ client: ClientInfo, message: Message) {}
}

public enum ConnectDecision: Sendable, Equatable {
    case proceed
    /// CONNACK with this reason code; MQTT 3 clients get the nearest return code.
    case refuse(ReasonCode)
}

public enum AccessDecision: Sendable, Equatable {
    case allow
    /// v5: the reason code in PUBACK or PUBREC. v3: acknowledged and dropped. Counted either way.
    case deny(ReasonCode)
}

public enum SubscribeDecision: Sendable, Equatable {
    case grant(QoS)
    /// The reason code in SUBACK; 0x80 for MQTT 3.1.1.
    case refuse(ReasonCode)
}

public enum PublishDecision: Sendable, Equatable {
    /// Route it.
    case proceed
    /// Acknowledge as if routed, and drop it. Counted.
    case drop
    /// Refuse it: v5 gets the reason code, QoS 0 and v3 are dropped. Counted.
    case refuse(ReasonCode)
    /// Route it, but send PUBACK or PUBREC only after `PublishCompletion.complete`. Too many held messages slow the
    /// publisher, at QoS 0 too.
    case hold
}

/// Why a network connection ended.
public struct DisconnectReason: Sendable, Equatable {
    public enum Cause: String, Sendable {
        /// The client sent DISCONNECT.
        case client
        /// The connection broke or was closed without DISCONNECT.
        case connectionLost = "connection_lost"
        case keepAliveTimeout = "keep_alive_timeout"
        case takenOver = "taken_over"
        case protocolError = "protocol_error"
        case slowConsumer = "slow_consumer"
        case serverShutdown = "server_shutdown"
        case administrative
    }
    public let cause: Cause
    /// Reason code of the DISCONNECT sent or received.
    public let code: ReasonCode

    public init(cause: Cause, code: ReasonCode) {
        self.cause = cause
        self.code = code
    }
}
