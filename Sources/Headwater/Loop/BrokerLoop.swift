import Encodings
import DequeModule
import Logging
import MQTTModel
import MQTTSession
import MQTTWire
import NIOCore
import PluginAPI
import Routing
import Security
import TLS
import Storage

/// One node of the in-process cluster: an event loop with its connections, its sessions, its topic tree and its shard
/// of the retained messages. Everything here is touched on the loop only; other loops write letters.
///
/// A *tick* is one turn of the event loop: what is to be sent gathers in the connections' output buffers and in the
/// letters to other loops, and leaves at the end, letters first, so that what one loop has told a client the other loops know.
final class BrokerLoop {
    let index: Int
    let nodes: [LoopNode]
    let configuration: BrokerConfiguration
    let directory: SessionDirectory
    let totals: BrokerTotals
    let hooks: HookTable
    let authenticator: (any Authenticator)?
    let tenantDirectory: TenantDirectory
    let halfOpen: HalfOpenConnections
    let loginGuard: LoginGuard
    let hashingPool: HashingPool
    let turnstile: HandshakeTurnstile
    let tlsScratch = TLSScratch()
    let quotas: QuotaBook
    let logger: Logger
    let eventLoop: any EventLoop
    let decodeLimits: DecodeLimits
    let maxPacketBytes: Int
    let maxConnectPacketBytes: Int
    /// Backlogs at which a connected receiver slows its publishers.
    let slowCount: Int
    let slowBytes: Int
    /// Backlogs of another loop's mailbox at which publishers of this one wait.
    let loopBacklogBytes: Int
    let loopBacklogLetters: Int
    /// This loop's share of the memory for queues.
    let maxQueuedBytes: Int

    @exclusivity(unchecked) var clock = MessageClock.now
    @exclusivity(unchecked) var counters = LoopCounters()
    /// Lines that anybody can cause, and those that need an accepted client.
    @exclusivity(unchecked) var strangerLog: LogLimiter
    @exclusivity(unchecked) var clientLog: LogLimiter
    /// Failed logins, which other programs count: a flood of other lines must not take their place.
    @exclusivity(unchecked) var loginLog: LogLimiter

    /// By listener, in their order.
    @exclusivity(unchecked) var security: [ListenerSecurity]
    @exclusivity(unchecked) var connections = ConnectionTable()
    @exclusivity(unchecked) var sessionsByKey: [SessionKey: Session] = [:]
    /// What each slot of the tree stands for. The first ones are the loops.
    @exclusivity(unchecked) var subscribers: [Subscriber]
    @exclusivity(unchecked) var freeSlots: [UInt32] = []
    @exclusivity(unchecked) var nextSerial: UInt64 = 1
    /// A client that is being attached: a session of it that ends has a successor on this loop already.
    @exclusivity(unchecked) var keyInTransition: SessionKey?

    /// By number; those that have come to this loop.
    @exclusivity(unchecked) var tenants: [LoopTenant?]
    @exclusivity(unchecked) var tree = TopicTree()
    @exclusivity(unchecked) var matches = MatchResult()
    @exclusivity(unchecked) var ownMatches = MatchResult()
    @exclusivity(unchecked) var routes = RouteCache<RouteEntry>(maximumLines: BrokerLoop.maxCachedRoutes, empty: RouteEntry())
    /// Room for targets in all entries of `routes`.
    @exclusivity(unchecked) var cachedTargets = 0
    @exclusivity(unchecked) var retained = RetainedTree<RetainedSlot>()
    /// `nil`: everything is in memory.
    let ledger: StoreLedger?
    /// Sessions that the store has, by the number that they have there.
    @exclusivity(unchecked) var storedSessions: [UInt64: Session] = [:]
    /// Publishes that were stored in part when the broker ended; their clients send them again.
    @exclusivity(unchecked) var relays: [PublishOrigin: Relay] = [:]
    @exclusivity(unchecked) var shares: [ShareReference.Key: ShareState] = [:]
    /// Subscriptions of this loop's sessions by pattern, to tell the other loops of the first and the last.
    @exclusivity(unchecked) var announced: [TenantPattern: InterestCount] = [:]
    /// What other loops announced, counted.
    @exclusivity(unchecked) var interests: [Interest: InterestCount] = [:]

    @exclusivity(unchecked) var images = ImageCache()
    @exclusivity(unchecked) var propertyScratch: [UInt8] = []
    @exclusivity(unchecked) var scratch: [UInt8] = []
    /// What is sent through TLS or WebSocket, on its way from the output to the socket; a frame on its way into a record; packets out
    /// of frames, and what the frames want answered.
    @exclusivity(unchecked) var sealed = ByteBuffer()
    @exclusivity(unchecked) var frame = ByteBuffer()
    @exclusivity(unchecked) var unframed = ByteBuffer()
    @exclusivity(unchecked) var replies: [UInt8] = []
    @exclusivity(unchecked) var holds = HeldPublishes()
    /// Token of the publish that plugins have held last.
    @exclusivity(unchecked) var lastHold: UInt64 = 0
    /// What plugins store with the message that is shown to them.
    let publishOutbox = PublishOutbox()
    /// Completions of what plugins have published from elsewhere.
    @exclusivity(unchecked) var sourced: [UInt64: @Sendable () -> Void] = [:]
    @exclusivity(unchecked) var nextSourced: UInt64 = 1
    /// Publishers that are not read, since a plugin's queue has no room.
    @exclusivity(unchecked) var queueWaiters: [UInt64: Set<ConnectionReference>] = [:]
    @exclusivity(unchecked) var timers = TimerQueue()
    let pool = BlockPool()

    @exclusivity(unchecked) private var isTickOpen = false
    @exclusivity(unchecked) private var isReadingMailbox = false
    @exclusivity(unchecked) private var touched: [ConnectionHandler] = []
    @exclusivity(unchecked) private var doomed: [ConnectionHandler] = []
    @exclusivity(unchecked) private var resumable: [ConnectionHandler] = []
    /// Letters that leave at the tick's end, by loop.
    @exclusivity(unchecked) private var outgoing: [[Letter]]
    @exclusivity(unchecked) private var outgoingBytes: [Int]
    /// Connections that wait for another loop to catch up, by loop.
    @exclusivity(unchecked) var waitingForLoop: [[ConnectionReference]]
    @exclusivity(unchecked) var deliveriesInTick = 0
    /// Sessions that ended in this tick: the packet that ended one may still be looking at it, uncounted.
    @exclusivity(unchecked) var lastSessions: [Session] = []
    @exclusivity(unchecked) private var timerTask: Scheduled<Void>?
    @exclusivity(unchecked) private var timerTaskDeadline = UInt64.max
    @exclusivity(unchecked) var retainedSweepCursor: Int?
    @exclusivity(unchecked) var isStopping = false

    struct InterestCount: Equatable {
        var all = 0
        /// Of those, for sessions that the store has.
        var stored = 0
    }

    /// A topic filter of a tenant, without `$share/NAME/`.
    struct TenantPattern: Hashable {
        let tenant: UInt32
        let pattern: ExactText
    }

    struct Interest: Hashable {
        let pattern: TenantPattern
        let loop: Int
    }

    init(node: LoopNode, shared: BrokerShared) {
        index = node.index
        nodes = shared.nodes
        eventLoop = node.eventLoop
        configuration = shared.configuration
        directory = shared.directory
        totals = shared.totals
        authenticator = shared.authenticator
        tenantDirectory = shared.tenants
        halfOpen = shared.halfOpen
        loginGuard = shared.loginGuard
        hashingPool = shared.hashingPool
        turnstile = HandshakeTurnstile(node: node, threads: shared.handshakeThreads)
        security = shared.security
        quotas = shared.quotas
        logger = shared.logger
        hooks = HookTable(shared.plugins.map { $0.makeLoopHooks(loop: node.index) })
        let limits = shared.configuration.limits
        decodeLimits = DecodeLimits(
            maxUserProperties: limits.maxUserProperties, maxFiltersPerPacket: limits.maxFiltersPerPacket,
            maxTopicBytes: limits.maxTopicBytes, maxTopicLevels: limits.maxTopicLevels, maxClientIDBytes: limits.maxClientIDBytes)
        maxPacketBytes = limits.maxPacketBytes
        maxConnectPacketBytes = limits.maxConnectPacketBytes
        let sessions = shared.configuration.sessions
        slowCount = max(1, min(4096, sessions.maxQueuedMessages / 2))
        slowBytes = max(1, min(1 << 20, sessions.maxQueuedBytes / 2))
        loopBacklogBytes = max(1, min(4 << 20, sessions.maxQueuedBytes / 2))
        loopBacklogLetters = max(1, sessions.maxQueuedMessages / 2)
        maxQueuedBytes = sessions.maxTotalQueuedBytes / shared.nodes.count
        tenants = [
            LoopTenant(
                number: TenantDirectory.defaultTenant, name: "", root: TopicTree.firstRoot,
                retainedRoot: RetainedTree<RetainedSlot>.firstRoot, quotas: shared.quotas,
                nowNanoseconds: MessageClock.now.monotonicNanoseconds)
        ]
        strangerLog = LogLimiter(logger: shared.logger, burst: 50, perSecond: 10)
        loginLog = LogLimiter(logger: shared.logger, burst: 50, perSecond: 10)
        clientLog = LogLimiter(logger: shared.logger, burst: 2_000, perSecond: 200)
        subscribers = shared.nodes.indices.map { .loop($0) }
        outgoing = shared.nodes.map { _ in [] }
        outgoingBytes = shared.nodes.map { _ in 0 }
        waitingForLoop = shared.nodes.map { _ in [] }
        counters.statistics.eventLoops = 1
        ledger = shared.store.map { StoreLedger($0) }
        turnstile.messages = { [unowned self] in counters.statistics.messagesReceived.total &+ counters.statistics.messagesSent.total }
    }

    // MARK: The tick

    /// Before anything is done for a packet: reads letters that came first.
    @inline(__always)
    func beginWork() {
        if !isTickOpen { openTick() }
        if !nodes[index].mailbox.isEmpty { readMailbox() }
    }

    private func openTick() {
        isTickOpen = true
        clock = .now
        eventLoop.assumeIsolatedUnsafeUnchecked().execute { [self] in endTick() }
    }

    func touch(_ connection: ConnectionHandler) {
        connection.isTouched = true
        touched.append(connection)
        if !isTickOpen { openTick() }
    }

    /// Closes the connection at the end of the tick, when no message is being routed.
    func doom(_ connection: ConnectionHandler, _ reason: DisconnectReason) {
        guard connection.doom == nil, connection.phase < .closing else { return }
        connection.doom = reason
        doomed.append(connection)
        if !isTickOpen { openTick() }
    }

    func resumeLater(_ connection: ConnectionHandler) {
        guard !connection.isResumable else { return }
        connection.isResumable = true
        resumable.append(connection)
        if !isTickOpen { openTick() }
    }

    /// A letter for another loop, sent at the end of the tick.
    func write(_ letter: Letter, to loop: Int) {
        outgoing[loop].append(letter)
        outgoingBytes[loop] += letter.backlogBytes
        if !isTickOpen { openTick() }
    }

    /// Whether letters on their way to `loop` may be more than its receivers can take.
    func isBehind(_ loop: Int) -> Bool {
        let backlog = nodes[loop].mailbox.backlog
        return backlog.bytes + outgoingBytes[loop] > loopBacklogBytes || backlog.letters + outgoing[loop].count > loopBacklogLetters
    }

    func writeToAll(_ letter: Letter) {
        for loop in nodes.indices where loop != index { write(letter, to: loop) }
    }

    private func endTick() {
        // Each step may cause more of the others; a publisher that is resumed gets one turn a tick.
        let readers = resumable
        resumable = []
        for connection in readers {
            connection.isResumable = false
            if connection.pauses == 0 { connection.resumeReading() }
        }
        while !doomed.isEmpty {
            let closing = doomed
            doomed = []
            for connection in closing {
                if let reason = connection.doom { connection.close(reason) }
            }
        }
        for loop in outgoing.indices where !outgoing[loop].isEmpty {
            nodes[loop].post(outgoing[loop], bytes: outgoingBytes[loop])
            outgoing[loop] = []
            outgoingBytes[loop] = 0
        }
        if let ledger { settleStore(ledger) }
        for connection in touched {
            connection.isTouched = false
            connection.flush()
        }
        touched.removeAll(keepingCapacity: true)
        if deliveriesInTick > 0 {
            let now = MessageClock.now.monotonicNanoseconds
            counters.statistics.deliveryLatency.record(
                microseconds: (now &- clock.monotonicNanoseconds) / 1000, times: deliveriesInTick)
            deliveriesInTick = 0
        }
        lastSessions.removeAll()
        isTickOpen = false
        if !resumable.isEmpty || !doomed.isEmpty { openTick() }
    }

    // MARK: Letters

    /// Reads what other loops have written.
    ///
    /// Not again while a letter is being read: newer ones would be read before the rest of the older.
    func readMailbox() {
        guard !isReadingMailbox else { return }
        isReadingMailbox = true
        defer { isReadingMailbox = false }
        if !isTickOpen { openTick() }
        let letters = nodes[index].mailbox.take()
        var bytes = 0
        for letter in letters {
            bytes += letter.backlogBytes
            read(letter)
        }
        nodes[index].mailbox.read(letters: letters.count, bytes: bytes)
    }

    private func read(_ letter: Letter) {
        switch letter {
        case .publish(let message, let source, let duty): routeFromOtherLoop(message, source: source, duty: duty)
        case .interest(let pattern, let tenant, let loop, let delta, let storedDelta):
            changeInterest(pattern, tenant: tenant, of: loop, by: delta, storedBy: storedDelta)
        case .retain(let message, let duty):
            let before = operationCount
            retainHere(message)
            settle(duty, operationsBefore: before)
        case .retainedQuery(let query): answer(query)
        case .retainedPage(let page): received(page)
        case .joinShare(let reference, let member, let options, let isOnline):
            join(reference, member: member, options: options, isOnline: isOnline)
        case .leaveShare(let reference, let member): leave(reference, member: member)
        case .shareMemberOnline(let reference, let member, let isOnline):
            shares[reference.key]?.group.setOnline(member.serial, isOnline)
        case .shareMemberCongested(let reference, let member, let isCongested):
            shares[reference.key]?.group.setCongested(member.serial, isCongested)
        case .shareReturn(let reference, let message, let retain, let member, let storage):
            passOn(message, of: reference, retain: retain, from: member, storage: storage)
        case .shareDelivery(let reference, let message, let member, let options, let source, let storage):
            deliverShared(message, of: reference, to: member, options: options, source: source, storage: storage)
        case .adopt(let transfer): adopt(transfer)
        case .slow(let reference): connections[reference]?.pause()
        case .resume(let reference): connections[reference]?.unpause()
        case .backlogQuery(let loop): write(.backlogDrained(loop: index), to: loop)
        case .backlogDrained(let loop):
            let waiting = waitingForLoop[loop]
            waitingForLoop[loop] = []
            for reference in waiting { connections[reference]?.unpause() }
        }
    }

    // MARK: Timers

    func addTimer(_ purpose: TimerQueue.Purpose, slot: UInt32, serial: UInt64, afterMilliseconds delay: UInt64) {
        let deadline = clock.monotonicMilliseconds &+ delay
        let timer = TimerQueue.Timer(deadlineMilliseconds: deadline, serial: serial, slot: slot, purpose: purpose)
        if timers.isDueForSweep { timers.sweep { stillMeansSomething($0) } }
        if timers.add(timer) { schedule(deadline) }
    }

    /// Whether firing `timer` could do anything. May say so of one that would do nothing.
    private func stillMeansSomething(_ timer: TimerQueue.Timer) -> Bool {
        var connection: ConnectionHandler? { connections[timer.slot, UInt32(truncatingIfNeeded: timer.serial)] }
        var extras: Session.Extras? { session(atSlot: timer.slot, serial: timer.serial)?.extras }
        switch timer.purpose {
        case .connectTimeout: return connection.map { $0.phase < .connected } ?? false
        case .keepAlive, .credentialEnd: return connection?.phase == .connected
        case .closeLingering: return connection != nil
        case .sessionEnd: return extras?.endsAtMilliseconds == timer.deadlineMilliseconds
        case .will: return extras?.will?.dueAtMilliseconds == timer.deadlineMilliseconds
        case .stalledReceiver: return extras.map { !$0.waitingPublishers.isEmpty } ?? false
        case .retainedSweep, .commitWindow: return true
        case .quotaWait: return connection?.quota?.pausedUntil != nil
        case .readAgain: return session(atSlot: timer.slot, serial: timer.serial) != nil
        }
    }

    private func schedule(_ deadline: UInt64) {
        guard deadline < timerTaskDeadline, !isStopping else { return }
        timerTask?.cancel()
        timerTaskDeadline = deadline
        let now = MessageClock.now.monotonicMilliseconds
        let wait = deadline > now ? deadline - now : 0
        timerTask = eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .milliseconds(Int64(wait) + 1)) { [self] in
            fireTimers()
        }
    }

    func cancelTimers() { timerTask?.cancel() }

    private func fireTimers() {
        timerTask = nil
        let due = timerTaskDeadline
        timerTaskDeadline = .max
        beginWork()
        let now = clock.monotonicMilliseconds
        if now >= due { counters.statistics.eventLoopLag.record(microseconds: (now - due) * 1000) }
        while let timer = timers.popDue(atMilliseconds: now) { fire(timer) }
        if let next = timers.nextDeadlineMilliseconds { schedule(next) }
    }

    private func fire(_ timer: TimerQueue.Timer) {
        switch timer.purpose {
        case .connectTimeout:
            guard let connection = connections[timer.slot, UInt32(truncatingIfNeeded: timer.serial)] else { return }
            connectTimedOut(connection)
        case .keepAlive:
            guard let connection = connections[timer.slot, UInt32(truncatingIfNeeded: timer.serial)] else { return }
            checkKeepAlive(connection)
        case .closeLingering:
            connections[timer.slot, UInt32(truncatingIfNeeded: timer.serial)]?.closeNow()
        case .sessionEnd:
            if let session = session(atSlot: timer.slot, serial: timer.serial) { endIfDue(session) }
        case .will:
            if let session = session(atSlot: timer.slot, serial: timer.serial) { publishWillIfDue(session) }
        case .stalledReceiver:
            if let session = session(atSlot: timer.slot, serial: timer.serial) { checkProgress(session) }
        case .credentialEnd:
            connections[timer.slot, UInt32(truncatingIfNeeded: timer.serial)]?.close(
                DisconnectReason(cause: .administrative, code: .maximumConnectTime), detail: "the token has expired")
        case .quotaWait:
            if let connection = connections[timer.slot, UInt32(truncatingIfNeeded: timer.serial)] { endQuotaWait(of: connection) }
        case .retainedSweep:
            sweepRetained()
        case .commitWindow:
            commitWindowPassed(timer.serial)
        case .readAgain:
            if let session = session(atSlot: timer.slot, serial: timer.serial) { readOn(session) }
        }
    }

    // MARK: Slots

    func session(atSlot slot: UInt32, serial: UInt64) -> Session? {
        guard Int(slot) < subscribers.count, case .session(let session) = subscribers[Int(slot)], session.serial == serial else {
            return nil
        }
        return session
    }

    func session(_ reference: SessionReference) -> Session? { session(atSlot: reference.slot, serial: reference.serial) }

    func reference(of session: Session) -> SessionReference {
        SessionReference(loop: UInt16(index), slot: session.slot, serial: session.serial)
    }

    func takeSlot() -> UInt32 {
        if let slot = freeSlots.popLast() { return slot }
        subscribers.append(.free)
        return UInt32(subscribers.count - 1)
    }

    func freeSlot(_ slot: UInt32) {
        subscribers[Int(slot)] = .free
        freeSlots.append(slot)
    }
}
