import Headwater
import Logging
import ServiceLifecycle
import UnixSignals

/// SIGHUP: certificates, passwords and rules are read again, all or nothing.
struct ReloadOnSignal: Service {
    let broker: Broker
    let logger: Logger

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: [.sighup])
        for await _ in signals.cancelOnGracefulShutdown() {
            // What is wrong with the files, the broker has logged.
            do { try await broker.reload() } catch { logger.error("SIGHUP changed nothing") }
        }
    }
}
