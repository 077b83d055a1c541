import Logging
import MQTTModel
import NIOCore
import NIOPosix
import PluginAPI
import Security
import Storage
import Synchronization
import Transport

/// The start, in an order that lets a process give up rights in its middle: files of keys are read and addresses bound first, the
/// store is opened after that, and clients are let in at the end.
extension Broker {
    /// Half a mebibyte in the kernel.
    private static let mostReservedDescriptors = 65_536

    /// Starts the plugins and opens the listeners.
    ///
    /// - Parameter bound: Called when certificates, passwords and rules are read and the listeners have their addresses, before the
    ///   store is opened and anybody is let in: the moment to give up root's rights.
    /// - Throws: `BrokerError` when a file is faulty or a listener can't be opened, and whatever a plugin throws at its start;
    ///   nothing stays open then. A broker starts once.
    public func start(bound: @Sendable () throws -> Void = {}) async throws {
        try state.withLock { state in
            guard state.phase == .new else { throw BrokerError("the broker was started before: make a new one") }
            state.phase = .starting
        }
        let descriptors = DirectSocket.raiseDescriptorLimit()
        let loopCount = max(1, min(64, configuration.eventLoops ?? System.coreCount - 1))
        let group = MultiThreadedEventLoopGroup(numberOfThreads: loopCount)
        var loops: [any EventLoop] = []
        for loop in group.makeIterator() { loops.append(loop) }
        let nodes = loops.enumerated().map { LoopNode(index: $0.offset, eventLoop: $0.element) }
        let totals = BrokerTotals(
            maxConnections: configuration.limits.maxConnections ?? max(16, descriptors - 64))
        DirectSocket.reserveDescriptors(min(totals.maxConnections, descriptors, Self.mostReservedDescriptors))
        let halfOpen = HalfOpenConnections(
            maxPerAddress: configuration.limits.maxHalfOpenPerAddress ?? max(8, totals.maxConnections / 2), maxHandshakes: configuration.limits.maxHandshakes)
        state.withLock { state in
            state.halfOpen = halfOpen
            state.group = group
            state.nodes = nodes
            state.totals = totals
            state.startedUnixMilliseconds = MessageClock.now.unixMilliseconds
        }
        do {
            let security = try await SecurityService.load(configuration, logger: logger)
            state.withLock { $0.security = security }
            for (index, listener) in configuration.listeners.enumerated() {
                try await open(listener, index: index, group: group, nodes: nodes, totals: totals, halfOpen: halfOpen)
            }
            try bound()
            let opened = try configuration.store.directory.map { try openStore($0, configuration.store, nodes: nodes) }
            state.withLock { $0.store = opened?.service }
            let shared = BrokerShared(
                configuration: configuration, nodes: nodes, directory: SessionDirectory(), tenants: tenants,
                quotas: QuotaBook(configuration.quotas), totals: totals, plugins: plugins,
                authenticator: plugins.lazy.compactMap(\.authenticator).first, halfOpen: halfOpen,
                loginGuard: LoginGuard(LoginLimits(
                    configuration.logins, connectTimeoutSeconds: configuration.limits.connectTimeoutSeconds)),
                hashingPool: HashingPool(threads: configuration.limits.hashingThreads, maxWaiting: configuration.limits.maxWaitingLogins),
                handshakeThreads: HandshakeThreads(threads: max(1, min(64, System.coreCount))),
                security: security.current, logger: logger, store: opened?.service)
            let pluginStore = opened.map { BrokerPluginStore($0.service, nodes: nodes) }
            for plugin in plugins {
                let context = PluginContext(
                    logger: logger, loopCount: loopCount, store: pluginStore,
                    publishFromSource: { [tenants] message, source, number, completion in
                        guard let message = tenants.assign(message, to: nil) else { return completion() }
                        nodes[0].eventLoop.execute {
                            guard let loop = nodes[0].bound.value else { return completion() }
                            loop.publish(message, from: source, number: number, done: completion)
                        }
                    }
                ) { [tenants] message in
                    guard let message = tenants.assign(message, to: nil) else { return }
                    Self.route(message, on: nodes[0])
                }
                try await plugin.start(context)
            }
            for node in nodes {
                try await node.eventLoop.submit { node.bound.value = BrokerLoop(node: node, shared: shared) }.get()
            }
            if let opened { try await restore(opened, nodes: nodes) }
            security.begin { new in Self.post(new, to: nodes) }
            for listener in state.withLock({ $0.listeners }) { try await listener.accept() }
            for plugin in plugins { plugin.brokerStarted() }
        } catch {
            await stop()
            throw error
        }
        let isWanted = state.withLock { state in
            guard state.phase == .starting else { return false }
            state.phase = .running
            return true
        }
        guard isWanted else { throw BrokerError("the broker was stopped while it started") }
        logger.info("broker started", metadata: [
            "loops": "\(loopCount)", "listeners": "\(boundListeners.map { "\($0.name)=\($0.address)" }.joined(separator: " "))",
            "connections_max": "\(totals.maxConnections)",
        ])
    }

    private struct OpenedStore {
        let service: StoreService
        let state: StoredState
    }

    private func openStore(_ directory: String, _ settings: BrokerConfiguration.Store, nodes: [LoopNode]) throws -> OpenedStore {
        let began = ContinuousClock.now
        let gauges = StoreGauges(logger: logger)
        let opened: OpenStore
        do throws(StoreFault) {
            opened = try Store.open(path: directory, options: StoreOptions(settings), observer: gauges, tenantNumber: tenants.restored)
        } catch {
            throw BrokerError(error.description, isFinal: error.isFinal)
        }
        gauges.opened(alarms: opened.store.alarms)
        for alarm in opened.store.alarms { logger.critical("\(alarm)") }
        gauges.onChange { condition in
            for node in nodes { node.eventLoop.execute { node.bound.value?.storeChanged(condition) } }
        }
        logger.info("store opened", metadata: [
            "directory": "\(directory)", "durability": "\(settings.durability.rawValue)", "means": "\(settings.durability.meaning)",
            "sessions": "\(opened.state.sessions.count)", "retained": "\(opened.state.retained.count)",
            "seconds": "\((ContinuousClock.now - began).seconds)",
        ])
        let service = StoreService(opened.store, state: opened.state, configuration: settings, gauges: gauges)
        return OpenedStore(service: service, state: opened.state)
    }

    /// Every loop takes its part, then hears of the others', and only then goes on with what was interrupted.
    private func restore(_ opened: OpenedStore, nodes: [LoopNode]) async throws {
        let parts = RestoredPart.split(opened.state, loops: nodes.count)
        for (node, part) in zip(nodes, parts) {
            try await node.eventLoop.submit { node.bound.value?.restore(part) }.get()
        }
        // The letters of a tick leave at its end, and are read at the beginning of the next work.
        for _ in 0..<2 {
            for node in nodes { try await node.eventLoop.submit { node.bound.value?.beginWork() }.get() }
        }
        for node in nodes { try await node.eventLoop.submit { node.bound.value?.settleRestored() }.get() }
    }

    /// Binds; those who connect wait until `Listener.accept`.
    private func open(
        _ configuration: ListenerConfiguration, index: Int, group: MultiThreadedEventLoopGroup, nodes: [LoopNode], totals: BrokerTotals,
        halfOpen: HalfOpenConnections
    ) async throws {
        let address: ListenAddress =
            switch configuration.address {
            case .tcp(let host, let port): .tcp(host: host, port: port)
            case .unix(let path): .unix(path: path)
            }
        let profile = ListenerProfile(index: index, configuration: configuration)
        let nodesByLoop = Dictionary(uniqueKeysWithValues: nodes.map { (ObjectIdentifier($0.eventLoop), $0) })
        let listener: Listener
        do {
            // A connection with TLS costs ten times as much as one without: a call saved for each is nothing, and the rounds are longer.
            listener = try await Listener.open(
                name: configuration.name, address: address, group: group, acceptsPerRound: configuration.tls == nil ? 8 : 2,
                mayAccept: { !halfOpen.isFull }
            ) { channel in
                guard let loop = nodesByLoop[ObjectIdentifier(channel.eventLoop)]?.bound.value else { throw ChannelError.ioOnClosedChannel }
                guard totals.admitConnection(to: profile) else {
                    loop.turnedAway(
                        PeerAddress(of: channel).description, listener: profile, why: "as many connections as the limits allow")
                    throw ConnectionLimitReached()
                }
                channel.closeFuture.whenComplete { _ in totals.releaseConnection(of: profile) }
                try Arrival(channel, on: loop, listener: profile).begin()
            }
        } catch let fault as UnixSocketFile.Fault {
            throw BrokerError("listener \(configuration.name): \(fault)")
        } catch {
            throw BrokerError(
                "listener \(configuration.name) can't listen on \(configuration.address): \(error). Is another broker running there, "
                    + "or does the address need privileges?")
        }
        var bound = configuration.address
        if case .tcp(let host, _) = bound, let port = listener.port { bound = .tcp(host: host, port: port) }
        let isWanted = state.withLock { state in
            guard state.phase == .starting else { return false }
            state.listeners.append(listener)
            state.bound.append(BoundListener(name: configuration.name, address: bound))
            return true
        }
        guard isWanted else {
            await listener.close()
            throw BrokerError("the broker was stopped while it started")
        }
    }

    private struct ConnectionLimitReached: Error {}
}
