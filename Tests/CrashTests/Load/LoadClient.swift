import BrokerTestKit
import MQTTModel
import MQTTWire

/// A correct MQTT client with a session that outlives its connections: what it has in flight it sends again, what it has
/// received at QoS 2 it remembers until PUBREL, and it comes back until its run is over. Everything goes into the journal.
actor LoadClient {
    /// A publish under way.
    struct Outgoing {
        let name: MessageName
        var packet: Publish
        /// PUBREC has come and PUBREL has been sent.
        var isReleased = false
    }

    /// SUBSCRIBE or UNSUBSCRIBE under way.
    enum Request: Equatable {
        case subscribe(String)
        case unsubscribe(String)
    }

    nonisolated let plan: ClientPlan
    let journal: Journal
    private let site: BrokerSite
    var random: SeededRandom

    // The session
    /// In the order of first sending, which is the order of sending again.
    var outgoing: [Outgoing] = []
    /// Identifiers of received QoS 2 messages whose PUBREL has not come.
    var unreleased: Set<UInt16> = []
    var wanted: [String: QoS] = [:]
    var granted: Set<String> = []
    /// Filters whose UNSUBSCRIBE has not been answered.
    var parting: Set<String> = []
    var startsClean = false
    var nextNumber = 1
    private var connections = 0

    // The connection
    private(set) var connection: ScriptedClient?
    /// CONNACK has come.
    private(set) var isAnswered = false
    /// DISCONNECT has been sent.
    private var isLeaving = false
    var requests: [UInt16: Request] = [:]
    var lateAnswers: [Packet] = []
    var answersHeldUntil = ContinuousClock.now

    // What the run asks
    private var mayAct = false
    private var isDraining = false
    private var isOver = false
    var awayUntil: ContinuousClock.Instant?
    private var refusedUntil = ContinuousClock.now
    private(set) var isMourned = false

    init(_ plan: ClientPlan, site: BrokerSite, journal: Journal, seed: UInt64) {
        self.plan = plan
        self.site = site
        self.journal = journal
        random = SeededRandom(seed, plan.name)
        for (filter, qos) in plan.subscriptions { wanted[filter] = qos }
    }

    // MARK: The run

    /// Comes and goes until `finish`.
    func live() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.drive() }
            while !isOver {
                guard let address = await site.whenOpen() else { break }
                if isOver || isMourned { break }
                guard isWelcome, let opened = try? await ScriptedClient.open(address, version: plan.version) else {
                    try? await Task.sleep(for: .milliseconds(3))
                    continue
                }
                await attend(opened)
            }
            group.cancelAll()
        }
    }

    /// Lets the client publish and misbehave.
    func begin() { mayAct = true }

    /// No new messages, no absence: what is under way comes to its end.
    func drain() {
        isDraining = true
        if plan.mood != .mourned { awayUntil = nil }
    }

    func finish() async {
        isOver = true
        await connection?.close()
    }

    /// Whether nothing of the client's own is under way.
    var isSettled: Bool {
        if plan.mood == .mourned { return isMourned }
        return isAnswered && outgoing.isEmpty && requests.isEmpty && lateAnswers.isEmpty && parting.isEmpty && granted == Set(wanted.keys)
    }

    var isReady: Bool { isAnswered && granted == Set(wanted.keys) }

    /// For reports: what the client waits for.
    var condition: String {
        "\(plan.name): \(isMourned ? "dead" : isAnswered ? "connected" : "not connected"), \(outgoing.count) publishes under way "
            + "\(outgoing.prefix(3).map { "\($0.name)\($0.isReleased ? " released" : "")" }), \(requests.count) requests, \(unreleased.count) unreleased"
    }

    private var isWelcome: Bool { ContinuousClock.now >= max(refusedUntil, awayUntil ?? refusedUntil) }

    // MARK: One connection

    private func attend(_ opened: ScriptedClient) async {
        connections += 1
        connection = opened
        isLeaving = false
        opened.send(.connect(connect()))
        while true {
            do {
                switch try await opened.arrival(within: .seconds(30)) {
                case .packet(let packet): take(packet)
                case .silence: continue
                case .closed:
                    connectionLost()
                    return
                }
            } catch {
                journal.note(.misbehaved(client: plan.name, "sent bytes that are no packet: \(error)"))
                await opened.close()
                connectionLost()
                return
            }
        }
    }

    private func connect() -> Connect {
        var connect = Connect(protocolVersion: plan.version, clientID: plan.name)
        connect.cleanStart = !plan.isPersistent || startsClean
        if plan.version == .v5, plan.isPersistent { connect.sessionExpirySeconds = 3_600 }
        connect.receiveMaximum = plan.receiveMaximum
        var promise: WillPromise?
        if let will = plan.will {
            let name = MessageName("will:\(plan.name)", connections)
            connect.will = Connect.Will(topic: "will/\(plan.name)", payload: name.payload(bytes: 40), qos: will.qos)
            connect.will?.delaySeconds = plan.version == .v5 ? will.delaySeconds : 0
            promise = WillPromise(
                name: name, topic: "will/\(plan.name)", qos: will.qos, delaySeconds: Double(plan.version == .v5 ? will.delaySeconds : 0))
        }
        journal.note(.connecting(client: plan.name, isPersistent: plan.isPersistent, cleanStart: connect.cleanStart, will: promise))
        return connect
    }

    private func take(_ packet: Packet) {
        switch packet {
        case .connAck(let answer):
            guard !answer.reason.isError else {
                // A full disk turns new sessions away; anything else is a fault.
                if answer.reason != .quotaExceeded, answer.reason != .serverUnavailable {
                    journal.note(.misbehaved(client: plan.name, "refused CONNECT: \(answer.reason)"))
                }
                refusedUntil = .now + .milliseconds(100)
                return
            }
            journal.note(.connected(client: plan.name, sessionPresent: answer.sessionPresent))
            if !answer.sessionPresent { forgetSession() }
            startsClean = false
            isAnswered = true
            resume()
        case .disconnect(let disconnect):
            if disconnect.reason != .serverShuttingDown, disconnect.reason != .quotaExceeded {
                journal.note(.misbehaved(client: plan.name, "disconnected with \(disconnect.reason)"))
            }
        default: received(packet)
        }
    }

    private func connectionLost() {
        journal.note(.connectionEnded(client: plan.name))
        connection = nil
        isAnswered = false
        requests = [:]
        lateAnswers = []
        if !plan.isPersistent { forgetSession() }
    }

    private func forgetSession() {
        outgoing = []
        unreleased = []
        granted = []
        parting = []
    }

    func send(_ packets: [Packet]) {
        guard !isLeaving, !packets.isEmpty else { return }
        connection?.send(packets)
    }

    // MARK: Moods

    private func drive() async {
        while !isOver, !Task.isCancelled {
            try? await Task.sleep(for: .microseconds(Int.random(in: 300...3_000, using: &random)))
            guard isAnswered, !isLeaving else { continue }
            if !lateAnswers.isEmpty, isDraining || ContinuousClock.now >= answersHeldUntil {
                send(lateAnswers)
                lateAnswers = []
            }
            if random.oneIn(100) { retrySubscriptions() }
            guard mayAct else { continue }
            if plan.mood == .mourned {
                // Even one that has been spared so far dies in the end.
                if isDraining || random.oneIn(100) { await die() }
            } else if !isDraining {
                publishMore()
                waver()
                await leaveOrStay()
            } else if plan.isWavering {
                settleSubscriptions()
            }
        }
    }

    private func leaveOrStay() async {
        let milliseconds: Int
        switch plan.mood {
        case .online, .mourned: return
        case .comesAndGoes:
            guard random.oneIn(40) else { return }
            milliseconds = Int.random(in: 1...80, using: &random)
        case .mostlyOffline:
            guard random.oneIn(10) else { return }
            milliseconds = Int.random(in: 200...2_000, using: &random)
        }
        awayUntil = .now + .milliseconds(milliseconds)
        if random.oneIn(2) { await leave() } else { await breakConnection() }
    }

    /// DISCONNECT; the broker closes.
    func leave() async {
        guard let connection else { return }
        journal.note(.disconnecting(client: plan.name))
        connection.send(.disconnect(Disconnect()))
        isLeaving = true
        let deadline = ContinuousClock.now + .seconds(20)
        while self.connection === connection, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(2)) }
        if self.connection === connection { await connection.close() }
    }

    private func breakConnection() async {
        guard let connection else { return }
        journal.note(.connectionEnded(client: plan.name))
        isLeaving = true
        await connection.reset()
    }

    private func die() async {
        isMourned = true
        await breakConnection()
    }
}
