import MQTTModel

/// What a loop remembers of each MQTT topic: the routes that it takes, filled in for the last publisher. One look-up
/// instead of matching filters and building names, key and headers for each message.
///
/// A fixed table: whatever topics publishers invent, it takes 8,192 slots at most, and topics above 1,024 bytes none.
struct TopicPlans {
    private var slots: [TopicPlan?] = []
    private let seed = UInt64.random(in: .min ... .max)

    private static let capacity = 8_192
    private static let longestTopic = 1_024

    /// The plan for `topic`, made by `make` the first time.
    mutating func plan(for topic: UnsafeRawBufferPointer, make: (String) -> [RoutePlan]) -> TopicPlan {
        guard topic.count <= Self.longestTopic else { return TopicPlan(topic, make: make) }
        if slots.isEmpty { slots = Array(repeating: nil, count: Self.capacity) }
        let home = Int(truncatingIfNeeded: Self.hash(topic, seed: seed)) & (Self.capacity - 1)
        var free: Int?
        for step in 0..<4 {
            let index = (home + step) & (Self.capacity - 1)
            if let plan = slots[index] {
                if plan.isFor(topic) { return plan }
            } else if free == nil {
                free = index
            }
        }
        let plan = TopicPlan(topic, make: make)
        slots[free ?? home] = plan
        return plan
    }

    /// Eight bytes at a time; the seed keeps publishers from choosing who collides.
    private static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
        var hash = seed ^ UInt64(bytes.count)
        var index = 0
        while index + 8 <= bytes.count {
            hash = mixed(hash ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index += 8
        }
        var rest: UInt64 = 0
        while index < bytes.count {
            rest = rest << 8 | UInt64(bytes[index])
            index += 1
        }
        return mixed(hash ^ rest)
    }

    private static func mixed(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }
}

/// The routes of one MQTT topic.
final class TopicPlan {
    let routes: [RoutePlan]
    private let topic: [UInt8]

    init(_ topic: UnsafeRawBufferPointer, make: (String) -> [RoutePlan]) {
        self.topic = Array(topic)
        self.routes = make(String(decoding: topic, as: UTF8.self))
    }

    func isFor(_ other: UnsafeRawBufferPointer) -> Bool {
        topic.count == other.count && topic.withUnsafeBytes { $0.elementsEqual(other) }
    }
}

/// One route of one MQTT topic with its last binding, which is good for the next message too when client, QoS and
/// RETAIN are the same and the route's templates ask for nothing else.
final class RoutePlan {
    let route: Route
    /// `nil`: its records are in memory until Kafka has them.
    let outbox: OutboxRoute?
    private let variesByMessage: Bool
    private var binding: RouteBinding?
    private var frame: OutboxFrame?
    private var client: ClientInfo?
    private var qos = QoS.atMostOnce
    private var isRetained = false

    init(route: Route, outbox: OutboxRoute? = nil) {
        self.route = route
        self.outbox = outbox
        self.variesByMessage = route.configuration.variesByMessage
    }

    func bind(_ message: Message) throws(RecordRefusal) -> RouteBinding {
        if let binding, client === message.publisher, qos == message.qos, isRetained == message.isRetained { return binding }
        let made = try route.bind(message)
        if variesByMessage { return made }
        binding = made
        remember(message)
        return made
    }

    /// The same for a route with an outbox.
    func frame(_ message: Message) throws(RecordRefusal) -> OutboxFrame {
        if let frame, client === message.publisher, qos == message.qos, isRetained == message.isRetained { return frame }
        let made = OutboxFrame(try route.render(message), message: message)
        if variesByMessage { return made }
        frame = made
        remember(message)
        return made
    }

    private func remember(_ message: Message) {
        client = message.publisher
        qos = message.qos
        isRetained = message.isRetained
    }
}
