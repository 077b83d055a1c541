import Foundation
import MQTTModel
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The real program in a process of its own: for tests that measure it, kill it, or hold more connections than one process
/// may have descriptors.
///
/// ```swift
/// let process = try await BrokerProcess.start(executable: path, arguments: ["--loops", "2"])
/// let client = try await process.open()
/// …
/// await process.terminate()
/// ```
public final class BrokerProcess: Sendable {
    /// How a program is started. Ports that are not given are chosen.
    public struct Launch: Sendable {
        public var executable: String
        /// Further arguments of `run`.
        public var arguments: [String]
        /// Added to the environment of the tests, of which the program sees no `HEADWATER_` variable.
        public var environment: [String: String] = [:]
        /// With a `configuration`, the port of the listener that `open` goes to.
        public var port: Int?
        public var httpPort: Int?
        /// YAML with listeners of its own; `nil`: one on the loopback address.
        public var configuration: String?
        /// A file that the log is appended to, and that stays; `nil`: a new one, removed at the end.
        public var logPath: String?

        public init(executable: String, arguments: [String] = []) {
            self.executable = executable
            self.arguments = arguments
        }
    }

    /// How a program ended.
    public enum Ending: Sendable, Equatable {
        case exit(Int32)
        case signal(Int32)
    }

    /// Where the broker listens for MQTT, and the port of its metrics.
    public let address: ScriptedClient.Address
    public let port: Int
    public let httpPort: Int
    /// What the program has written to standard output and error.
    public let logPath: String
    private let keepsLog: Bool
    private let configurationPath: String?
    private let process: Mutex<Process>
    public let processIdentifier: Int32

    private init(process: Process, port: Int, httpPort: Int, logPath: String, keepsLog: Bool, configurationPath: String?) {
        processIdentifier = process.processIdentifier
        self.process = Mutex(process)
        self.port = port
        self.httpPort = httpPort
        self.logPath = logPath
        self.keepsLog = keepsLog
        self.configurationPath = configurationPath
        address = .tcp(host: "127.0.0.1", port: port)
    }

    /// The `headwater` that was built together with the running tests.
    ///
    /// - Throws: `ScriptedClientError` when it is not beside them: the test target must depend on it.
    public static func builtExecutable(file: String = #fileID, line: Int = #line) throws -> String {
        let directory = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let path = directory.appendingPathComponent("headwater").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw ScriptedClientError("no program at \(path)", file: file, line: line)
        }
        return path
    }

    /// Starts `headwater run` on free ports and waits until it is ready.
    ///
    /// - Parameter arguments: Further arguments of `run`.
    /// - Throws: `ScriptedClientError` with the program's log when it is not ready in time.
    public static func start(
        executable: String, arguments: [String] = [], within time: Duration = ScriptedClient.patience, file: String = #fileID,
        line: Int = #line
    ) async throws -> BrokerProcess {
        let broker = try launch(Launch(executable: executable, arguments: arguments))
        guard await broker.becomesReady(within: time) else {
            let text = broker.log
            await broker.kill()
            throw ScriptedClientError("the broker did not become ready:\n\(text)", file: file, line: line)
        }
        return broker
    }

    /// Starts `headwater run` and waits for nothing.
    ///
    /// - Throws: The system's error when there is no such program.
    public static func launch(_ launch: Launch) throws -> BrokerProcess {
        let port = launch.port ?? FreePort.next()
        let httpPort = launch.httpPort ?? FreePort.next()
        let logPath =
            launch.logPath ?? FileManager.default.temporaryDirectory.appendingPathComponent("headwater-\(UUID().uuidString).log").path
        if !FileManager.default.fileExists(atPath: logPath) { _ = FileManager.default.createFile(atPath: logPath, contents: nil) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: launch.executable)
        let configurationPath = launch.configuration.map { _ in
            FileManager.default.temporaryDirectory.appendingPathComponent("headwater-\(UUID().uuidString).yaml").path
        }
        if let configurationPath { try launch.configuration?.write(toFile: configurationPath, atomically: true, encoding: .utf8) }
        let place = configurationPath.map { ["--config", $0] } ?? ["--port", "\(port)"]
        process.arguments = ["run"] + place + ["--http", "127.0.0.1:\(httpPort)"] + launch.arguments
        // Variables of the tests' own must not become options of the program.
        let inherited = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("HEADWATER_") }
        process.environment = inherited.merging(launch.environment) { _, new in new }
        let log = FileHandle(forWritingAtPath: logPath)
        _ = try log?.seekToEnd()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = log
        process.standardError = log
        try process.run()
        try? log?.close()
        return BrokerProcess(
            process: process, port: port, httpPort: httpPort, logPath: logPath, keepsLog: launch.logPath != nil,
            configurationPath: configurationPath)
    }

    /// Waits until `/readyz` says so.
    ///
    /// - Returns: `false`: the time is up, or the process has ended.
    public func becomesReady(within time: Duration = ScriptedClient.patience) async -> Bool {
        let deadline = ContinuousClock.now + time
        while isRunning, ContinuousClock.now < deadline {
            if let page = try? await page("/readyz"), page.hasPrefix("HTTP/1.1 200") || page.hasPrefix("HTTP/1.0 200") { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// Waits for the end.
    ///
    /// - Returns: `nil`: it still runs.
    public func end(within time: Duration = ScriptedClient.patience) async -> Ending? {
        let deadline = ContinuousClock.now + time
        while ContinuousClock.now < deadline {
            if let ending { return ending }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return ending
    }

    /// How it ended, `nil` while it runs.
    public var ending: Ending? { process.withLock { $0.ending } }

    public var isRunning: Bool { ending == nil }

    public var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// SIGTERM, and waits for the end; SIGKILL when it does not come.
    ///
    /// - Returns: The exit code, `nil` if the program ended by a signal.
    @discardableResult
    public func terminate(within time: Duration = ScriptedClient.patience) async -> Int32? {
        process.withLock { if $0.ending == nil { $0.terminate() } }
        guard let ending = await end(within: time) else {
            await kill()
            return nil
        }
        removeFiles()
        return if case .exit(let code) = ending { code } else { nil }
    }

    /// SIGKILL: no goodbye to anybody.
    public func kill() async {
        if isRunning { _ = sendSignal(processIdentifier, SIGKILL) }
        while isRunning { try? await Task.sleep(for: .milliseconds(2)) }
        removeFiles()
    }

    /// A signal, as an operator sends it.
    public func send(signal: Int32) { if isRunning { _ = sendSignal(processIdentifier, signal) } }

    private func removeFiles() {
        if let configurationPath { try? FileManager.default.removeItem(atPath: configurationPath) }
        if !keepsLog { try? FileManager.default.removeItem(atPath: logPath) }
    }

    // MARK: Clients and figures

    /// A client that has sent nothing.
    public func open(version: ProtocolVersion = .v5) async throws -> ScriptedClient {
        try await ScriptedClient.open(address, version: version)
    }

    /// Resident memory of the process in bytes.
    public var residentBytes: Int {
        let status = (try? String(contentsOfFile: "/proc/\(processIdentifier)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }

    /// The metrics by name, labels included as they are written.
    public func metrics() async throws -> [String: Double] {
        var figures: [String: Double] = [:]
        for line in try await page("/metrics").split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else { continue }
            figures[String(line[..<space])] = value
        }
        return figures
    }

    /// Waits until the metrics fulfil `condition`.
    ///
    /// - Throws: `ScriptedClientError` when they do not within the time.
    @discardableResult
    public func wait(
        for claim: String, within time: Duration = ScriptedClient.patience, file: String = #fileID, line: Int = #line,
        until condition: ([String: Double]) -> Bool
    ) async throws -> [String: Double] {
        let deadline = ContinuousClock.now + time
        while true {
            let figures = try await metrics()
            if condition(figures) { return figures }
            guard ContinuousClock.now < deadline else {
                throw ScriptedClientError("\(claim) did not come true within \(time)", file: file, line: line)
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// A page of the broker's HTTP, with its head.
    public func page(_ path: String) async throws -> String {
        let collected = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(2))
            .connect(host: "127.0.0.1", port: httpPort) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
            }
        return try await collected.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
            var bytes = ByteBuffer()
            for try await var part in inbound { bytes.writeBuffer(&part) }
            return String(buffer: bytes)
        }
    }
}

/// `kill(2)`, whose name the method above hides.
private func sendSignal(_ process: Int32, _ signal: Int32) -> Int32 { kill(process, signal) }
