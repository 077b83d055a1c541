import Admin
import Headwater
import Logging
import ServiceLifecycle

/// The broker and its HTTP as one service, since their order matters: HTTP is up before the broker, so that `/readyz` says
/// "not yet", and goes after it.
struct RunningBroker: Service {
    let broker: Broker
    let admin: AdminServer?
    let logger: Logger
    /// Called once, when the listeners have their addresses, before the store is opened.
    let bound: @Sendable () throws -> Void
    /// Called once, when everything is open.
    let started: @Sendable () throws -> Void

    init(
        broker: Broker, admin: AdminServer?, logger: Logger, bound: @escaping @Sendable () throws -> Void = {},
        started: @escaping @Sendable () throws -> Void
    ) {
        self.broker = broker
        self.admin = admin
        self.logger = logger
        self.bound = bound
        self.started = started
    }

    func run() async throws {
        do {
            try await admin?.start()
            try await broker.start(bound: bound)
            try started()
        } catch {
            await stop()
            throw error
        }
        logger.info("ready", metadata: ["listeners": "\(broker.boundListeners.map(\.address.description).joined(separator: ", "))"])
        // Cancellation and graceful shutdown, the two ways in which a service is told to end, mean the same here.
        try? await gracefulShutdown()
        logger.info("shutting down")
        await stop()
    }

    private func stop() async {
        await broker.stop()
        await admin?.stop()
    }
}
