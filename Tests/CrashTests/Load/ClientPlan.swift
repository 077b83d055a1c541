import MQTTModel

/// What one client of a crash run is like.
struct ClientPlan: Sendable {
    enum Mood: Sendable {
        /// Comes back as soon as the broker does.
        case online
        /// Leaves and returns, with and without DISCONNECT.
        case comesAndGoes
        /// Looks in now and then.
        case mostlyOffline
        /// Dies once, without DISCONNECT, and never comes back: its will is due.
        case mourned
    }

    struct Publishing: Sendable {
        var qos: [QoS]
        /// Messages under way at once.
        var window = 4
        var topics = 3
        /// Sets and clears retained topics instead of publishing plain messages.
        var isRetained = false
        /// One message in so many is larger than a page of the store.
        var largeOneIn = 12
    }

    let name: String
    var version = ProtocolVersion.v5
    var isPersistent = true
    var mood = Mood.online
    var subscriptions: [(filter: String, qos: QoS)] = []
    var publishing: Publishing?
    /// Subscribes and unsubscribes all the time, and now and then starts clean.
    var isWavering = false
    var will: (qos: QoS, delaySeconds: UInt32)?
    var receiveMaximum: UInt16?
    /// Keeps its acknowledgements back for a while, so that much is in flight when the broker dies.
    var answersLate = false

    init(_ name: String, _ adjust: (inout ClientPlan) -> Void) {
        self.name = name
        adjust(&self)
    }

    /// Everybody who takes part in a run.
    static let cast: [ClientPlan] = publishers + subscribers + group + others

    private static let publishers = [
        ClientPlan("p1") {
            $0.publishing = Publishing(qos: [.exactlyOnce])
            $0.will = (.exactlyOnce, 0)
        },
        ClientPlan("p2") {
            $0.version = .v3_1_1
            $0.publishing = Publishing(qos: [.atLeastOnce], window: 8)
            $0.will = (.atLeastOnce, 0)
        },
        ClientPlan("p3") {
            $0.publishing = Publishing(qos: [.atLeastOnce, .exactlyOnce], window: 6)
            $0.mood = .comesAndGoes
            $0.will = (.exactlyOnce, 60)
        },
        ClientPlan("p4") {
            $0.version = .v3_1_1
            $0.isPersistent = false
            $0.publishing = Publishing(qos: [.atLeastOnce, .exactlyOnce])
        },
        ClientPlan("p5") {
            $0.publishing = Publishing(qos: [.atLeastOnce, .exactlyOnce], window: 3, topics: 4, isRetained: true, largeOneIn: 5)
        },
    ]

    private static let subscribers = [
        ClientPlan("clean") {
            $0.isPersistent = false
            $0.subscriptions = [("load/#", .exactlyOnce)]
        },
        ClientPlan("online") { $0.subscriptions = [("load/#", .exactlyOnce), ("keep/#", .exactlyOnce)] },
        ClientPlan("goes") {
            $0.version = .v3_1_1
            $0.mood = .comesAndGoes
            $0.subscriptions = [("load/#", .exactlyOnce)]
            $0.answersLate = true
        },
        ClientPlan("away") {
            $0.mood = .mostlyOffline
            $0.subscriptions = [("load/#", .exactlyOnce)]
            $0.receiveMaximum = 5
        },
        ClientPlan("one") {
            $0.version = .v3_1_1
            $0.subscriptions = [("load/+/1", .atLeastOnce)]
            $0.answersLate = true
        },
        ClientPlan("overlap") {
            $0.mood = .comesAndGoes
            $0.subscriptions = [("load/#", .atLeastOnce), ("load/+/0", .exactlyOnce), ("load/p1/#", .exactlyOnce)]
            $0.will = (.exactlyOnce, 0)
        },
    ]

    private static let group = [
        ClientPlan("g1") { $0.subscriptions = [("$share/g/load/#", .exactlyOnce)] },
        ClientPlan("g2") {
            $0.subscriptions = [("$share/g/load/#", .exactlyOnce)]
            $0.mood = .comesAndGoes
        },
        ClientPlan("g3") {
            $0.subscriptions = [("$share/g/load/#", .exactlyOnce)]
            $0.receiveMaximum = 3
            $0.answersLate = true
        },
    ]

    private static let others = [
        ClientPlan("waver") {
            $0.subscriptions = [("load/#", .exactlyOnce), ("load/p2/+", .atLeastOnce)]
            $0.isWavering = true
        },
        ClientPlan("watcher") { $0.subscriptions = [("will/#", .exactlyOnce)] },
        ClientPlan("m1") {
            $0.mood = .mourned
            $0.will = (.exactlyOnce, 1)
        },
        ClientPlan("m2") {
            $0.mood = .mourned
            $0.version = .v3_1_1
            $0.will = (.atLeastOnce, 0)
        },
    ]
}
