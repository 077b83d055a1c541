import HTTPFetch
import Logging
import MQTTModel
import Security
import Synchronization
import TLS

/// Keeps what the listeners' files say: reads them at the start, watches them, and puts new ones in force together or not at all.
///
/// Sendable: what changes is behind a lock, and the actor reads for one reload at a time.
final class SecurityService: Sendable {
    private struct State {
        var loaded: SecurityFiles.Loaded
        var reloads = 0
        var failures = 0
        var isFailed = false
        var deliver: (@Sendable ([ListenerSecurity]) -> Void)?
        var tasks: [Task<Void, Never>] = []
    }

    /// Reads files, one set after the other.
    private actor Reader {
        func load(_ files: sending SecurityFiles) throws(SecurityFiles.Faults) -> SecurityFiles.Loaded {
            var files = files
            return try files.load()
        }
    }

    private let configuration: BrokerConfiguration
    private let logger: Logger
    private let parts: SecurityFiles.LastingParts
    private let reader = Reader()
    private let changes: AsyncStream<[String]>
    private let watch: FileWatch
    private let state: Mutex<State>

    /// - Throws: `BrokerError` with everything that is wrong with any file.
    static func load(_ configuration: BrokerConfiguration, logger: Logger) async throws(BrokerError) -> SecurityService {
        // Before the files are read: a change while they are is told.
        let (changes, continuation) = AsyncStream.makeStream(of: [String].self, bufferingPolicy: .bufferingNewest(1))
        let watch = FileWatch(SecurityFiles.paths(of: configuration)) { continuation.yield($0) }
        do {
            let parts = try SecurityFiles.LastingParts(configuration)
            for source in parts.keySources.values where await !source.refresh(now: JWKSource.milliseconds()) {
                logger.error("the key set can't be fetched; tokens are refused until it is", metadata: [
                    "reason": "\(source.status.lastError ?? "")",
                ])
            }
            var files = SecurityFiles(configuration, parts)
            let loaded = try files.load()
            for warning in loaded.warnings { logger.warning("\(warning)") }
            return SecurityService(configuration, parts: parts, loaded: loaded, changes: changes, watch: watch, logger: logger)
        } catch {
            throw BrokerError("\(error)")
        }
    }

    private init(
        _ configuration: BrokerConfiguration, parts: SecurityFiles.LastingParts, loaded: SecurityFiles.Loaded,
        changes: AsyncStream<[String]>, watch: FileWatch, logger: Logger
    ) {
        self.configuration = configuration
        self.parts = parts
        self.changes = changes
        self.watch = watch
        self.logger = logger
        state = Mutex(State(loaded: loaded))
    }

    var current: [ListenerSecurity] { state.withLock { $0.loaded.security } }

    /// Watches from now on; `deliver` gets each new set.
    func begin(_ deliver: @escaping @Sendable ([ListenerSecurity]) -> Void) {
        var tasks: [Task<Void, Never>] = []
        if !SecurityFiles.paths(of: configuration).isEmpty {
            tasks.append(Task { [watch] in await watch.run() })
            tasks.append(Task { [changes, weak self] in
                for await paths in changes {
                    try? await self?.reload(because: "changed: \(paths.joined(separator: " "))")
                }
            })
        }
        for source in parts.keySources.values { tasks.append(Task { await source.run() }) }
        tasks.append(Task { [weak self] in await self?.rotateTicketKeys() })
        state.withLock { state in
            state.deliver = deliver
            state.tasks = tasks
        }
    }

    /// Ticket keys of other nodes are taken over, and old ones replaced, once a minute.
    private func rotateTicketKeys() async {
        while !Task.isCancelled, !parts.ticketKeys.isEmpty {
            do { try await Task.sleep(for: .seconds(60)) } catch { return }
            for keys in parts.ticketKeys.values {
                do {
                    try keys.refresh(nowSeconds: SecurityFiles.LastingParts.now)
                } catch {
                    logger.error("ticket keys could not be renewed, the present ones stay in use", metadata: ["reason": "\(error)"])
                }
            }
        }
    }

    func end() {
        let tasks = state.withLock { state in
            state.deliver = nil
            defer { state.tasks = [] }
            return state.tasks
        }
        for task in tasks { task.cancel() }
    }

    /// - Throws: Everything that is wrong; what was in force stays.
    func reload(because reason: String) async throws(BrokerError) {
        let loaded: SecurityFiles.Loaded
        do {
            loaded = try await reader.load(SecurityFiles(configuration, parts))
        } catch {
            state.withLock { state in
                state.failures += 1
                state.isFailed = true
            }
            for line in error.lines { logger.error("\(line)") }
            logger.error("nothing was changed: certificates, passwords and rules are as they were", metadata: ["reload": "\(reason)"])
            throw BrokerError(error.description)
        }
        for warning in loaded.warnings { logger.warning("\(warning)") }
        let deliver = state.withLock { state in
            state.loaded = loaded
            state.reloads += 1
            state.isFailed = false
            return state.deliver
        }
        deliver?(loaded.security)
        logger.notice("certificates, passwords and rules were read again", metadata: ["reload": "\(reason)"])
    }

    func report(into statistics: inout BrokerStatistics) {
        let (loaded, reloads, failures, isFailed) = state.withLock { ($0.loaded, $0.reloads, $0.failures, $0.isFailed) }
        let now = MessageClock.now.unixMilliseconds / 1000
        statistics.reloads = reloads
        statistics.reloadFailures = failures
        statistics.isReloadFailed = isFailed
        statistics.certificates = loaded.certificates.map {
            .init(
                listener: $0.listener, file: $0.file, notAfter: $0.notAfterSeconds,
                daysLeft: (Double($0.notAfterSeconds - now) / 864).rounded() / 100)
        }
    }
}
